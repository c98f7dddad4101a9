"""Which queued run starts next: priority, age, and the limits of its job.

A plain data structure over run ids. A run that may not start because its job is at a limit is
parked under that limit, and comes back when the limit moves, so a million held runs cost nothing
while they are held, and no run is ever looked for by polling.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple, TypeAlias, TypeVar

from msgspec import Struct

from strait.engine.throttles import Rate, Throttles, Use

MAX_PRIORITY = 10

Line = TypeVar("Line")
Rank: TypeAlias = tuple[int, str]  # (-priority, created_at): smaller goes first
# A place in line: rank, number of the push, run. It is stale unless the push is the run's last.
Place: TypeAlias = tuple[Rank, int, str]


class Limits(Struct, frozen=True):
    """What bounds the runs of a job that execute at the same time; 0 is no bound."""

    max_concurrency: int = 0
    max_concurrency_per_key: int = 0
    closed: bool = False


UNLIMITED = Limits()


class Lane(NamedTuple):
    """What a worker must serve to be given a run: all of it is said by the run's job."""

    project_id: str
    environment_id: str
    queue: str
    slug: str


class Ticket(Struct):
    """A run in the queue or executing.

    Attributes:
        run_id: the run.
        job_id: its job.
        rank: its place among all that wait.
        key: what it counts as under its job's limit per key.
        uses: the throttles that it counts under.
        since: when it was queued.
        lane: which workers may have it; None for a run that is sent to an endpoint.
        let_through_at: when its throttles let it through.
    """

    run_id: str
    job_id: str
    rank: Rank
    key: str = ""
    uses: tuple[Use, ...] = ()
    since: int = 0
    lane: Lane | None = None
    let_through_at: int = 0


def _no_workers(_: Lane) -> bool:
    return False


