"""`strait check`: what of a target cannot work, here or on another platform. It runs offline."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from strait.authoring.consistency import Finding
from strait.authoring.consistency import check as inconsistent
from strait.authoring.definitions import Definition
from strait.authoring.portability import unportable
from strait.authoring.sources import Place, step_place
from strait.cli import dev_target
from strait.cli.config_keys import strays
from strait.cli.failures import CommandError, ExitCode
from strait.cli.output import short
from strait.cli.session import tell_strays
from strait.compatibility import Target, features
from strait.serve.discovery import DiscoveryError, discover


@dataclass(frozen=True, slots=True)
class Problem:
    """One line of the answer.

    Attributes:
        place: the file and the line.
        feature: the feature that the platform lacks; empty for what cannot work anywhere.
        text: what is wrong.
        instead: what to use; empty when `text` says it.
    """

    place: Place
    feature: str
    text: str
    instead: str = ""


def run(target: str, platform: Target, *, allow: tuple[str, ...], as_json: bool) -> None:
    """Print what cannot work; the exit status is 1 if there is anything, or nothing to look at."""
    check_allowed(allow)
    tell_strays(strays())
    definitions, problems = _looked_at(target, platform, allow)
    if as_json:
        print(json.dumps({"target": platform, "problems": [shown(one) for one in problems]}))
    else:
        print("\n".join(line(problem) for problem in problems) or _praise(definitions, platform))
    sys.exit(1 if problems else 0)


def _looked_at(
    target: str, platform: Target, allow: tuple[str, ...]
) -> tuple[list[Definition], list[Problem]]:
    """Return what a target defines and what of it cannot work; code that raises cannot.

    Raises:
        DiscoveryError: there is no such target, or nothing in it.
    """
    try:
        definitions = defined(target)
    except DiscoveryError as error:
        if error.place is None:
            raise
        return [], [Problem(error.place, "", str(error))]
    return definitions, find(definitions, platform, allow)


def check_allowed(allow: tuple[str, ...]) -> None:
    """Check the names of features.

    Raises:
        CommandError: there is no such feature.
    """
    known = sorted(feature.id for feature in features())
    for name in allow:
        if name not in known:
            raise CommandError(
                f"`--allow {name}`: there is no such feature", f"{known} are", ExitCode.USAGE
            )


def defined(target: str) -> list[Definition]:
    """Import a target and return what it defines; what it prints is in no answer of ours.

    Without one it is what `strait dev` would serve here.

    Raises:
        CommandError: nothing was named, and nothing lies here.
        DiscoveryError: it cannot be imported, or defines nothing.
    """
    found = dev_target.find(target, Path())
    if found is None:
        raise CommandError(
            "there is neither a `main.py` nor a package here",
            "name a TARGET: a module, a file or a directory",
            ExitCode.USAGE,
        )
    with contextlib.redirect_stdout(sys.stderr):
        known = [one for name in found.names for one in discover(name).all()]
    # Two names may lead to the same definition.
    return list({id(one): one for one in known}.values())


def find(definitions: list[Definition], platform: Target, allow: tuple[str, ...]) -> list[Problem]:
    """Return what cannot work anywhere, and what the platform cannot do, by place."""
    problems = [*_inconsistent(definitions), *_unportable(definitions, platform, allow)]
    return sorted(problems, key=lambda problem: problem.place)


def _inconsistent(definitions: list[Definition]) -> Iterator[Problem]:
    places = {one.slug: one.place for one in definitions if one.kind == "workflow"}
    for finding in inconsistent(definitions):
        yield Problem(_place(places, finding), "", str(finding))


def _place(places: dict[str, Place], finding: Finding) -> Place:
    return step_place(places[finding.workflow], finding.step)


def _unportable(
    definitions: list[Definition], target: Target, allow: tuple[str, ...]
) -> Iterator[Problem]:
    for refusal in unportable(definitions, target, allow=allow):
        yield Problem(refusal.place, refusal.feature.id, refusal.text, refusal.feature.instead)


def line(problem: Problem) -> str:
    """Return a problem as one line, with its file and line."""
    text = f"{short(problem.place.path)}:{problem.place.line}: {problem.text}"
    return f"{text}; instead: {problem.instead} [{problem.feature}]" if problem.feature else text


def shown(problem: Problem) -> dict[str, str | int]:
    """Return a problem as JSON."""
    return {
        "file": short(problem.place.path),
        "line": problem.place.line,
        "feature": problem.feature,
        "text": problem.text,
        "instead": problem.instead,
    }


def _praise(definitions: list[Definition], target: Target) -> str:
    counts = [(sum(one.kind == kind for one in definitions), kind) for kind in ("job", "workflow")]
    jobs, workflows = (f"{n} {kind}{'' if n == 1 else 's'}" for n, kind in counts)
    platform = "embedded platform" if target == "embedded" else "platform"
    return f"{jobs} and {workflows} use nothing that the {platform} cannot do"
