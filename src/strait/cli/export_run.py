"""What `strait runs export` does: a run as one HTML page, or as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from strait.cli import output
from strait.report import render
from strait.takeaway import collect

if TYPE_CHECKING:
    from strait.cli.session import Session


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
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    else:
        text = render(document)
    path = out or Path(f"run-{run_id}.html")
    path.write_text(text, encoding="utf-8")
    output.note(f"written to {path}")
