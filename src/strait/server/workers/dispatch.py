"""Handing runs to workers, and following the workers as they come, go and fall silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from strait.clock import SECOND, to_timestamp
from strait.engine import runs as engine
from strait.engine.model import Run
from strait.engine.queue import Lane, Ticket
from strait.server import dispatches
from strait.server.dispatches import Dispatch
from strait.server.unit import Unit
from strait.server.workers import callers, results
from strait.server.workers import registration as registrations
from strait.server.workers.callers import Caller
from strait.server.workers.fleet import (
    Ack,
    Assign,
    Cancel,
    Fleet,
    Refusal,
    Stream,
    Task,
    Worker,
    WorkerId,
)
from strait.server.workers.registration import Registration, Told
from strait.store import runs as run_rows
from strait.store import workers as rows
from strait.store.writer import StoreUnavailable

if TYPE_CHECKING:
    from strait.server.platform import Platform

# A worker that says nothing for so long is taken for dead (`contract/runs.md` §10).
HEARTBEAT_TIMEOUT_SECS = 30
# How often it is written that a worker, and what it has, is alive.
_SEEN_STEP_SECS = 10
_STORE_RETRY_SECS = 1.0
# These have fields of their own in an assignment.
_OWN_FIELDS = frozenset({"x-run-id", "x-attempt", "x-run-token", "x-strait-timeout-secs"})
_SIGNED = ("x-strait-signature", "x-strait-timestamp")


class Workers:
    """The workers of a platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._fleet = Fleet()
        # What each run is with at present.
        self._current: dict[str, tuple[Worker, Task]] = {}
        # The streams whose workers are being written down.
        self._arriving: dict[Stream, Caller] = {}
        self._stopping = False

    @property
    def connected(self) -> int:
        """How many workers are connected."""
        return len(self._fleet)

    @property
    def busy_with(self) -> int:
        """How many runs are with workers, those included that are away for a moment."""
        return len(self._current)

    def stop(self) -> None:
        """End all streams. What workers have stays theirs; they come back to the next server."""
        self._stopping = True
        for worker in self._fleet.everyone():
            if worker.stream is not None:
                worker.stream.end("UNAVAILABLE", "the server is shutting down")

    # --------------------------------------------------------------------------------- who may

    def keys_changed(self) -> None:
        """End the streams whose keys open nothing any more, so that they get no more runs."""
        for worker in self._fleet.everyone():
            if worker.stream is not None:
                try:
                    callers.check(self._platform, worker.key_hash)
                except Refusal as refusal:
                    worker.stream.end(refusal.status, refusal.text)

    # ------------------------------------------------------------------------------ registration

    async def register(self, caller: Caller, told: Registration) -> tuple[Worker, Stream]:
        """Take a worker in, with what it says it has, and return it with its stream.

        Raises:
            Refusal: it cannot be registered like this.
        """
        registrations.check(told)
        worker_id = WorkerId(caller.project_id, told.worker_id)
        self._check_room(caller, worker_id)
        stream = Stream()
        self._arriving[stream] = caller
        registered = self._platform.write(
            lambda unit: self._register(unit, caller, worker_id, told, stream)
        )
        registered.add_done_callback(lambda _: self._arriving.pop(stream, None))
        try:
            await asyncio.shield(registered)
        except StoreUnavailable as error:
            raise Refusal("UNAVAILABLE", "the database cannot be written") from error
        except asyncio.CancelledError:
            # Whoever is gone by now is registered all the same, and would be given runs.
            registered.add_done_callback(lambda _: self._left_early(worker_id, stream))
            raise
        return self._fleet.of(worker_id), stream

    def _left_early(self, worker_id: WorkerId, stream: Stream) -> None:
        worker = self._fleet.get(worker_id)
        if worker is not None:
            self.left(worker, stream)

    def _check_room(self, caller: Caller, worker_id: WorkerId) -> None:
        if self._stopping:
            raise Refusal("UNAVAILABLE", "the server is shutting down")
        of_project, of_key = self._fleet.streams(caller.project_id, caller.key_id)
        known = self._fleet.get(worker_id)
        if known is not None and known.stream is not None:
            return  # it takes the place of its own stream
        arriving = self._arriving.values()
        of_project += sum(each.project_id == caller.project_id for each in arriving)
        of_key += sum(each.key_id == caller.key_id for each in arriving)
        if of_project >= registrations.MAX_PROJECT_STREAMS:
            most = registrations.MAX_PROJECT_STREAMS
            raise Refusal("RESOURCE_EXHAUSTED", f"the project has {most} worker streams already")
        if of_key >= registrations.MAX_KEY_STREAMS:
            most = registrations.MAX_KEY_STREAMS
            raise Refusal("RESOURCE_EXHAUSTED", f"the api key has {most} worker streams already")

    def _register(
        self, unit: Unit, caller: Caller, worker_id: WorkerId, told: Registration, stream: Stream
    ) -> None:
        before = rows.get(unit.db, *worker_id)
        if before is not None and not callers.may_take_over(unit, before.key_id, caller):
            raise Refusal(
                "ALREADY_EXISTS", f"worker {told.worker_id!r} is registered under another api key"
            )
        row = rows.WorkerRow(
            id=told.worker_id,
            project_id=caller.project_id,
            queue_name=",".join(sorted(told.served_queues)),
            hostname=told.hostname,
            version=told.sdk_version,
            status="active",
            last_seen_at=unit.stamp,
            registered_at=unit.stamp,
            key_id=caller.key_id,
            environment_id=caller.environment_id,
        )
        rows.put(unit.db, row)
        found = results.reconcile(unit, worker_id, told.in_flight)
        unit.after(lambda: self._attach(worker_id, caller, told, stream, found))

    def _attach(
        self,
        worker_id: WorkerId,
        caller: Caller,
        told: Registration,
        stream: Stream,
        found: results.Reconciled,
    ) -> None:
        worker = self._fleet.of(worker_id)
        if worker.stream is not None:
            worker.stream.end("ABORTED", "the worker has opened another stream")
            self._fleet.detach(worker)
        worker.key_id, worker.environment_id = caller.key_id, caller.environment_id
        worker.key_hash = caller.key_hash
        worker.queues, worker.slugs = told.served_queues, frozenset(told.job_slugs)
        worker.slots_total = told.slots_total
        self._forget_tasks(worker)
        for task in found.kept:
            worker.tasks[task.assignment] = task
            self._current[task.run_id] = (worker, task)
        self._arriving.pop(stream, None)
        self._fleet.attach(worker, stream)
        self._says_free(worker, told.slots_available)
        worker.heard_at = worker.seen_at = self._platform.clock.now()
        stream.send(Ack(told.worker_id))
        for message in found.canceled:
            stream.send(message)
        self._watch(worker, HEARTBEAT_TIMEOUT_SECS)
        self._offer(worker)

    def left(self, worker: Worker, stream: Stream, *, in_order: bool = False) -> None:
        """Take note that a stream is over.

        What the worker has stays with it until its lease ends, since it may only have lost its
        connection; but one that has ended its stream in order does not come back.
        """
        if worker.stream is not stream:
            return
        goes = in_order or not worker.tasks
        self._fleet.detach(worker)
        if self._stopping:
            return
        if goes:
            self._give_up(worker)
            return
        self._watch(worker, self._platform.settings.worker_lease_secs)
        self._write(lambda unit: rows.seen(unit.db, *worker.id, "offline", unit.stamp))

    def disconnect(self, unit: Unit, worker_id: WorkerId) -> None:
        """End the stream of a worker and give what it has to others."""

        def end() -> None:
            worker = self._fleet.get(worker_id)
            if worker is None:
                return
            for task in worker.tasks.values():
                if worker.stream is not None:
                    worker.stream.send(Cancel(task.run_id, "its worker was disconnected"))
            if worker.stream is not None:
                worker.stream.end("CANCELLED", "the worker was disconnected through the API")
                self._fleet.detach(worker)
            self._forget(worker)

        # First of all that follows, so that it is not given its runs once more.
        unit.after(end)
        results.lose_all(unit, worker_id, "its worker was disconnected", "failed")
        rows.seen(unit.db, *worker_id, "offline", unit.stamp)

    def await_return(self, worker_id: WorkerId, task: Task) -> None:
        """Take over a task that an earlier server gave to a worker, which will come back."""
        worker = self._fleet.of(worker_id)
        worker.tasks[task.assignment] = task
        self._current[task.run_id] = (worker, task)
        if worker.stream is None:
            self._watch(worker, self._platform.settings.worker_lease_secs)

    # ----------------------------------------------------------------------------------- liveness

    def heard(self, worker: Worker) -> None:
        """Take note that a worker is alive."""
        worker.heard_at = self._platform.clock.now()

    def heartbeat(self, worker: Worker, slots_available: int) -> None:
        """Take note of how much a worker can do, and now and then write that it is alive."""
        before = worker.status
        self._says_free(worker, slots_available)
        now = self._platform.clock.now()
        if worker.status != before or now - worker.seen_at >= _SEEN_STEP_SECS * SECOND:
            worker.seen_at = now
            self._write(lambda unit: self._seen(unit, worker))
        self._offer(worker)

    def _says_free(self, worker: Worker, slots: int) -> None:
        for task in worker.says_free(slots):
            self._leave(task)

    def _seen(self, unit: Unit, worker: Worker) -> None:
        rows.seen(unit.db, *worker.id, worker.status, unit.stamp)
        for task in worker.tasks.values():
            run_rows.beat(unit.db, task.run_id, task.assignment, unit.stamp)

    def _watch(self, worker: Worker, secs: float) -> None:
        now = self._platform.clock.now()
        self._platform.timers.set(worker.id.timer, now + round(secs * SECOND))

    def due(self, unit: Unit, subject: str) -> None:
        """Look after a worker whose time has come: it is silent, or its lease has ended."""
        worker = self._fleet.get(WorkerId.of_timer(subject))
        if worker is None:
            return
        if worker.stream is None:
            results.lose_all(unit, worker.id)
            rows.seen(unit.db, *worker.id, "offline", to_timestamp(worker.heard_at or unit.now))
            unit.after(lambda: self._forget(worker))
            return
        silent = unit.now - worker.heard_at
        if silent >= HEARTBEAT_TIMEOUT_SECS * SECOND:
            text = f"nothing was heard of the worker for {HEARTBEAT_TIMEOUT_SECS} s"
            worker.stream.end("DEADLINE_EXCEEDED", text)
        else:
            unit.after(lambda: self._watch(worker, HEARTBEAT_TIMEOUT_SECS - silent / SECOND))

    def _give_up(self, worker: Worker) -> None:
        """Give what a worker has to others, now."""

        def work(unit: Unit) -> None:
            if worker.stream is None:
                results.lose_all(unit, worker.id, status="released")
                rows.seen(unit.db, *worker.id, "offline", unit.stamp)
                unit.after(lambda: self._forget(worker))

        self._write(work)

    def _forget(self, worker: Worker) -> None:
        if worker.stream is None:
            self._forget_tasks(worker)
            self._fleet.forget(worker)

    def _forget_tasks(self, worker: Worker) -> None:
        for task in worker.tasks.values():
            self._leave(task)
        worker.tasks.clear()

    def _leave(self, task: Task) -> None:
        if self._current.get(task.run_id, (None, None))[1] is task:
            del self._current[task.run_id]

    # ----------------------------------------------------------------------------------- dispatch

    def has_worker(self, lane: Lane) -> bool:
        """Return whether a worker could take one more run of a lane now."""
        return self._fleet.has_worker(lane)

    def _offer(self, worker: Worker) -> None:
        if worker.free:
            self._platform.scheduler.offer_workers(worker.serves, worker.free)

    def begin(self, ticket: Ticket, lane: Lane) -> None:
        """Start a run: write that it executes, and hand it to the worker that has most room."""
        worker = self._fleet.best(lane)
        if worker is None:  # the queue has asked just before
            raise RuntimeError(f"no worker serves {lane}")
        worker.reserved += 1
        started = self._platform.write(lambda unit: self._start(unit, ticket, lane, worker))
        started.add_done_callback(lambda done: self._begun(ticket, worker, done))

    def _begun(self, ticket: Ticket, worker: Worker, done: asyncio.Future[bool]) -> None:
        error = done.exception() if not done.cancelled() else None
        if error is None and done.result():
            return
        worker.reserved -= 1
        if error is not None:
            self._platform.report("a run could not be started", error)
            self._platform.retry_later(ticket.run_id, _STORE_RETRY_SECS)
        if not self._has(ticket.run_id):  # whoever had it may be back with it just now
            self._platform.scheduler.freed(ticket.run_id)
        self._offer(worker)

    def _has(self, run_id: str) -> bool:
        _, task = self._current.get(run_id, (None, None))
        return task is not None and not task.settled

    def _start(self, unit: Unit, ticket: Ticket, lane: Lane, worker: Worker) -> bool:
        found = None if self._stopping else dispatches.startable(unit, ticket.run_id)
        if found is None:
            return False
        timeout = engine.timeout_secs(found.stored.run, found.entry.job)
        dispatch = dispatches.start(unit, ticket, found, timeout)
        if dispatch is None:
            return False
        run = dispatch.run
        task = rows.TaskRow(
            id=dispatch.assignment,
            project_id=run.project_id,
            worker_id=worker.id.id,
            run_id=run.id,
            attempt=run.attempt,
            status="assigned",
            assigned_at=unit.stamp,
        )
        rows.assign(unit.db, task)
        unit.after(lambda: self._launch(worker, lane, dispatch, task))
        return True

    def _launch(self, worker: Worker, lane: Lane, dispatch: Dispatch, row: rows.TaskRow) -> None:
        worker.reserved -= 1
        stream = worker.stream
        if stream is None:
            reason = "its worker left before it was handed over"
            self._write(lambda unit: results.lose(unit, row, reason, "failed"))
            return
        run = dispatch.run
        self.moved_on(run, "the run was dispatched anew")
        task = Task(dispatch.assignment, run.id, run.attempt)
        worker.tasks[task.assignment] = task
        self._current[run.id] = (worker, task)
        stream.send(_assignment(dispatch, lane))

    def moved_on(self, run: Run, reason: str = "") -> None:
        """Take note that a run is not with its worker any more; with a reason, tell the worker."""
        worker, task = self._current.get(run.id, (None, None))
        if worker is None or task is None:
            return
        task.settled = True
        if reason and not task.canceled and worker.stream is not None:
            task.canceled = True
            worker.stream.send(Cancel(run.id, reason))

    # -------------------------------------------------------------------------------------- words

    def accepted(self, worker: Worker, run_id: str) -> None:
        """Take note that a worker has begun with what it was given."""
        task = self._task_of(worker, run_id)
        if task is not None:
            self._write(lambda unit: results.accepted(unit, task))

    def log(self, worker: Worker, run_id: str, level: str, message: str) -> None:
        """Take in a line that a worker logged for a run that it has."""
        task = self._task_of(worker, run_id)
        if task is not None and not task.settled:
            self._write(lambda unit: results.log(unit, task, level, message))

    async def result(self, worker: Worker, told: Told) -> None:
        """Take in what came of a task; once it is on disk, the worker may forget about it."""
        platform = self._platform
        while True:
            try:
                await platform.write(lambda unit: results.take_in(unit, worker.id, told))
            except StoreUnavailable as error:
                platform.report("the end of a run could not be written", error)
                await platform.nap(_STORE_RETRY_SECS)
            else:
                break
        task = worker.tasks.pop(told.assignment, None)
        if task is not None:
            self._leave(task)
        if worker.stream is not None:
            worker.stream.send(Ack(told.assignment))
        self._offer(worker)

    def _task_of(self, worker: Worker, run_id: str) -> Task | None:
        with_run = [task for task in worker.tasks.values() if task.run_id == run_id]
        return with_run[-1] if with_run else None

    def _write(self, work: Callable[[Unit], None]) -> None:
        """Write something that nobody waits for."""
        self._platform.write(work).add_done_callback(self._written)

    def _written(self, done: asyncio.Future[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None:
            self._platform.report("what a worker told could not be written", error)


def _assignment(dispatch: Dispatch, lane: Lane) -> Assign:
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in dispatch.headers}
    token = headers["x-run-token"]
    signature, timestamp = (headers.pop(name, "") for name in _SIGNED)
    return Assign(
        run_id=dispatch.run.id,
        job_slug=dispatch.job.slug,
        queue=lane.queue,
        payload=dispatch.payload,
        timeout_secs=dispatch.timeout_secs,
        run_token=token,
        signature=signature,
        timestamp=timestamp,
        # The platform leaves them empty. They are what an endpoint is told in headers.
        metadata={name: text for name, text in headers.items() if name not in _OWN_FIELDS},
        assignment=dispatch.assignment,
        attempt=dispatch.run.attempt,
    )
