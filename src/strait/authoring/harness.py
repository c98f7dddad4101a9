"""The test harness: a run context that records, for unit tests of handlers without a platform.

The context is the real one; only what stands behind it is in memory. It refuses what the
platform refuses: a run that has ended takes nothing any more.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, overload

from strait.authoring.cancellation import Cancellation
from strait.authoring.context import RunContext
from strait.authoring.logs import RecordingHandler
from strait.authoring.recorded.errors import MAX_VALUE_BYTES, ChildFailed
from strait.authoring.session import RunSession
from strait.authoring.sync_context import SyncRunContext
from strait.client.body import encode
from strait.clock import from_timestamp
from strait.errors import NotFoundError, map_http_error
from strait.reserved import (
    SLEEP_PREFIX,
    STATE_PREFIX,
    STEP_PREFIX,
    child_outcome_key,
    event_state_key,
)

if TYPE_CHECKING:
    import logging
    from typing import Unpack

    from strait.authoring.flow import Flow
    from strait.errors import Json

T = TypeVar("T")
# What a host is told; a child needs one.
_PROJECT = "proj_test"
_LARGEST_BODY = 1_048_576


@dataclass(slots=True)
class TestRunRecord:
    """Everything that a handler did; values are copies, as a platform would read them at the call.

    Attributes:
        checkpoints: the states given to `checkpoint`.
        logs: the log events: `level`, `message`, and `data` with the traceback of an exception.
        usage_reports: what was given to `report_usage`.
        tool_calls: what was given to `log_tool_call`.
        outputs: `key`, `value` and `schema` of saved outputs.
        progress_updates: what was given to `report_progress`.
        state_store: the key-value store as it is now.
        stream_chunks: the published chunks.
        heartbeats: how often `heartbeat` was called.
        spawns: the child runs that were started.
        events: the waits for events.
        annotations: what was given to `annotate`.
        continuations: what was given to `continue_run`.
        completed: whether `complete` was called.
        failed: whether `fail` was called.
        fail_error: the text given to `fail`.
        result: the value given to `complete`.
        steps: the steps that were carried out: `name`, `occurrence`, `status`, `output` or `error`.
        sleeps: the sleeps: `name` and `wake_at`.
        cancellation: what the context's `cancelled` goes by; `cancel` tells it.
    """

    # Its name starts with `Test`; pytest must not look for tests in it.
    __test__ = False

    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    logs: list[dict[str, Any]] = field(default_factory=list)
    usage_reports: list[dict[str, Any]] = field(default_factory=list)
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    progress_updates: list[dict[str, Any]] = field(default_factory=list)
    state_store: dict[str, Any] = field(default_factory=dict)
    stream_chunks: list[dict[str, Any]] = field(default_factory=list)
    heartbeats: int = 0
    spawns: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, str]] = field(default_factory=list)
    continuations: list[dict[str, Any]] = field(default_factory=list)
    completed: bool = False
    failed: bool = False
    fail_error: str | None = None
    result: Json | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)
    sleeps: list[dict[str, Any]] = field(default_factory=list)
    cancellation: Cancellation = field(default_factory=Cancellation, repr=False, compare=False)

    def cancel(self, reason: str = "canceled by the test") -> None:
        """Tell the handler that its attempt is to end, as a host does when a run is canceled.

        `ctx.cancelled` becomes true and `ctx.wait_cancelled` returns; any thread may call it.
        """
        self.cancellation.tell(reason)


class RecordingRuns:
    """`client.sdk_runs` in memory: it writes a `TestRunRecord` and answers like the platform.

    Args:
        record: where it writes.
        kept: what the runtime keeps in the run's state; the same for all attempts of a run.
    """

    def __init__(self, record: TestRunRecord, kept: dict[str, Json] | None = None) -> None:
        self._record = record
        self.kept: dict[str, Json] = {} if kept is None else kept
        self.pass_over: Callable[[Mapping[str, Json]], None] = lambda waits: None

    def _open(self, body: Json) -> Json:
        """Return a body as a platform reads it; refuse it if it is no JSON, or the run has ended.

        What is recorded is a copy for that reason, too.
        """
        written = encode(body)
        if len(written) > _LARGEST_BODY:
            raise map_http_error(413, f"request body is larger than {_LARGEST_BODY} bytes")
        sent = json.loads(written)
        if self._record.completed or self._record.failed:
            raise map_http_error(410, "run has reached a terminal state")
        return sent

    async def checkpoint_run(self, run_id: str, body: dict[str, Json], /) -> None:
        """Record a state."""
        self._record.checkpoints.append(self._open(body)["state"])

    async def heartbeat_run(self, run_id: str, /) -> None:
        """Count a heartbeat."""
        self._open(run_id)
        self._record.heartbeats += 1

    async def progress_run(self, run_id: str, body: dict[str, Json], /) -> None:
        """Record progress."""
        self._record.progress_updates.append(self._open(body))

    async def log_run(self, run_id: str, body: dict[str, Json], /) -> None:
        """Record a log event."""
        self._record.logs.append(self._open(body))

    async def usage_run(self, run_id: str, body: dict[str, Json], /) -> None:
        """Record usage."""
        self._record.usage_reports.append(self._open(body))

    async def tool_call_run(self, run_id: str, body: dict[str, Json], /) -> None:
        """Record a tool call."""
        self._record.tool_calls.append(self._open(body))

    async def output_run(self, run_id: str, body: dict[str, Json], /) -> None:
        """Record an output under the name that `save_output` calls it by."""
        output = self._open(body)
        self._record.outputs.append({"key": output.pop("output_key"), **output})

    async def wait_for_event_run(self, run_id: str, body: dict[str, Json], /) -> dict[str, Json]:
        """Record a wait and answer as the platform does."""
        self._record.events.append(self._open(body))
        return {
            "status": "waiting",
            "event_key": body["event_key"],
            "trigger_id": "trigger_test",
            "expires_at": datetime.now(UTC).isoformat(),
        }

    async def spawn_run(self, run_id: str, body: dict[str, Json], /) -> dict[str, Json]:
        """Record a child run and number it."""
        self._record.spawns.append(self._open(body))
        return {"id": f"spawn_{len(self._record.spawns)}", "parent_run_id": run_id}

    async def continue_run(self, run_id: str, body: dict[str, Json], /) -> dict[str, Json]:
        """Record a continuation and number it."""
        self._record.continuations.append({"payload": self._open(body).get("payload")})
        return {"id": f"continue_{len(self._record.continuations)}", "continuation_of": run_id}

    async def annotate_run(self, run_id: str, body: dict[str, Json], /) -> None:
        """Record annotations."""
        self._record.annotations.append(self._open(body)["annotations"])

    async def complete_run(self, run_id: str, body: dict[str, Json], /) -> None:
        """Record the end with a result."""
        self._record.result = self._open(body).get("result")
        self._record.completed = True

    async def fail_run(self, run_id: str, body: dict[str, Json], /) -> None:
        """Record the end with an error."""
        self._record.fail_error = self._open(body)["error"]
        self._record.failed = True

    async def set_state(self, run_id: str, body: dict[str, Json], /) -> None:
        """Write a key."""
        entry = self._open(body)
        key, value = entry["key"], entry["value"]
        if len(encode(value)) > MAX_VALUE_BYTES:
            raise map_http_error(400, f"state value must be at most {MAX_VALUE_BYTES} bytes")
        if not key.startswith(STATE_PREFIX):
            self._record.state_store[key] = value
            return
        if key.startswith(STEP_PREFIX):
            shown = ("name", "occurrence", "status", "output", "error")
            self._record.steps.append({name: value[name] for name in shown if name in value})
        elif key.startswith(SLEEP_PREFIX) and key not in self.kept:
            self._record.sleeps.append(dict(value))
        self.kept[key] = value

    async def list_state(self, run_id: str, /) -> list[dict[str, Json]]:
        """Return all keys."""
        everything = {**self._record.state_store, **self.kept}
        return [_row(run_id, *entry) for entry in self._open(everything).items()]

    async def get_state(self, run_id: str, key: str, /) -> dict[str, Json]:
        """Return a key, or answer 404."""
        state = self._open(self._record.state_store)
        if key not in state:
            raise NotFoundError(404, "state key not found")
        return _row(run_id, key, state[key])

    async def suspend_run(self, run_id: str, body: dict[str, Json], /) -> dict[str, Json]:
        """Let pass at once what the run would wait for."""
        self.pass_over(self._open(body))
        return {"status": "ready"}

    async def delete_state(self, run_id: str, key: str, /) -> None:
        """Delete a key; one that is not there is fine."""
        self._open(key)
        self._record.state_store.pop(key, None)

    async def stream_run(self, run_id: str, body: dict[str, Json], /) -> None:
        """Record a chunk."""
        self._record.stream_chunks.append(self._open(body))


class TimedOut(Enum):
    """What an event is scripted as that does not come in time."""

    TIMED_OUT = "timed out"

    def __deepcopy__(self, memo: object) -> TimedOut:
        """Return itself: there is one."""
        return self


TIMED_OUT = TimedOut.TIMED_OUT


class _RecordingSession(RunSession):
    """A session whose logs are recorded at once and whose events can be scripted."""

    def __init__(
        self,
        record: TestRunRecord,
        run_id: str,
        attempt: int,
        events: Mapping[str, Json],
        children: Mapping[str, Json],
    ) -> None:
        self._runs = RecordingRuns(record)
        super().__init__(lambda: self._runs, run_id, attempt)
        self._record = record
        self.cancellation = record.cancellation
        self._runs.pass_over = self._pass_over
        self._slept_us = 0
        self.now_us = lambda: time.time_ns() // 1_000 + self._slept_us
        self._events = events
        self._children = children

    def _pass_over(self, waits: Mapping[str, Json]) -> None:
        """Bring what the run would wait for: the time, and what was scripted.

        Raises:
            LookupError: an event or a child that was not scripted.
        """
        if waits.get("wake_at"):
            ahead = from_timestamp(waits["wake_at"]) - self.now_us()
            self._slept_us += max(ahead, 0)
        for wait in waits.get("waits", ()):
            key, occurrence = wait["event_key"], wait["occurrence"]
            if key not in self._events:
                raise LookupError(f"no event `{key}` is scripted; give `events={{{key!r}: …}}`")
            scripted = copy.deepcopy(self._events[key])
            came = {"timed_out": True} if scripted is TIMED_OUT else {"payload": scripted}
            self._runs.kept[event_state_key(key, occurrence)] = {"event_key": key, **came}
        for child in waits.get("children", ()):
            spawned = self._record.spawns[int(child.rpartition("_")[2]) - 1]
            slug = spawned["job_slug"]
            if slug not in self._children:
                raise LookupError(f"no child is scripted; give `children={{{slug!r}: …}}`")
            self._runs.kept[child_outcome_key(child)] = _outcome(child, self._children[slug])

    def log_handler(self) -> logging.Handler:
        return RecordingHandler(self._record.logs)

    def wait_for_event(
        self, event_key: str, timeout_secs: int | None, notify_url: str | None
    ) -> Flow[Json]:
        body = self.wait_body(event_key, timeout_secs, notify_url)
        answer = yield lambda: self.api.wait_for_event_run(self.run_id, body)
        return copy.deepcopy(self._events.get(event_key, answer))

    def spawn(self, job_slug: str, project_id: str, payload: Json, extra: Json) -> Flow[Json]:
        child = yield from super().spawn(job_slug, project_id, payload, extra)
        return self._ended(job_slug, child) if extra.get("await_completion") else child

    def spawn_many(
        self, job_slug: str, payloads: Iterable[Json], project_id: str
    ) -> Flow[list[Json]]:
        children = yield from super().spawn_many(job_slug, payloads, project_id)
        return [self._ended(job_slug, child) for child in children]

    def _ended(self, job_slug: str, child: Json) -> Json:
        """Return how a child ended, if its result was scripted."""
        if job_slug not in self._children:
            return child
        return _outcome(child["id"], self._children[job_slug])


def _outcome(child_id: str, scripted: Json) -> Json:
    """Return how a child ended: with its result, or as the `ChildFailed` says."""
    if isinstance(scripted, ChildFailed):
        return {"run_id": child_id, "status": scripted.run_status, "error": scripted.error}
    return {"run_id": child_id, "status": "completed", "result": copy.deepcopy(scripted)}


class TestRunOptions(TypedDict, total=False):
    """What a test context starts with; `create_test_context` says what each is."""

    run_id: str
    attempt: int
    payload: Json | None
    events: Mapping[str, Json] | None
    children: Mapping[str, Json] | None
    state: Mapping[str, Json] | None
    last_checkpoint: Json | None
    secrets: Mapping[str, str] | None


@overload
def create_test_context(
    run_id: str = ...,
    attempt: int = ...,
    *,
    payload: Json | None = ...,
    events: Mapping[str, Json] | None = ...,
    children: Mapping[str, Json] | None = ...,
    state: Mapping[str, Json] | None = ...,
    last_checkpoint: Json | None = ...,
    secrets: Mapping[str, str] | None = ...,
    sync: Literal[False] = ...,
) -> tuple[RunContext, TestRunRecord]: ...


@overload
def create_test_context(
    run_id: str = ...,
    attempt: int = ...,
    *,
    payload: Json | None = ...,
    events: Mapping[str, Json] | None = ...,
    children: Mapping[str, Json] | None = ...,
    state: Mapping[str, Json] | None = ...,
    last_checkpoint: Json | None = ...,
    secrets: Mapping[str, str] | None = ...,
    sync: Literal[True],
) -> tuple[SyncRunContext, TestRunRecord]: ...


def create_test_context(
    run_id: str = "test-run",
    attempt: int = 1,
    *,
    payload: Json | None = None,
    events: Mapping[str, Json] | None = None,
    children: Mapping[str, Json] | None = None,
    state: Mapping[str, Json] | None = None,
    last_checkpoint: Json | None = None,
    secrets: Mapping[str, str] | None = None,
    sync: bool = False,
) -> tuple[RunContext | SyncRunContext, TestRunRecord]:
    """Return a context that works in memory, and the record of what is done with it.

    Args:
        run_id: the id that the context shows.
        attempt: the attempt that it shows.
        payload: what `ctx.payload` gives.
        events: `{event_key: payload}`, what `wait_for_event` returns. A wait for any other key
            returns `{"status": "waiting", ...}`, as the platform answers at first.
        children: `{job_slug: result}` of child runs that are waited for; a `ChildFailed` in place
            of the result is one that failed, `ChildFailed("run-2", "failed", "no stock")`.
        state: what the key-value store holds at the start.
        last_checkpoint: what `ctx.last_checkpoint` gives.
        secrets: what `ctx.secrets` gives.
        sync: make the context for a plain function, whose methods return when they are done.
    """
    session, record = recording_session(
        run_id=run_id,
        attempt=attempt,
        payload=payload,
        events=events,
        children=children,
        state=state,
        last_checkpoint=last_checkpoint,
        secrets=secrets,
    )
    context = SyncRunContext(session, run_now) if sync else RunContext(session)
    return context, record


def recording_session(**options: Unpack[TestRunOptions]) -> tuple[RunSession, TestRunRecord]:
    """Return what stands behind a context that works in memory, and its record."""
    record = TestRunRecord(state_store=copy.deepcopy(dict(options.get("state") or {})))
    session = _RecordingSession(
        record,
        options.get("run_id", "test-run"),
        options.get("attempt", 1),
        options.get("events") or {},
        options.get("children") or {},
    )
    session.project_id = _PROJECT
    session.payload = copy.deepcopy(options.get("payload"))
    session.last_checkpoint = copy.deepcopy(options.get("last_checkpoint"))
    session.secrets = dict(options.get("secrets") or {})
    return session, record


def run_now(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never really waits, with no loop; the harness has only such."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise RuntimeError("the coroutine waits for something; it needs an event loop")


def _row(run_id: str, key: str, value: Json) -> dict[str, Json]:
    now = datetime.now(UTC).isoformat()
    return {"run_id": run_id, "state_key": key, "value": value, "updated_at": now}
