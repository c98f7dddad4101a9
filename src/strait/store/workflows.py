"""Workflow definitions, their versions, their runs and steps."""

from __future__ import annotations

import sqlite3

from msgspec import json

from strait.engine.model import Workflow

_workflows = json.Decoder(Workflow)


def get(db: sqlite3.Connection, workflow_id: str) -> Workflow | None:
    """Return a workflow, or None."""
    row = db.execute("SELECT doc FROM workflows WHERE id = ?", (workflow_id,)).fetchone()
    return None if row is None else _workflows.decode(row[0])
