"""Sending runs to their handlers, and taking in what they answer (`contract/runs.md` §4)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

from strait.clock import SECOND
from strait.engine import outcomes
from strait.engine import runs as engine
from strait.engine.circuit import Circuit
from strait.engine.model import Job, Run
from strait.engine.queue import Ticket
from strait.server import dispatches, limits
from strait.server.answers import fitting, read_answer
from strait.server.dispatches import Dispatch
from strait.server.jobs_cache import JobEntry
from strait.server.outbound import Answer, CallError
from strait.server.unit import Unit
from strait.server.work import runs
from strait.store import runs as run_rows
from strait.store.writer import StoreUnavailable

if TYPE_CHECKING:
    from strait.server.platform import Platform

# How often a run that is with its handler is marked as alive (§6.4).
HEARTBEAT_SECS = 10
# A disk that is full stays full for a while; asking each second is soon enough.
_STORE_RETRY_SECS = 1.0
# How soon a run looks again while one call tries an endpoint whose circuit was open.
_TRIAL_SECS = 5
# How much longer than its attempt may take a call is held open.
_HANG_UP_SECS = 60


class Dispatcher:
    """Calls handlers, at most `max_in_flight` at a time."""

    def __init__(self, platform: Platform, *, max_in_flight: int) -> None:
        self._platform = platform
        self._max_in_flight = max_in_flight
        self._outbound = platform.outside.outbound(
            max_body_bytes=outcomes.MAX_RESULT_BYTES, reach=platform.reach
        )
        self._calls: dict[str, tuple[str, asyncio.Task[None]]] = {}
        self._beginning = 0
        self._stopping = False
        self._circuits: dict[tuple[str, str], Circuit] = defaultdict(Circuit)
        self._beating = False
        self._seen: frozenset[str] = frozenset()
        limited = platform.settings.limits == limits.PLATFORM
        self._longest_secs = limits.DISPATCH_SECS if limited else None

    def has_room(self) -> bool:
        """Return whether one more handler may be called."""
        return len(self._calls) + self._beginning < self._max_in_flight

    @property
    def in_flight(self) -> int:
        """How many handlers are being called."""
        return len(self._calls)

    def beating(self) -> list[tuple[str, str]]:
        """Return the runs (id, assignment) that were with their handlers at the last beat too.

        Whoever asks is the beat, so that a run costs nothing that is over before its second one.
        """
        calls = [(run_id, assignment) for run_id, (assignment, _) in self._calls.items()]
        long = [(run_id, assignment) for run_id, assignment in calls if assignment in self._seen]
        self._seen = frozenset(assignment for _, assignment in calls)
        self._beating = bool(calls)
        if calls:
            self._beat_later()
        return long

    def _beat_later(self) -> None:
        platform = self._platform
        platform.timers.set(("heartbeats", ""), platform.clock.now() + HEARTBEAT_SECS * SECOND)

    def begin(self, ticket: Ticket) -> None:
        """Start a run: write that it executes, and call its handler."""
        self._beginning += 1
        started = self._platform.write(lambda unit: self._start(unit, ticket))
        started.add_done_callback(lambda done: self._begun(ticket, done))

    def start_new(
        self, unit: Unit, state: engine.State, payload: str | None
    ) -> engine.Transition | None:
        """Start a run in the transaction that makes it, and call its handler after the commit.

        None says that it has to wait, or that somebody has to look closer: it takes the way
        through the queue.
        """
        run = state.run
        if self._stopping or run.status != "queued" or run.execution_mode == "worker":
            return None
        entry = unit.platform.jobs.for_run(unit.db, run)
        if entry is None or not self._circuit(entry.job, entry.endpoint_url).is_closed:
            return None
        ticket = self._platform.scheduler.take(state)
        if ticket is None:
            return None
        self._beginning += 1
        unit.if_undone(lambda: self._not_begun(ticket))
        timeout = self._timeout_secs(run, entry.job)
        transition, dispatch = dispatches.start_new(unit, state, payload, entry, timeout)
        unit.after(lambda: self._launch_begun(dispatch))
        return transition

    def _not_begun(self, ticket: Ticket) -> None:
        self._beginning -= 1
        self._platform.scheduler.freed(ticket.run_id)

    def _launch_begun(self, dispatch: Dispatch) -> None:
        self._beginning -= 1
        self._launch(dispatch)

    def abort(self, run_id: str) -> None:
        """End the call of a run that no longer matters."""
        call = self._calls.pop(run_id, None)
        if call is not None:
            call[1].cancel()

    async def stop(self, drain_secs: float) -> None:
        """Let handlers that are running finish for a while, then end their calls.

        Runs whose calls are ended stay `executing` on disk; the next server dispatches them again.
        """
        self._stopping = True
        await self._platform.writer.drain()
        tasks = [task for _, task in self._calls.values()]
        if tasks and drain_secs > 0:
            await asyncio.wait(tasks, timeout=drain_secs)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._outbound.close()

    # ------------------------------------------------------------------------------------ start

    def _begun(self, ticket: Ticket, done: asyncio.Future[bool]) -> None:
        self._beginning -= 1
        error = done.exception() if not done.cancelled() else None
        if error is not None:
            self._platform.report("a run could not be started", error)
            self.abort(ticket.run_id)
            self._platform.retry_later(ticket.run_id, _STORE_RETRY_SECS)
        if error is not None or not done.result():
            self._platform.scheduler.freed(ticket.run_id)

    def _start(self, unit: Unit, ticket: Ticket) -> bool:
        """Write the start of a dispatch; return whether the run is now executing."""
        found = None if self._stopping else dispatches.startable(unit, ticket.run_id)
        if found is None:
            return False
        stored, _, entry = found
        if not self._admitted(unit, stored, entry):
            return False
        timeout = self._timeout_secs(stored.run, entry.job)
        first = not stored.state.assignment
        dispatch = dispatches.start(unit, ticket, found, timeout)
        if dispatch is None:
            return False
        if first:
            # Its trigger is on disk; if this start is lost with the server it is dispatched anew.
            self._launch(dispatch)
        else:
            unit.after(lambda: self._launch(dispatch))
        return True

    def _timeout_secs(self, run: Run, job: Job) -> int:
        secs = engine.timeout_secs(run, job)
        return secs if self._longest_secs is None else min(secs, self._longest_secs)

    def _admitted(self, unit: Unit, stored: run_rows.Stored, entry: JobEntry) -> bool:
        circuit = self._circuit(entry.job, entry.endpoint_url)
        if circuit.admit(unit.now):
            # A trial that is not made after all must not keep all others waiting for what it shows.
            unit.if_undone(circuit.cancelled)
            return True
        trying = circuit.open_until <= unit.now
        until = unit.now + _TRIAL_SECS * SECOND if trying else circuit.open_until
        event = engine.Snoozed(until, "endpoint circuit breaker open", counts=not trying)
        runs.apply(unit, stored, event)
        return False

    # ------------------------------------------------------------------------------------- call

    def _launch(self, dispatch: Dispatch) -> None:
        # A handler that has not let go of an older dispatch of the run has nothing to say any more.
        self.abort(dispatch.run.id)
        task = asyncio.get_running_loop().create_task(self._call(dispatch))
        self._calls[dispatch.run.id] = (dispatch.assignment, task)
        if not self._beating:
            self._beating = True
            self._beat_later()
        task.add_done_callback(lambda done: self._called(dispatch, done))

    def _called(self, dispatch: Dispatch, done: asyncio.Task[None]) -> None:
        run_id = dispatch.run.id
        if self._calls.get(run_id, ("",))[0] == dispatch.assignment:
            del self._calls[run_id]
        if done.cancelled():
            # It was canceled, paused or timed out, or the server stops: nothing is known.
            self._circuit(dispatch.job, dispatch.entry.endpoint_url).cancelled()
        elif (error := done.exception()) is not None:
            self._platform.report("the call of a run broke", error, subject=run_id)
        self._platform.scheduler.pump()

    async def _call(self, dispatch: Dispatch) -> None:
        tracing = self._platform.tracing
        if tracing is None:
            await self._call_and_take_in(dispatch)
            return
        with tracing.dispatch(dispatch.run, dispatch.headers) as span:
            span.ended(await self._call_and_take_in(dispatch._replace(headers=span.headers)))

    async def _call_and_take_in(
        self, dispatch: Dispatch
    ) -> outcomes.Succeeded | outcomes.Erred | None:
        # The run's own deadline ends the call as a rule. This bounds what a handler may hold on to
        # after the run was completed or began to wait.
        limit: int | None = self._timeout_secs(dispatch.run, dispatch.job) + _HANG_UP_SECS
        if self._platform.development is not None:
            limit = None  # somebody may look at the handler in a debugger
        try:
            async with asyncio.timeout(limit):
                outcome = await self._outcome(dispatch)
        except TimeoutError:
            self._circuit(dispatch.job, dispatch.entry.endpoint_url).cancelled()
            return None
        await self._take_in(dispatch, outcome)
        return outcome

    def _circuit(self, job: Job, url: str) -> Circuit:
        return self._circuits[job.project_id, url]

    async def _outcome(self, dispatch: Dispatch) -> outcomes.Succeeded | outcomes.Erred | None:
        """Call the endpoint, and its fallback where that may help; None means: dispatch anew."""
        job = dispatch.job
        outcome = await self._ask(dispatch.entry.endpoint_url, dispatch)
        if (
            not isinstance(outcome, outcomes.Erred)
            or not job.fallback_endpoint_url
            or outcome.error_class not in outcomes.FALLBACK_CLASSES
        ):
            return outcome
        second = await self._ask(job.fallback_endpoint_url, dispatch)
        if not isinstance(second, outcomes.Erred):
            return second
        return outcomes.Erred(
            f"{outcome.error}; fallback: {second.error}",
            second.error_class,
            second.retry_after_secs,
            second.final,
        )

    async def _ask(
        self, url: str, dispatch: Dispatch
    ) -> outcomes.Succeeded | outcomes.Erred | None:
        circuit = self._circuit(dispatch.job, url)
        try:
            answer = await self._send(url, dispatch)
        except CallError as error:
            if error.reusable_broke:
                circuit.cancelled()
                return None
            if error.error_class == "connection":
                self._unreachable(url, circuit)
            return outcomes.Erred(
                str(error), error.error_class, final=error.error_class == "client"
            )
        if answer.status >= 500:
            circuit.failed(self._platform.clock.now())
        else:
            circuit.succeeded()
        return fitting(read_answer(answer, self._platform.clock.now()), dispatch.job)

    def _unreachable(self, url: str, circuit: Circuit) -> None:
        """Count that an endpoint cannot be reached.

        Not of a process of our own: `strait dev` knows when it has died and when there is another,
        and what waits must not be put off for a minute because of it.
        """
        development = self._platform.development
        if development is not None and development.hosts(url):
            circuit.cancelled()
        else:
            circuit.failed(self._platform.clock.now())

    async def _send(self, url: str, dispatch: Dispatch) -> Answer:
        development = self._platform.development
        host = None if development is None else development.host_of(url)
        if development is None or host is None:
            return await self._outbound.post(url, dispatch.headers, dispatch.payload)
        host.entered(dispatch.assignment)
        try:
            at = development.url_at(host, url)
            return await self._outbound.post(at, dispatch.headers, dispatch.payload)
        except CallError as error:
            # Ended by us, the code has not failed: the same attempt begins anew in the present one.
            error.reusable_broke = error.reusable_broke or host.closed
            raise
        finally:
            host.left(dispatch.assignment)

    def forget_circuits(self, prefix: str) -> None:
        """Let calls to addresses with a prefix go out, whatever became of earlier ones."""
        for key in [key for key in self._circuits if key[1].startswith(prefix)]:
            del self._circuits[key]

    async def _take_in(
        self, dispatch: Dispatch, outcome: outcomes.Succeeded | outcomes.Erred | None
    ) -> None:
        event: engine.Event
        if outcome is None:
            event = engine.Recovered("the kept connection to the endpoint was closed")
        else:
            event = engine.Answered(
                dispatch.assignment, outcome, dispatch.job, self._platform.outside.chance()
            )
        while True:
            try:
                await self._platform.write(lambda unit: self._answered(unit, dispatch, event))
            except StoreUnavailable as error:
                self._platform.report("the end of a run could not be written", error)
                await self._platform.nap(_STORE_RETRY_SECS)
            else:
                return

    def _answered(self, unit: Unit, dispatch: Dispatch, event: engine.Event) -> None:
        try:
            # As a rule nobody has touched the run since its start, and it need not be read.
            runs.apply(unit, dispatch.stored, event)
            return
        except run_rows.StaleWrite:
            stored = run_rows.load(unit.db, dispatch.run.id)
        if stored is not None and stored.state.assignment == dispatch.assignment:
            runs.apply(unit, stored, event)
