"""Following runs: what happens to them, as it happens, until they have ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from strait.cli import output
from strait.cli.progress import LiveLine
from strait.cli.session import pages
from strait.errors import StraitTimeoutError, TransportTimeoutError
from strait.fsm import TERMINAL_RUN_STATUSES, TERMINAL_WORKFLOW_RUN_STATUSES

if TYPE_CHECKING:
    from strait.client import Client
    from strait.errors import Json

# Of one run there may be many, and a person reads the last ones.
_MOST_EVENTS = 1_000
_IDLE_SECS = 60.0
_FIRST_LOOK_SECS = 0.2
_LONGEST_LOOK_SECS = 2.0
_ENDS = {"run": TERMINAL_RUN_STATUSES, "workflow run": TERMINAL_WORKFLOW_RUN_STATUSES}


class Patience:
    """How long a command waits; without a number for as long as it takes."""

    def __init__(self, secs: float | None) -> None:
        self._secs = secs
        self._started = time.monotonic()

    def left(self) -> float:
        """Return the seconds that are left."""
        spent = time.monotonic() - self._started
        return float("inf") if self._secs is None else self._secs - spent

    def check(self, kind: str, run_id: str) -> None:
        """Fail once the time is over.

        Raises:
            StraitTimeoutError: it is.
        """
        if self._secs is not None and self.left() <= 0:
            spent_ms = round((time.monotonic() - self._started) * 1000)
            raise StraitTimeoutError(
                f"{kind} `{run_id}` has not ended within {self._secs:g} s", run_id, spent_ms
            )


def has_ended(kind: str, run: Json) -> bool:
    """Say whether a run is over."""
    return run["status"] in _ENDS[kind]


def follow(
    client: Client, kind: str, run_id: str, told: Callable[[Json], None], timeout: float | None
) -> Json:
    """Tell what has happened to a run and what happens, and return it as it ended.

    Args:
        client: the client.
        kind: `run` or `workflow run`.
        run_id: which.
        told: is called with each event, in the form that streams have.
        timeout: seconds; None for as long as it takes.

    Raises:
        StraitTimeoutError: it has not ended in time.
    """
    patience = Patience(timeout)
    if kind == "workflow run":
        return _follow_workflow_run(client, run_id, told, patience)
    return _follow_run(client, run_id, told, patience)


def _follow_run(
    client: Client, run_id: str, told: Callable[[Json], None], patience: Patience
) -> Json:
    seen: set[tuple[object, ...]] = set()

    def tell(event: Json) -> None:
        # The history and the stream overlap.
        known = (event.get("timestamp"), event.get("type"), event.get("to"), event.get("message"))
        if known not in seen:
            seen.add(known)
            told(event)

    def tell_history() -> None:
        for event in history(client, run_id):
            tell(event)

    while True:
        idle = min(_IDLE_SECS, patience.left())
        patience.check("run", run_id)
        try:
            with client.runs.stream(run_id, idle_timeout=idle, max_reconnects=0) as stream:
                # The stream is open before the history is asked for, so that nothing is between.
                tell_history()
                run = client.runs.get(run_id)
                if has_ended("run", run):
                    # Its end, and what was just before, may have come after the first look.
                    tell_history()
                    return run
                for event in stream:
                    tell(event)
                    if event.get("to") in TERMINAL_RUN_STATUSES:
                        break
                    patience.check("run", run_id)
        except TransportTimeoutError:
            patience.check("run", run_id)
        run = client.runs.get(run_id)
        if has_ended("run", run):
            return run


def history(client: Client, run_id: str, **filters: str) -> Iterator[Json]:
    """Return what has happened to a run, oldest first, in the form that its stream has."""
    for event in pages(client.runs.list_events, _MOST_EVENTS, run_id=run_id, **filters):
        data = event.get("data") or {}
        if event["type"] == "state_change":
            shown = {"type": "status_change", "from": data.get("from"), "to": data.get("to")}
        else:
            shown = {
                "type": "event",
                "event_type": event["type"],
                "level": event.get("level"),
                "message": event["message"],
                "data": event.get("data"),
            }
        yield {**shown, "run_id": event["run_id"], "timestamp": event["created_at"]}


def _follow_workflow_run(
    client: Client, run_id: str, told: Callable[[Json], None], patience: Patience
) -> Json:
    """Look again and again: workflow runs have no stream."""
    stands: dict[str, str] = {}
    pause = _FIRST_LOOK_SECS
    while True:
        run = client.workflow_runs.get(run_id)
        steps = list(pages(client.workflow_runs.list_steps, _MOST_EVENTS, workflow_run_id=run_id))
        moved = [step for step in steps if stands.get(step["id"]) != step["status"]]
        for step in sorted(moved, key=_moment):
            stands[step["id"]] = step["status"]
            told(_step_event(run_id, step))
        if has_ended("workflow run", run):
            return run
        patience.check("workflow run", run_id)
        pause = _FIRST_LOOK_SECS if moved else min(pause * 1.5, _LONGEST_LOOK_SECS)
        time.sleep(min(pause, max(patience.left(), 0.0)))


def _moment(step: Json) -> str:
    return str(step.get("finished_at") or step.get("started_at") or step["created_at"])


def _step_event(run_id: str, step: Json) -> Json:
    return {
        "type": "step",
        "workflow_run_id": run_id,
        "step_ref": step["step_ref"],
        "status": step["status"],
        "job_run_id": step.get("job_run_id"),
        "error": step.get("error"),
        "timestamp": _moment(step),
        "took": output.took(step),
    }


class Teller:
    """Tells a person on a terminal what happens to a run; its progress is a bar."""

    def __init__(self, *, only_logs: bool = False, level: str = "") -> None:
        self._only_logs = only_logs
        self._level = level
        self._line = LiveLine()

    def __call__(self, event: Json) -> None:
        """Tell of an event."""
        if event.get("event_type") == "progress" and not self._only_logs:
            self._progress(event)
            return
        text = log_line(event, self._level) if self._only_logs else line(event)
        if text:
            self._line.above(text)

    def _progress(self, event: Json) -> None:
        data = event.get("data") or {}
        percent = data.get("percent")
        message = output.clean(event.get("message") or "")
        if percent is None or not self._line.move(float(percent) / 100, message):
            share = "" if percent is None else f"{percent:g} % "
            self._line.above(f"{output.clock(event['timestamp'])}  progress  {share}{message}")

    def end(self) -> None:
        """Take the bar away."""
        self._line.end()


def line(event: Json) -> str:
    """Return an event of a run or a workflow run as one line."""
    at = output.clock(event.get("timestamp"))
    match event["type"]:
        case "status_change":
            before = f"{event['from']} → " if event.get("from") else ""
            error = f"  {output.clean(event['error'])}" if event.get("error") else ""
            return f"{at}  {before}{event.get('to')}{error}"
        case "step":
            error = f"  {output.clean(event['error'])}" if event.get("error") else ""
            took = f"  {event['took']}" if event.get("took") else ""
            return f"{at}  step {event['step_ref']}  {event['status']}{took}{error}"
        case _:
            kind = event.get("event_type") or event["type"]
            level = event.get("level") or ""
            head = kind if level in {"", "info"} else f"{kind} {level}"
            return f"{at}  {head}  {output.clean(event.get('message') or '')}".rstrip()


_LEVELS = ("debug", "info", "warn", "error")


def is_log(event: Json, level: str = "") -> bool:
    """Say whether an event is a line of a log, of a level or above."""
    if event.get("event_type") != "log":
        return False
    given = {"warning": "warn"}.get(str(event.get("level")), event.get("level"))
    if not level or given not in _LEVELS:
        return True
    return _LEVELS.index(given) >= _LEVELS.index(level)


def log_line(event: Json, level: str = "") -> str:
    """Return a line of a log; empty for other events and lower levels."""
    if not is_log(event, level):
        return ""
    at, how = output.clock(event.get("timestamp")), event.get("level") or "info"
    return f"{at}  {how:<5}  {output.clean(event.get('message') or '')}"
