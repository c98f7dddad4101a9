"""The memory of what is queued, due and executing, kept in step with what is on disk.

`observe` is told every state of a run after its commit and draws from it what must happen next.
Nothing here is the truth: after a restart it is made again from the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.engine import runs as engine
from strait.engine.model import Job, Run
from strait.engine.queue import Lane, Limits, ReadyQueue, Ticket
from strait.engine.throttles import Rate, Use
from strait.server.work import throttles

if TYPE_CHECKING:
    from strait.server.platform import Platform

PROMOTE_EVERY_SECS = 60
# The queue of jobs that name none (`contract/runs.md` §6.13).
DEFAULT_QUEUE = "default"
_LOOK_AGAIN_SECS = 1.0


class Scheduler:
    """Starts runs as soon as they may start, and remembers when what is due."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._queue = ReadyQueue(platform.workers.has_worker)
        self._running = False
        self._promotes_at = 0
        self._held: frozenset[str] = frozenset()

    @property
    def running(self) -> bool:
        """Whether runs are started."""
        return self._running

    @property
    def queued(self) -> int:
        """How many runs wait to be dispatched."""
        return len(self._queue)

    @property
    def executing(self) -> int:
        """How many runs are with their handlers."""
        return self._queue.executing

    def start(self) -> None:
        """Begin to start runs."""
        self._running = True
        self.pump()

    def stop(self) -> None:
        """Start no further runs; what executes goes on."""
        self._running = False

    def job_changed(self, job: Job) -> None:
        """Apply the limits of a job that was made or changed."""
        limits = Limits(
            max_concurrency=job.max_concurrency,
            max_concurrency_per_key=job.max_concurrency_per_key,
            closed=job.paused or not job.enabled or job.id in self._held,
        )
        self._queue.set_limits(job.id, limits)
        self.pump()

    def hold(self, job_ids: Iterable[str], jobs: Iterable[Job]) -> None:
        """Let the runs of these jobs wait, and those of all others go; `jobs` are looked at anew.

        It lasts as long as this process, and is no change of the jobs.
        """
        self._held = frozenset(job_ids)
        for job in jobs:
            self.job_changed(job)

    def throttle_changed(self, throttle_id: str, rate: Rate | None) -> None:
        """Apply what a throttle lets through; None is everything."""
        self._queue.set_rate(throttle_id, rate)
        self.pump()

    def restore_start(self, use: Use, at: int) -> None:
        """Take note of a start that an earlier server has let through."""
        self._queue.throttles.restore(use, at)

    def begun(self, ticket: Ticket) -> None:
        """Take note that a run which was let go has begun: its start is on disk."""
        self._queue.begun(ticket, self._platform.clock.now())

    def offer_workers(self, serves: Callable[[Lane], bool], count: int) -> None:
        """Let runs try that wait for a worker of such lanes; one has `count` free slots."""
        self._queue.offer_workers(serves, count)
        self.pump()

    def resume(self, state: engine.State) -> None:
        """Take note of a run that executes although it was not started here."""
        self._queue.resume(self._ticket(state.run, self._platform.clock.now()))
        self._platform.timers.set(("run", state.run.id), from_timestamp(state.deadline_at))

    def take_back(self, run: Run) -> bool:
        """Count a queued run as executing where it was before; return False if it has no room.

        Whoever asks does so within a transaction, and says so (`not_taken`) if that is undone.
        """
        return self._queue.take_back(self._ticket(run, self._platform.clock.now()))

    def not_taken(self, run_id: str) -> None:
        """Take note that a run was not taken back after all."""
        self._queue.release(run_id)
        self._platform.retry_later(run_id, _LOOK_AGAIN_SECS)

    def throttles_due(self) -> None:
        """Let runs try whose throttles have opened."""
        self._queue.open_throttles(self._platform.clock.now())
        self.pump()

    def observe_new(self, states: Sequence[engine.State]) -> None:
        """Take note of runs that were just made."""
        offered = {state.run.id for state in states if self._may_start(state)}
        self.pump()
        for state in states:
            self._tell(state.run)
            if state.run.id in offered and state.run.id not in self._queue:
                continue  # it has started, and needs no timer for its expiry
            due = engine.due_at(state)
            if due:
                self._platform.timers.set(("run", state.run.id), from_timestamp(due))

    def take(self, state: engine.State) -> Ticket | None:
        """Count a run as executing while it is being made, if nothing stands before it."""
        if not self._running or not self._platform.dispatcher.has_room():
            return None
        ticket = self._ticket(state.run, self._platform.clock.now())
        return ticket if self._queue.take(ticket) else None

    def observe_started(self, made: Run, started: engine.State) -> None:
        """Take note of a run that was made and started in one transaction."""
        self._tell(made)
        self.observe(started)

    def _may_start(self, state: engine.State) -> bool:
        return state.run.status == "queued" and self._offer(state)

    def observe(self, state: engine.State, *, abort: bool = False) -> None:
        """Take note of what a run has become."""
        run = state.run
        self._tell(run)
        key = ("run", run.id)
        if run.status == "executing":
            self._platform.timers.set(key, from_timestamp(state.deadline_at))
            return
        self._queue.release(run.id)
        if run.execution_mode == "worker":
            reason = run.error or f"the run is {run.status}"
            self._platform.workers.moved_on(run, reason if abort else "")
        elif abort:
            self._platform.dispatcher.abort(run.id)
        due = engine.due_at(state)
        if run.status == "queued":
            if self._offer(state):
                self.pump()
                if run.id not in self._queue:
                    return  # it has started, and needs no timer for its expiry
        else:
            self._queue.discard(run.id)
            self.pump()
        if due:
            self._platform.timers.set(key, from_timestamp(due))
        else:
            self._platform.timers.cancel(key)

    def _tell(self, run: Run) -> None:
        if self._platform.witness is not None:
            self._platform.witness(run)

    def look_again(self, state: engine.State) -> None:
        """Take note of a run whose timer came: its pause is over, or it has moved on meanwhile."""
        run, key = state.run, ("run", state.run.id)
        due = engine.due_at(state)
        if run.status == "queued" and self._offer(state):
            self.pump()
            due = engine.patience_ends_at(state) if run.id in self._queue else ""
        if due:
            self._platform.timers.set(key, from_timestamp(due))

    def waiting_for(self, secs: int, limit: int) -> list[str]:
        """Return the runs that have been queued for some time, those first that wait longest."""
        now = self._platform.clock.now()
        return [ticket.run_id for ticket in self._queue.waiting_for(secs * SECOND, now, limit)]

    def promoted(self, run: Run) -> None:
        """Take note of the priority that a run has now, which still waits."""
        self._queue.set_rank(run.id, (-run.priority, run.created_at))

    def promotion_done(self) -> None:
        """Take note that runs were promoted; as long as some wait, they are once more."""
        self._promotes_at = 0
        self.pump()

    def freed(self, run_id: str) -> None:
        """Take note that a run did not start after all."""
        self._queue.release(run_id)
        self.pump()

    def pump(self) -> None:
        """Start what may start."""
        dispatcher = self._platform.dispatcher
        while self._running:
            now = self._platform.clock.now()
            ticket = self._queue.pop(now, calls=dispatcher.has_room())
            if ticket is None:
                break
            if ticket.lane is not None:
                self._platform.workers.begin(ticket, ticket.lane)
            else:
                dispatcher.begin(ticket)
        self._plan_promotion()
        opening = self._queue.next_opening()
        if opening is not None:
            self._platform.timers.set(("throttles", ""), opening)

    def _plan_promotion(self) -> None:
        """Have what waits promoted, no later than is usual though the clock was set back."""
        if not self._queue:
            return
        at = self._platform.clock.now() + PROMOTE_EVERY_SECS * SECOND
        if not self._promotes_at or self._promotes_at > at:
            self._promotes_at = at
            self._platform.timers.set(("promotion", ""), at)

    def _offer(self, state: engine.State) -> bool:
        """Queue a run if it may be dispatched by this server now; return whether it may."""
        run = state.run
        now = self._platform.clock.now()
        if run.next_retry_at and run.next_retry_at > to_timestamp(now):
            return False
        self._queue.push(self._ticket(run, now))
        return True

    def _ticket(self, run: Run, now: int) -> Ticket:
        rank = (-run.priority, run.created_at)
        uses = throttles.uses_of(run) if run.metadata else ()
        lane = self._lane(run) if run.execution_mode == "worker" else None
        return Ticket(run.id, run.job_id, rank, run.concurrency_key, uses, now, lane)

    def _lane(self, run: Run) -> Lane:
        entry = self._platform.jobs.get(self._platform.reader, run.job_id)
        if entry is None:  # its job is gone, and so are its workers
            return Lane(run.project_id, "", run.queue_name, "")
        job = entry.job
        queue = run.queue_name or job.queue or DEFAULT_QUEUE
        return Lane(run.project_id, job.environment_id, queue, job.slug)
