"""What a run context knows and asks of the platform, written once for all contexts.

A `RunSession` holds the run's facts and makes each call as a flow; `context` has the two faces
of it, one with methods to await and one whose methods block. Nothing is created here before it
is used, so that a handler that needs no context costs none.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from strait.authoring.cancellation import Cancellation, outlived
from strait.authoring.flow import Call, Flow, as_json, items_of, run_flow_async
from strait.authoring.logs import LogForwarder, make_logger
from strait.authoring.recorded.calls import Attempt
from strait.authoring.recorded.journal import Journal
from strait.authoring.recorded.step import Beyond, Ledger, NothingRecorded, check_no_step
from strait.authoring.run_state import RunState, entry_of
from strait.authoring.validation import MAX_WAIT_SECS, Checks
from strait.errors import HttpError, StraitError, UnsupportedByPlatform
from strait.fsm import is_terminal_run_status
from strait.reserved import child_outcome_key, event_state_key, spawn_key

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Mapping
    from typing import Literal, TypeAlias

    from strait.authoring.logs import LogBody
    from strait.authoring.recorded.values import BlobStore, Codec
    from strait.authoring.run_api import RunContextClient
    from strait.errors import Json

    Outcome: TypeAlias = Literal["", "completed", "failed", "waiting"]

T = TypeVar("T")
_log = logging.getLogger("strait.authoring")
# Answers of a platform version that has no such operation.
_NO_SUCH_OPERATION = (404, 410, 501)


class AttemptSuspended(BaseException):
    """Ends an attempt whose run now waits; the host answers the dispatch with it.

    It is no `Exception`, so that a handler's `except Exception` does not keep a waiting run
    going. When what the run waits for has come, the run is dispatched again from its beginning.
    """


class RunSession(RunState):
    """One attempt of one run.

    Args:
        make_api: returns `client.sdk_runs`; called when that is first needed.
        run_id: the run.
        attempt: which attempt of the run this is, from 1.
        hosted: whether a wait ends the attempt by `AttemptSuspended`.
        loop: the loop that log lines are sent on.
        unsupported: operations that this platform is known to lack; shared by the runs of a host.
    """

    def __init__(
        self,
        make_api: Callable[[], RunContextClient],
        run_id: str,
        attempt: int = 1,
        *,
        hosted: bool = False,
        loop: asyncio.AbstractEventLoop | None = None,
        unsupported: set[str] | None = None,
    ) -> None:
        self._make_api = make_api
        self._api: RunContextClient | None = None
        self.run_id = run_id
        self.attempt = attempt
        self.job_id = ""
        self.project_id = ""
        self.payload: Json = None
        self.deadline: float | None = None
        self.last_checkpoint: Json = None
        self.previous_error: str | None = None
        self.secrets: Mapping[str, str] = {}
        self.outcome: Outcome = ""
        self.cancellation = Cancellation()
        # A host is told of an answer that says that the run goes on without this attempt.
        self.on_outlived: Callable[[str], object] = self.cancellation.tell
        self.outlived = False
        self._ending = False
        self._hosted = hosted
        self._loop = loop
        self._unsupported: set[str] = set() if unsupported is None else unsupported
        self._waits: Counter[str] = Counter()
        self._spawned: Counter[str] = Counter()
        self.now_us: Callable[[], int] = _system_now_us
        self.undo_by_platform = False
        self.codec: Codec | None = None
        self.blobs: BlobStore | None = None
        self._reserved: dict[str, Json] | None = None
        self._attempt: Attempt | None = None
        self._logger: logging.Logger | None = None
        self._forwarder: LogForwarder | None = None

    @property
    def recorded(self) -> Attempt:
        """What is recorded of the run, and its waits."""
        if self._attempt is None:
            self._attempt = Attempt(
                self.run_id,
                lambda: self.api,
                self.make_ledger(),
                self.run,
                self.suspend,
                self.now_us,
            )
        return self._attempt

    def make_ledger(self) -> Ledger:
        """Return what the steps of this attempt share; a replay in a test has another."""
        journal = Journal(lambda: self.api, self.run_id)
        secrets = tuple(self.secrets.values())
        return Ledger(journal, self.run_id, self.codec, self.blobs, secrets)

    @property
    def undoable(self) -> bool:
        """Whether steps of this attempt are to be undone when the run fails for good."""
        return self._attempt is not None and bool(self._attempt.ledger.undoable)

    def _must_be_recorded(self, kind: str, name: str) -> None:
        """End a replay at what was never done; see `Ledger.must_be_recorded`."""
        if self._attempt is not None:
            self._attempt.ledger.must_be_recorded(kind, name)

    def next_wait(self, event_key: str) -> int:
        """Return which wait for a key of this attempt the next one is, from 0.

        A handler starts anew after every wait, so the n-th wait for a key within an attempt is the
        same one each time.
        """
        occurrence = self._waits[event_key]
        self._waits[event_key] += 1
        return occurrence

    # -- plumbing ------------------------------------------------------------------------------

    @property
    def api(self) -> RunContextClient:
        """The service that the calls go to."""
        if self._api is None:
            self._api = self._make_api()
        return self._api

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow; a client that blocks is called in a thread."""
        blocks = not inspect.iscoroutinefunction(self.api.heartbeat_run)
        try:
            return await run_flow_async(flow, in_thread=blocks)
        except StraitError as error:
            if reason := outlived(error):
                self.note_outlived(reason)
            raise

    def note_outlived(self, reason: str) -> None:
        """Tell that the run goes on, or has ended, without this attempt.

        Of a run that the handler itself has ended, or let wait, that is no news.
        """
        if self.outcome == "" and not self._ending:
            self.on_outlived(reason)

    async def ask(self, call: Call) -> object:
        """Make one call."""

        def flow() -> Flow[object]:
            return (yield call)

        return await self.run(flow())

    @property
    def logger(self) -> logging.Logger:
        """The logger of this attempt."""
        if self._logger is None:
            self._logger = make_logger(self.run_id, self.log_handler())
        return self._logger

    def log_handler(self) -> logging.Handler:
        """Return what forwards log records; the test harness has another."""
        self._forwarder = LogForwarder(self.send_log, self._loop)
        return self._forwarder

    async def send_log(self, body: LogBody) -> None:
        """Send one log body to the run's events."""

        def flow() -> Flow[None]:
            yield lambda: self.api.log_run(self.run_id, body)

        await self.run(flow())

    async def drain(self) -> None:
        """Return once all log lines are sent; a run that has ended takes none any more."""
        if self._forwarder is not None:
            await self._forwarder.drain()

    def suspend(self) -> None:
        """Note that the run waits, and end the attempt if a host runs it."""
        self.outcome = "waiting"
        if self._hosted:
            raise AttemptSuspended(self.run_id)

    def _optional(self, what: str, call: Call) -> Flow[None]:
        """Make a call that some platforms lack; that is told once and never fails a run."""
        if what in self._unsupported:
            return
        try:
            yield call
        except (HttpError, UnsupportedByPlatform) as error:
            known = error.status is None or error.status in _NO_SUCH_OPERATION
            if not known or self.outcome in ("completed", "failed"):
                raise
            self._unsupported.add(what)
            _log.warning(
                "this platform takes no %s (%s); they are counted in this process only",
                what,
                error,
            )

    # -- what a handler can do -----------------------------------------------------------------

    def checkpoint(self, state: Json) -> Flow[None]:
        """Persist a state for the next attempt."""
        yield lambda: self.api.checkpoint_run(self.run_id, {"state": state, "source": "sdk"})

    def report_progress(
        self, percent: float, message: str | None, step: str | None, eta_seconds: int | None
    ) -> Flow[None]:
        """Report how far the run is."""
        if isinstance(percent, bool) or not 0 <= percent <= 100:
            raise Checks("report_progress").refuse(
                f"`percent` must be a number from 0 to 100, not {percent!r}"
            )
        body = {"percent": percent, "message": message or f"{percent:g} %"}
        body |= _given(step=step, eta_seconds=eta_seconds)
        yield lambda: self.api.progress_run(self.run_id, body)

    def heartbeat(self) -> Flow[None]:
        """Say that the run is alive."""
        yield lambda: self.api.heartbeat_run(self.run_id)

    def report_usage(
        self,
        provider: str,
        model: str,
        prompt_tokens: int | None,
        completion_tokens: int | None,
        total_tokens: int | None,
        cost_microusd: int | None,
    ) -> Flow[None]:
        """Report the usage of a language model."""
        body = {"provider": provider, "model": model} | _given(
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            total_tokens=total_tokens,
            cost_microusd=cost_microusd,
        )
        yield from self._optional("usage reports", lambda: self.api.usage_run(self.run_id, body))

    def log_tool_call(
        self,
        tool_name: str,
        input: Json | None,
        output: Json | None,
        duration_ms: int | None,
        status: str | None,
    ) -> Flow[None]:
        """Report the call of a tool."""
        body = {"tool_name": tool_name} | _given(
            input=input, output=output, duration_ms=duration_ms, status=status
        )
        yield from self._optional("tool calls", lambda: self.api.tool_call_run(self.run_id, body))

    def save_output(self, key: str, value: Json, schema: Json | None) -> Flow[None]:
        """Save a named output."""
        body = {"output_key": key, "value": value} | _given(schema=schema)
        yield lambda: self.api.output_run(self.run_id, body)

    def stream_chunk(self, chunk: str, stream_id: str | None, done: bool | None) -> Flow[None]:
        """Publish a chunk of a stream."""
        if not isinstance(chunk, str):
            raise Checks("stream_chunk").refuse(
                f"`chunk` must be a string, not {chunk!r}; write JSON with `json.dumps`"
            )
        body = {"chunk": chunk} | _given(stream_id=stream_id, done=done)
        yield lambda: self.api.stream_run(self.run_id, body)

    def annotate(self, annotations: Mapping[str, str]) -> Flow[None]:
        """Lay entries over the run's metadata."""
        checks = Checks("annotate")
        if not 1 <= len(annotations) <= 50:
            raise checks.refuse(f"`annotations` must have 1 to 50 entries, not {len(annotations)}")
        for key, value in annotations.items():
            checks.text("annotations key", key, longest=128)
            if not isinstance(value, str) or len(value) > 1024:
                raise checks.refuse(
                    f"`annotations[{key!r}]` must be a string of at most 1024 characters"
                )
        body = {"annotations": dict(annotations)}
        yield lambda: self.api.annotate_run(self.run_id, body)

    def spawn(self, job_slug: str, project_id: str, payload: Json, extra: Json) -> Flow[Json]:
        """Start a child run; with `await_completion`, return how it ended, or wait until it has."""
        body = self._child(job_slug, project_id, payload) | _given(**extra)
        if extra.get("await_completion"):
            return (yield from self._awaited([body]))[0]
        if spawn_key(body.get("spawn_key", "")) not in (yield from self._kept_by_replay()):
            self._must_be_recorded("child", job_slug)
        return as_json((yield lambda: self.api.spawn_run(self.run_id, body)))

    def spawn_many(
        self, job_slug: str, payloads: Iterable[Json], project_id: str
    ) -> Flow[list[Json]]:
        """Start a child run for each payload; return how all ended, or wait until they have."""
        bodies = [self._child(job_slug, project_id, payload) for payload in payloads]
        return (yield from self._awaited(bodies)) if bodies else []

    def _awaited(self, bodies: list[dict[str, Json]]) -> Flow[list[Json]]:
        """Start children and return how they ended, or let the run wait until all have."""
        check_no_step("spawn")
        outcomes = yield from self._outcomes(bodies)
        if all(outcomes):
            return outcomes
        self._must_be_recorded("child", bodies[outcomes.index(None)]["job_slug"])
        children = []
        for index, body in enumerate(bodies):
            if not outcomes[index]:
                # Only the last one lets the run wait, for all of its children. If an earlier one
                # did, and ended at once, the run would be dispatched again in the middle of this.
                body["await_completion"] = all(outcomes[index + 1 :])
                call = partial(self.api.spawn_run, self.run_id, body)
                children.append(as_json((yield call)))
        if self._hosted and is_terminal_run_status(children[-1].get("status", "")):
            # It has ended meanwhile; if the others have, too, there is nothing to wait for, and
            # the platform lets the run go on.
            self._reserved = None
            outcomes = yield from self._outcomes(bodies)
            if all(outcomes):
                return outcomes
        self.suspend()
        return children

    def _outcomes(self, bodies: list[dict[str, Json]]) -> Flow[list[Json]]:
        """Return how each child ended; None where it has not, or is not there."""
        kept = (yield from self._kept()) if self._hosted else {}
        return [_outcome(kept, body.get("spawn_key", "")) for body in bodies]

    def _child(self, job_slug: str, project_id: str, payload: Json) -> dict[str, Json]:
        """Return the body that starts a child.

        Its name is its place in the attempt, under which the server finds the child that the
        same call of an earlier dispatch started, instead of starting another.
        """
        checks = Checks("spawn")
        checks.text("job_slug", job_slug)
        project = project_id or self.project_id
        if not project:
            raise checks.refuse("`project_id` is missing; this context does not know it")
        name = f"{self._spawned[job_slug]}:{job_slug}"
        self._spawned[job_slug] += 1
        body = {"job_slug": job_slug, "project_id": project} | _given(payload=payload)
        # Outside of a host nobody makes the same call again.
        return body | ({"spawn_key": name} if self._hosted else {})

    def _kept_by_replay(self) -> Flow[dict[str, Json]]:
        """Return what the runtime keeps, where only that counts; else nothing, unread."""
        if self._attempt is None or not self._attempt.ledger.is_replay:
            return {}
        return (yield from self._kept())

    def _kept(self) -> Flow[dict[str, Json]]:
        """Return what the runtime keeps in the run's state; it is read once in an attempt."""
        if self._reserved is None:
            rows = yield lambda: self.api.list_state(self.run_id)
            entries = [entry_of(as_json(row)) for row in items_of(rows)]
            self._reserved = {entry["key"]: entry["value"] for entry in entries}
        return self._reserved

    def continue_run(self, payload: Json) -> Flow[Json]:
        """Start the run that continues this one."""
        body = _given(payload=payload)
        return as_json((yield lambda: self.api.continue_run(self.run_id, body)))

    def wait_for_event(
        self, event_key: str, timeout_secs: int | None, notify_url: str | None
    ) -> Flow[Json]:
        """Return what came to an event, or let the run wait for it."""
        body = self.wait_body(event_key, timeout_secs, notify_url)
        kept = yield from self._read(event_state_key(event_key, self.next_wait(event_key)))
        if kept is not None:
            return kept["payload"]
        self._must_be_recorded("event", event_key)
        answer = as_json((yield lambda: self.api.wait_for_event_run(self.run_id, body)))
        self.suspend()
        return answer

    def wait_body(
        self, event_key: str, timeout_secs: int | None, notify_url: str | None
    ) -> dict[str, Json]:
        """Check what a wait was asked with and return the body of the request."""
        check_no_step("wait_for_event")
        checks = Checks("wait_for_event")
        checks.text("event_key", event_key, longest=512)
        checks.number("timeout_secs", timeout_secs, least=1, most=MAX_WAIT_SECS)
        if notify_url is not None:
            checks.url("notify_url", notify_url)
        fields = _given(timeout_secs=timeout_secs, notify_url=notify_url)
        return {"event_key": event_key, **fields}

    def complete(self, result: Json) -> Flow[None]:
        """End the run with a result."""
        body = _given(result=result)
        yield from self._end("completed", lambda: self.api.complete_run(self.run_id, body))

    def fail(self, error: str) -> Flow[None]:
        """End the run with an error; no attempt follows."""
        body = {"error": error or "failed"}
        yield from self._end("failed", lambda: self.api.fail_run(self.run_id, body))

    def _end(self, outcome: Outcome, call: Call) -> Flow[None]:
        if self._attempt is not None and self._attempt.ledger.only_recorded:
            raise NothingRecorded(Beyond("end", outcome))
        # A run that has ended takes no logs any more.
        yield self.drain
        self._ending = True
        try:
            yield call
            self.outcome = outcome
        finally:
            self._ending = False


def _system_now_us() -> int:
    return time.time_ns() // 1_000


def _outcome(kept: Mapping[str, Json], name: str) -> Json:
    """Return how the child of a name ended; None while it has not, or is not there."""
    child = kept.get(spawn_key(name))
    return None if child is None else kept.get(child_outcome_key(child))


def _given(**fields: Json) -> dict[str, Json]:
    """Return the fields that are not None; everything else, also `{}` and 0, was meant."""
    return {name: value for name, value in fields.items() if value is not None}
