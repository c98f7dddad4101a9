"""What happened when in a run: lanes of spans, read from its history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from strait.clock import SECOND, from_timestamp
from strait.report.gather import Document

Kind: TypeAlias = Literal["queued", "executing", "waiting", "paused", "step", "child"]

# Words of the history that mean the same to who reads a picture of it.
_STATES: dict[str, Kind] = {
    "delayed": "waiting",
    "queued": "queued",
    "dequeued": "queued",
    "executing": "executing",
    "waiting": "waiting",
    "paused": "paused",
}
_MOST_LANES = 60


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, in seconds since the epoch.

    Attributes:
        start: its beginning.
        end: its end; that of the export while it goes on.
        kind: what it is.
        status: how it ended, or stands.
        about: a sentence about it.
    """

    start: float
    end: float
    kind: Kind
    status: str
    about: str

    @property
    def is_active(self) -> bool:
        """Whether something was done in it, and not only waited for."""
        return self.kind in ("executing", "step", "child")


@dataclass(frozen=True, slots=True)
class Lane:
    """A row of the picture."""

    label: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Rows in their order, and how many there was no room for."""

    lanes: tuple[Lane, ...]
    left_out: int = 0


def timeline(document: Document) -> Timeline:
    """Return what happened when."""
    until = seconds(document["exported_at"]) or 0.0
    if document["kind"] == "workflow_run":
        lanes = [_lane(step, step["step_ref"], "step", until) for step in document["steps"]]
    else:
        lanes = _attempts(document, until)
        lanes += [_lane(step, step_label(step), "step", until) for step in document["steps"]]
        lanes += [
            _lane(child, _child_label(child), "child", until) for child in document["children"]
        ]
    found = [lane for lane in lanes if lane.spans]
    return Timeline(tuple(found[:_MOST_LANES]), max(0, len(found) - _MOST_LANES))


def seconds(stamp: object) -> float | None:
    """Return a time of the API in seconds since the epoch; None for what is none."""
    if not isinstance(stamp, str) or not stamp:
        return None
    try:
        return from_timestamp(stamp) / SECOND
    except ValueError:
        return None


def lasted(start: object, end: object) -> float | None:
    """Return the seconds between two times of the API."""
    begun, ended = seconds(start), seconds(end)
    return None if begun is None or ended is None else max(0.0, ended - begun)


def duration(secs: float | None) -> str:
    """Return a duration as people read it."""
    if secs is None:
        return "\N{EN DASH}"
    if secs < 1:
        return f"{secs * 1000:.0f} ms" if secs == 0 or secs >= 0.0005 else "<1 ms"
    if secs < 60:
        return f"{secs:.2f} s".replace(".00 s", " s")
    for unit, name, below, small in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min")):
        if secs >= unit:
            return f"{secs // unit:.0f} {name} {secs % unit // below:.0f} {small}"
    return f"{secs // 60:.0f} min {secs % 60:.0f} s"


def step_label(step: Mapping[str, Any]) -> str:
    """Return the name of a recorded step, numbered where it occurs again."""
    occurrence = step.get("occurrence") or 0
    return f"{step['name']} #{occurrence + 1}" if occurrence else str(step["name"])


def _child_label(child: Mapping[str, Any]) -> str:
    return f"↳ {child.get('job_slug') or 'child'}"


def _lane(row: Mapping[str, Any], label: str, kind: Kind, until: float) -> Lane:
    begun = seconds(row.get("started_at"))
    if begun is None:
        return Lane(label, ())
    ended = seconds(row.get("finished_at"))
    status = str(row.get("status") or "")
    end = max(begun, until if ended is None else ended)
    return Lane(label, (Span(begun, end, kind, status, f"{label}: {status}"),))


def _attempts(document: Document, until: float) -> list[Lane]:
    """Return a lane for each attempt, from the changes of state in the history."""
    changes = [
        event for event in document["events"]
        if event.get("type") == "state_change" and (event.get("data") or {}).get("to")
    ]  # fmt: skip
    ended = seconds(document["run"].get("finished_at"))
    lanes: dict[int, list[Span]] = {}
    attempt = 1
    for index, event in enumerate(changes):
        data = event["data"]
        attempt = int(data.get("attempt") or attempt)
        kind = _STATES.get(data["to"])
        start = seconds(event["created_at"])
        if kind is None or start is None:
            continue
        following = changes[index + 1] if index + 1 < len(changes) else None
        end = seconds(following["created_at"]) if following else None
        end = max(start, until if ended is None else ended) if end is None else end
        status = _left_as(following, kind)
        about = f"attempt {attempt}, {kind}: {event['message']}"
        lanes.setdefault(attempt, []).append(Span(start, end, kind, status, about))
    return [Lane(f"attempt {number}", tuple(spans)) for number, spans in lanes.items()]


def _left_as(following: Mapping[str, Any] | None, kind: Kind) -> str:
    """Say how a stretch of execution ended: a failed attempt looks like one."""
    if following is None or kind != "executing":
        return kind
    data = following["data"]
    failed = data.get("error") or data["to"] in ("failed", "crashed", "timed_out", "dead_letter")
    return "failed" if failed else "completed"