class ReadyQueue:
    """Queued runs by rank, held runs by the limit that holds them, and what is executing.

    Args:
        has_worker: whether a worker of a lane could take one more run now.

    Attributes:
        throttles: what holds runs back beside the limits of their jobs.
    """

    def __init__(self, has_worker: Callable[[Lane], bool] = _no_workers) -> None:
        self.throttles = Throttles()
        self._has_worker = has_worker
        self._without_worker: dict[Lane, list[Place]] = defaultdict(list)
        self._throttled: dict[Use, list[Place]] = defaultdict(list)
        self._openings: list[tuple[int, Use]] = []
        self._opens_at: dict[Use, int] = {}
        # Those whose endpoints are called, and those that are handed to workers.
        self._ready: list[Place] = []
        self._ready_for_workers: list[Place] = []
        self._held: dict[tuple[str, str], list[Place]] = defaultdict(list)
        self._queued: dict[str, tuple[int, Ticket]] = {}
        self._pushes = itertools.count()
        self._executing: dict[str, Ticket] = {}
        self._active: dict[str, int] = defaultdict(int)
        self._active_by_key: dict[tuple[str, str], int] = defaultdict(int)
        self._limits: dict[str, Limits] = {}
        self._latest = 0

    def __len__(self) -> int:
        """How many runs wait to start."""
        return len(self._queued)

    def __contains__(self, run_id: object) -> bool:
        """Whether a run waits to start."""
        return run_id in self._queued

    @property
    def executing(self) -> int:
        """How many runs have started and not ended."""
        return len(self._executing)

    def push(self, ticket: Ticket) -> None:
        """Queue a run; one that is queued already takes its new rank, and has waited as before."""
        self._see(ticket.since)
        _, queued = self._queued.get(ticket.run_id, (-1, ticket))
        ticket.since = min(ticket.since, queued.since)
        self._place(ticket)

    def waiting_for(self, duration: int, now: int, limit: int) -> list[Ticket]:
        """Return runs that have been queued for some time, those first that wait longest.

        Runs of jobs that start none do not wait for their turn, and are left out.
        """
        self._see(now)
        found: list[Ticket] = []
        for _, ticket in self._queued.values():
            if ticket.since > now - duration or len(found) == limit:
                break
            if (
                ticket.rank[0] > -MAX_PRIORITY
                and not self._limits.get(ticket.job_id, UNLIMITED).closed
            ):
                found.append(ticket)
        return found

    def set_rank(self, run_id: str, rank: Rank) -> None:
        """Give a run that waits another rank; how long it has waited stays."""
        queued = self._queued.get(run_id)
        if queued is not None:
            queued[1].rank = rank
            self._place(queued[1])

    def discard(self, run_id: str) -> None:
        """Forget a run that must not start any more."""
        queued = self._queued.pop(run_id, None)
        if queued is not None:
            # It may have been the one that was let out to take a free slot: let another try.
            self._let_out(queued[1])
            self._let_next_of_lane(queued[1])
            self._let_through(queued[1].uses)

    def pop(self, now: int = 0, *, calls: bool = True) -> Ticket | None:
        """Take the first run that may start and count it as executing.

        Args:
            now: the instant that throttles go by.
            calls: whether an endpoint may be called; if not, only a run for workers may start.
        """
        while ready := self._first_ready(calls=calls):
            place = heapq.heappop(ready)
            ticket = self._ticket(place)
            if ticket is None:
                continue  # canceled or queued anew since
            holder = self._holder(ticket)
            if holder is not None:
                heapq.heappush(self._held[holder], place)
                if holder[1]:
                    # Its key is at its limit but its job is not: another key may have the slot.
                    self._unpark((ticket.job_id, ""), 1)
                    self._let_next_of_lane(ticket)
                continue
            if ticket.lane is not None and not self._has_worker(ticket.lane):
                heapq.heappush(self._without_worker[ticket.lane], place)
                # Its throttles may have let it through in another's stead.
                self._let_through(ticket.uses)
                continue
            if ticket.uses and self._is_throttled(ticket, place, now):
                continue
            del self._queued[ticket.run_id]
            self._start(ticket, now)
            # Its throttles may have room for more than one.
            self._let_through(ticket.uses)
            return ticket
        return None

    def _first_ready(self, *, calls: bool) -> list[Place]:
        """Return the line with the first run that may try, or an empty one."""
        if not calls or not self._ready:
            return self._ready_for_workers
        if self._ready_for_workers and self._ready_for_workers[0] < self._ready[0]:
            return self._ready_for_workers
        return self._ready

    def take(self, ticket: Ticket) -> bool:
        """Count a run as executing that was never queued, if none stands before it.

        It stays with what is cheap to know: whoever is refused may be pushed, and start at once.
        """
        if self._ready or self._ready_for_workers or ticket.lane is not None or ticket.uses:
            return False
        if self._holder(ticket) is not None:
            return False
        self._count(ticket)
        return True

    def resume(self, ticket: Ticket) -> None:
        """Count a run as executing that has been before, as one that an earlier server began."""
        self._queued.pop(ticket.run_id, None)
        if ticket.run_id not in self._executing:
            self.throttles.resumed(ticket.uses)
            self._count(ticket)

    def take_back(self, ticket: Ticket) -> bool:
        """Count a run that waits as executing with whoever had it before, if its limits allow.

        A job that starts no runs keeps those that go on.
        """
        limits = self._limits.get(ticket.job_id, UNLIMITED)
        if ticket.run_id not in self._executing and self._full(ticket, limits) is not None:
            return False
        self.resume(ticket)
        return True

    def offer_workers(self, serves: Callable[[Lane], bool], count: int) -> None:
        """Let those runs try that wait for a worker of lanes of which one has `count` free slots.

        Of each lane so many may be the next; the queue lets them go by their rank.
        """
        for lane in [lane for lane in self._without_worker if serves(lane)]:
            self._let_try(self._without_worker, lane, count)

    def begun(self, ticket: Ticket, now: int) -> None:
        """Take note that a run which was let go has begun."""
        self.throttles.begun(ticket.uses, ticket.let_through_at, now)

    def next_opening(self) -> int | None:
        """Return when a throttle may let a held run through, or None when no time will."""
        while self._openings:
            instant, use = self._openings[0]
            if self._opens_at.get(use) == instant:
                if use in self._throttled:
                    return instant
                del self._opens_at[use]
            heapq.heappop(self._openings)
        return None

    def open_throttles(self, now: int) -> None:
        """Let the first run behind each throttle try that has opened by now."""
        while (instant := self.next_opening()) is not None and instant <= now:
            _, use = heapq.heappop(self._openings)
            del self._opens_at[use]
            self._let_through((use,))

    def set_rate(self, throttle_id: str, rate: Rate | None) -> None:
        """Apply what a throttle lets through, and reconsider all that it held back."""
        self.throttles.set_rate(throttle_id, rate)
        for use in [use for use in self._throttled if use.throttle_id == throttle_id]:
            self._let_try(self._throttled, use, len(self._throttled[use]))

    def release(self, run_id: str) -> None:
        """Count a run as executing no more, and let the next of those it held back try."""
        ticket = self._executing.pop(run_id, None)
        if ticket is None:
            return
        self._active[ticket.job_id] -= 1
        if not self._active[ticket.job_id]:
            del self._active[ticket.job_id]
        if ticket.key:
            pair = (ticket.job_id, ticket.key)
            self._active_by_key[pair] -= 1
            if not self._active_by_key[pair]:
                del self._active_by_key[pair]
        self.throttles.ended(ticket.uses)
        self._let_through(ticket.uses)
        self._let_out(ticket)

    def set_limits(self, job_id: str, limits: Limits) -> None:
        """Apply the limits of a job, and reconsider all that the old ones held back."""
        before = self._limits.get(job_id, UNLIMITED)
        if limits == UNLIMITED:
            self._limits.pop(job_id, None)
        else:
            self._limits[job_id] = limits
        if limits != before:
            for holder in [h for h in self._held if h[0] == job_id]:
                self._unpark(holder, len(self._held[holder]))

    def _see(self, now: int) -> None:
        """Look at the clock: where it was set back, nothing that waits began to later than now.

        So those that are queued are in the order in which they have begun to wait.
        """
        if now < self._latest:
            for _, ticket in self._queued.values():
                ticket.since = min(ticket.since, now)
        self._latest = now

    def _place(self, ticket: Ticket) -> None:
        push = next(self._pushes)
        self._queued[ticket.run_id] = (push, ticket)
        self._try((ticket.rank, push, ticket.run_id), ticket)

    def _is_throttled(self, ticket: Ticket, place: Place, now: int) -> bool:
        """Park a run under the first throttle that holds it back; return whether one does."""
        closed = self.throttles.closed(ticket.uses, now)
        if closed is None:
            return False
        use, opens_at = closed
        heapq.heappush(self._throttled[use], place)
        if opens_at is not None and opens_at < self._opens_at.get(use, opens_at + 1):
            self._opens_at[use] = opens_at
            heapq.heappush(self._openings, (opens_at, use))
        # What it could have had, a slot of its job or of an earlier throttle, is for another run.
        self._let_out(ticket)
        self._let_next_of_lane(ticket)
        self._let_through(ticket.uses[: ticket.uses.index(use)])
        return True

    def _start(self, ticket: Ticket, now: int) -> None:
        ticket.let_through_at = now
        self.throttles.let_through(ticket.uses, now)
        self._count(ticket)

    def _count(self, ticket: Ticket) -> None:
        self._executing[ticket.run_id] = ticket
        self._active[ticket.job_id] += 1
        if ticket.key:
            self._active_by_key[ticket.job_id, ticket.key] += 1

    def _holder(self, ticket: Ticket) -> tuple[str, str] | None:
        """Return what holds the run back: its job, its job and key, or nothing."""
        limits = self._limits.get(ticket.job_id)
        if limits is None:
            return None
        if limits.closed:
            return ticket.job_id, ""
        return self._full(ticket, limits)

    def _full(self, ticket: Ticket, limits: Limits) -> tuple[str, str] | None:
        """Return which limit has no room for a run: that of its job, of its key, or none."""
        cap = limits.max_concurrency
        if cap and self._active.get(ticket.job_id, 0) >= cap:
            return ticket.job_id, ""
        cap = limits.max_concurrency_per_key
        pair = (ticket.job_id, ticket.key)
        if cap and ticket.key and self._active_by_key.get(pair, 0) >= cap:
            return pair
        return None

    def _ticket(self, place: Place) -> Ticket | None:
        push, ticket = self._queued.get(place[2], (-1, None))
        return ticket if push == place[1] else None

    def _let_out(self, ticket: Ticket) -> None:
        """Let the first of each line that a run stood before try to start in its stead."""
        if ticket.key:
            self._unpark((ticket.job_id, ticket.key), 1)
        self._unpark((ticket.job_id, ""), 1)

    def _let_next_of_lane(self, ticket: Ticket) -> None:
        """Let the next run of its lane try for the worker that this one does not take."""
        if ticket.lane is not None:
            self._let_try(self._without_worker, ticket.lane, 1)

    def _unpark(self, holder: tuple[str, str], count: int) -> None:
        self._let_try(self._held, holder, count)

    def _let_through(self, uses: tuple[Use, ...]) -> None:
        """Let the first run behind each of some throttles try."""
        for use in uses:
            self._let_try(self._throttled, use, 1)

    def _try(self, place: Place, ticket: Ticket) -> None:
        ready = self._ready if ticket.lane is None else self._ready_for_workers
        heapq.heappush(ready, place)

    def _let_try(self, lines: dict[Line, list[Place]], line: Line, count: int) -> None:
        held = lines.get(line)
        while held and count:
            place = heapq.heappop(held)
            ticket = self._ticket(place)
            if ticket is not None:
                self._try(place, ticket)
                count -= 1
        if held is not None and not held:
            del lines[line]
