"""What `strait runs export` does: a run as one HTML page, as JSON, or as a test fixture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from strait.cli import output
from strait.report import render
from strait.takeaway import collect, collect_fixture
from strait.takeaway.fixture import describe

if TYPE_CHECKING:
    from strait.cli.session import Session
    from strait.errors import Json


def export(session: Session, run_id: str, out: Path | None, redact: tuple[str, ...]) -> None:
    """Write a run, or a workflow run, with all that is known of it.

    Args:
        session: the platform.
        run_id: the run.
        out: the file; by default `run-<id>.html`, or `.json` with `--json`.
        redact: paths whose values are hidden.
    """
    document = collect(session.client, run_id, redact=redact)
    if session.as_json:
        if out is None:
            output.print_json(document)
            return
        _write(out, _text(document))
        return
    _write(out or Path(f"run-{run_id}.html"), render(document))


def export_fixture(
    session: Session, run_id: str, out: Path | None, redact: tuple[str, ...], target: str
) -> None:
    """Write a run as a test fixture, and say which of its answers are hidden in it.

    Args:
        session: the platform.
        run_id: the run.
        out: the file; by default `run-<id>.json`, or with `--json` the standard output.
        redact: paths whose values are hidden.
        target: where its job is found; empty to ask `strait dev`.
    """
    found = collect_fixture(session.client, run_id, redact=redact, target=target)
    if session.as_json and out is None:
        output.print_json(found)
        return
    _write(out or Path(f"run-{run_id}.json"), _text(found))
    for missing in found["missing"]:
        output.note(f"hidden, and so missing in a replay: {describe(missing)}")
    if "target" not in found["job"]:
        output.note("where its job is found is not known; replay it with --strait-app MODULE:NAME")


def _text(document: Json) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    output.note(f"written to {path}")
