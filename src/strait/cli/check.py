"""`strait check`: what of a target cannot work, here or on another platform. It runs offline."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from strait.authoring.consistency import Finding
from strait.authoring.consistency import check as inconsistent
from strait.authoring.definitions import Definition
from strait.authoring.portability import unportable
from strait.authoring.sources import Place, step_place
from strait.compatibility import Target, features
from strait.errors import StraitError
from strait.serve.discovery import discover


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
    known = {feature.id for feature in features()}
    if strange := [name for name in allow if name not in known]:
        sys.exit(f"strait: `--allow {strange[0]}`: there is no such feature; {sorted(known)} are")
    try:
        definitions = discover(target).all()
    except StraitError as error:
        sys.exit(f"strait: {error}")
    problems = [*_inconsistent(definitions), *_unportable(definitions, platform, allow)]
    problems.sort(key=lambda problem: problem.place)
    if as_json:
        print(json.dumps({"target": platform, "problems": [_shown(one) for one in problems]}))
    else:
        print("\n".join(_line(problem) for problem in problems) or _praise(definitions, platform))
    sys.exit(1 if problems else 0)


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


def _line(problem: Problem) -> str:
    text = f"{_short(problem.place.path)}:{problem.place.line}: {problem.text}"
    return f"{text}; instead: {problem.instead} [{problem.feature}]" if problem.feature else text


def _shown(problem: Problem) -> dict[str, str | int]:
    return {
        "file": _short(problem.place.path),
        "line": problem.place.line,
        "feature": problem.feature,
        "text": problem.text,
        "instead": problem.instead,
    }


def _short(path: str) -> str:
    """Return a path as one would type it here."""
    found = Path(path)
    here = Path(os.curdir).resolve()
    return str(found.relative_to(here)) if found.is_relative_to(here) else path


def _praise(definitions: list[Definition], target: Target) -> str:
    counts = [(sum(one.kind == kind for one in definitions), kind) for kind in ("job", "workflow")]
    jobs, workflows = (f"{n} {kind}{'' if n == 1 else 's'}" for n, kind in counts)
    platform = "embedded platform" if target == "embedded" else "platform"
    return f"{jobs} and {workflows} use nothing that the {platform} cannot do"
