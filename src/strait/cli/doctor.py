"""What `strait doctor` does: look at each thing in turn, and print a line for each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from strait.cli import output

if TYPE_CHECKING:
    from strait.cli.session import Session


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one thing.

    Attributes:
        name: the thing.
        state: `fail` for what cannot work, `warn` for what may not.
        text: how it is.
        advice: what to do; empty for what is well.
    """

    name: str
    state: Literal["ok", "warn", "fail"]
    text: str
    advice: str = ""


def ok(name: str, text: str) -> Finding:
    """Return that something is well."""
    return Finding(name, "ok", text)


def warn(name: str, text: str, advice: str) -> Finding:
    """Return that something may not work."""
    return Finding(name, "warn", text, advice)


def fail(name: str, text: str, advice: str) -> Finding:
    """Return that something cannot work."""
    return Finding(name, "fail", text, advice)


def examine(session: Session) -> None:
    """Print what is found; the exit status is 1 if anything fails."""
    findings = []
    for found in _all(session):
        findings.append(found)
        if not session.as_json:
            advice = f" — {found.advice}" if found.advice else ""
            output.say(f"{found.state:<4}  {found.name:<10}  {output.clean(found.text)}{advice}")
    failed = sum(found.state == "fail" for found in findings)
    if session.as_json:
        output.print_json({"ok": not failed, "checks": [asdict(found) for found in findings]})
    sys.exit(1 if failed else 0)


def _all(session: Session) -> Iterator[Finding]:
    from strait.cli import doctor_here, doctor_platform

    yield from doctor_here.findings()
    yield from doctor_platform.findings(session)
