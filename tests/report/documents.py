"""Documents of runs as `gather` makes them, for tests that need no platform."""

from __future__ import annotations

from typing import Any


def at(secs: float) -> str:
    """Return a time of the API, so many seconds into an hour."""
    whole, micros = divmod(round(secs * 1_000_000), 1_000_000)
    minutes, seconds = divmod(whole, 60)
    return f"2026-01-01T10:{minutes:02d}:{seconds:02d}.{micros:06d}Z"


def event(secs: float, to: str, attempt: int = 1, **data: Any) -> dict[str, Any]:
    """Return a change of state."""
    return {
        "type": "state_change",
        "level": "info",
        "message": f"-> {to}",
        "created_at": at(secs),
        "data": {"to": to, "attempt": attempt, **data},
    }


def step(name: str, start: float, end: float, **more: Any) -> dict[str, Any]:
    """Return a recorded step."""
    return {
        "name": name,
        "occurrence": 0,
        "status": "completed",
        "output": None,
        "started_at": at(start),
        "finished_at": at(end),
        "attempts": 1,
        "at": "orders.py:7",
        **more,
    }


def document(**more: Any) -> dict[str, Any]:
    """Return the document of a run of two attempts with a wait between them."""
    run = {
        "id": "run_1",
        "job_id": "job_1",
        "project_id": "proj",
        "status": "completed",
        "attempt": 2,
        "triggered_by": "manual",
        "payload": {"user": "ada"},
        "result": {"ok": True},
        "created_at": at(0),
        "started_at": at(1),
        "finished_at": at(30),
        **more.pop("run", {}),
    }
    found = {
        "format": "strait.run/1",
        "kind": "run",
        "exported_at": at(60),
        "run": run,
        "job": {"id": "job_1", "slug": "order", "name": "Order", "max_attempts": 3},
        "events": [
            event(0, "queued"),
            event(1, "executing"),
            event(2, "queued", 2, error="ValueError: no"),
            event(4, "executing", 2),
            event(5, "waiting", 2),
            event(28, "executing", 2),
            event(30, "completed", 2),
        ],
    }
    parts = ("steps", "children", "checkpoints", "outputs", "usage", "tool_calls", "state", "kept")
    rest: dict[str, Any] = {part: [] for part in parts}
    return {**found, **rest, "truncated": {}, "missing": [], **more}
