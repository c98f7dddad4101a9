"""The queue of runs: priority order, limits that hold, and nothing stuck when a slot is free."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from strait.engine.queue import UNLIMITED, Lane, Limits, ReadyQueue, Ticket
from strait.engine.throttles import Rate, Use

JOBS = ("a", "b")
FOR_WORKERS = JOBS[-1]
KEYS = ("", "x", "y")


def ticket(
    run_id: str, *, job: str = "a", priority: int = 0, age: int = 0, key: str = ""
) -> Ticket:
    return Ticket(run_id, job, (-priority, f"{age:04d}"), key)


def drained(queue: ReadyQueue) -> list[str]:
    ids = []
    while (popped := queue.pop()) is not None:
        ids.append(popped.run_id)
    return ids


def test_higher_priority_goes_first_and_older_among_equals() -> None:
    queue = ReadyQueue()
    queue.push(ticket("young", age=3))
    queue.push(ticket("old", age=1))
    queue.push(ticket("urgent", priority=9, age=4))
    assert drained(queue) == ["urgent", "old", "young"]
    assert queue.executing == 3


def test_those_that_wait_long_are_found_the_longest_first_unless_nothing_can_start_them() -> None:
    queue = ReadyQueue()
    queue.set_limits("b", Limits(closed=True))
    for name, job, since in (("r1", "a", 1), ("shut", "b", 2), ("r2", "a", 3), ("r3", "a", 4)):
        queue.push(Ticket(name, job, (0, name), since=since))
    queue.push(Ticket("top", "a", (-10, "top"), since=4))
    queue.push(Ticket("fresh", "a", (0, "fresh"), since=9))
    assert [found.run_id for found in queue.waiting_for(5, 9, 10)] == ["r1", "r2", "r3"]
    assert [found.run_id for found in queue.waiting_for(5, 9, 1)] == ["r1"]


def test_a_run_takes_another_rank_and_has_waited_as_long_as_before() -> None:
    queue = ReadyQueue()
    queue.push(Ticket("low", "a", (0, "1"), since=1))
    queue.push(Ticket("high", "a", (-5, "2"), since=2))
    queue.set_rank("low", (-6, "1"))
    queue.set_rank("unknown", (-9, "0"))
    assert [found.run_id for found in queue.waiting_for(1, 2, 10)] == ["low"]
    assert drained(queue) == ["low", "high"]


def test_what_was_queued_before_the_clock_was_set_back_waits_and_keeps_nobody_behind_it() -> None:
    queue = ReadyQueue()
    queue.push(Ticket("long ago", "a", (0, "1"), since=10))
    queue.push(Ticket("from the future", "a", (0, "2"), since=9_000))
    queue.push(Ticket("since", "a", (0, "3"), since=100))
    assert [found.run_id for found in queue.waiting_for(60, 100, 9)] == ["long ago"]
    waiting = [found.run_id for found in queue.waiting_for(60, 160, 9)]
    assert waiting == ["long ago", "from the future", "since"]


def test_a_run_that_is_pushed_again_has_waited_as_before_and_keeps_nobody_behind_it() -> None:
    queue = ReadyQueue()
    for name, since in (("r1", 1), ("r2", 2), ("r1", 50)):
        queue.push(Ticket(name, "a", (0, name), since=since))
    assert [found.run_id for found in queue.waiting_for(60, 62, 9)] == ["r1", "r2"]


def test_a_run_that_is_pushed_again_takes_its_new_rank_and_starts_once() -> None:
    queue = ReadyQueue()
    queue.push(ticket("late", age=9))
    queue.push(ticket("other", age=5))
    queue.push(ticket("late", age=1))
    assert drained(queue) == ["late", "other"]
    assert len(queue) == 0


def test_a_discarded_run_never_starts() -> None:
    queue = ReadyQueue()
    queue.push(ticket("gone"))
    queue.discard("gone")
    assert "gone" not in queue
    assert drained(queue) == []


def test_the_limit_of_a_job_holds_back_and_the_next_starts_when_one_ends() -> None:
    queue = ReadyQueue()
    queue.set_limits("a", Limits(max_concurrency=2))
    for n in range(4):
        queue.push(ticket(f"r{n}", age=n))
    queue.push(ticket("free", job="b", age=9))
    assert drained(queue) == ["r0", "r1", "free"]
    queue.release("r1")
    assert drained(queue) == ["r2"]


def test_a_key_at_its_limit_leaves_the_slot_to_another_key() -> None:
    queue = ReadyQueue()
    queue.set_limits("a", Limits(max_concurrency=2, max_concurrency_per_key=1))
    queue.push(ticket("x1", age=1, key="x"))
    queue.push(ticket("x2", age=2, key="x"))
    queue.push(ticket("y1", age=3, key="y"))
    assert drained(queue) == ["x1", "y1"]
    queue.release("x1")
    assert drained(queue) == ["x2"]


def test_a_closed_job_starts_nothing_until_it_is_opened() -> None:
    queue = ReadyQueue()
    queue.set_limits("a", Limits(closed=True))
    queue.push(ticket("held"))
    assert drained(queue) == []
    queue.set_limits("a", UNLIMITED)
    assert drained(queue) == ["held"]


def test_two_free_slots_start_two_runs_although_one_was_pushed_twice() -> None:
    queue = ReadyQueue()
    queue.set_limits("a", Limits(max_concurrency=2))
    for name in ("r0", "r1"):
        queue.push(ticket(name))
    assert drained(queue) == ["r0", "r1"]
    for _ in range(2):
        queue.push(ticket("twice", age=1))
        assert drained(queue) == []
    queue.push(ticket("other", age=2))
    assert drained(queue) == []
    queue.release("r0")
    queue.release("r1")
    assert drained(queue) == ["twice", "other"]


def test_a_canceled_run_passes_the_slot_that_it_was_let_out_for_to_the_next() -> None:
    queue = ReadyQueue()
    queue.set_limits("a", Limits(max_concurrency_per_key=1))
    for n in range(3):
        queue.push(ticket(f"x{n}", age=n, key="x"))
    assert drained(queue) == ["x0"]
    queue.release("x0")  # lets x1 out
    queue.discard("x1")
    assert drained(queue) == ["x2"]


LANE = Lane("p", "", "default", "a")


class Slots:
    """Workers of one lane, who have so many slots between them."""

    def __init__(self, free: int = 0) -> None:
        self.free = free
        self.queue = ReadyQueue(lambda lane: self.free > 0)

    def push(self, run_id: str, *, uses: tuple[Use, ...] = (), **fields: int) -> None:
        made = ticket(run_id, **fields)
        made.lane, made.uses = LANE, uses
        self.queue.push(made)

    def started(self) -> list[str]:
        ids = []
        while (popped := self.queue.pop()) is not None:
            ids.append(popped.run_id)
            self.free -= 1
        return ids

    def offer(self, free: int) -> None:
        self.free += free
        self.queue.offer_workers(lambda lane: lane == LANE, self.free)


def test_a_run_for_workers_waits_for_one_that_has_room_and_goes_by_its_rank() -> None:
    slots = Slots()
    slots.push("late", age=2)
    slots.push("early", age=1)
    slots.push("urgent", priority=5, age=3)
    assert slots.started() == []
    assert len(slots.queue) == 3
    slots.queue.offer_workers(lambda lane: False, 3)
    slots.offer(2)
    assert slots.started() == ["urgent", "early"]
    slots.offer(1)
    assert slots.started() == ["late"]


def test_a_run_that_a_throttle_holds_back_leaves_the_worker_to_the_next() -> None:
    slots = Slots()
    use = Use("t", "")
    slots.queue.set_rate("t", Rate(max_concurrency=1))
    for number in range(3):
        slots.push(f"r{number}", age=number, uses=(use,) if number < 2 else ())
    assert slots.started() == []
    slots.offer(1)
    assert slots.started() == ["r0"]
    slots.offer(1)
    assert slots.started() == ["r2"], "r1 waits for its throttle"


def test_a_canceled_run_leaves_the_worker_that_it_was_let_out_for_to_the_next() -> None:
    slots = Slots()
    slots.push("r1", age=1)
    slots.push("r2", age=2)
    assert slots.started() == []
    slots.offer(1)
    slots.queue.discard("r1")
    assert slots.started() == ["r2"]


def test_a_run_that_goes_on_counts_and_is_started_no_more() -> None:
    slots = Slots(1)
    slots.queue.set_limits("a", Limits(max_concurrency=1))
    again = ticket("r1", age=1)
    slots.push("r1", age=1)
    slots.queue.resume(again)
    slots.queue.resume(again)
    slots.push("r2", age=2)
    assert slots.started() == []
    assert slots.queue.executing == 1
    slots.queue.release("r1")
    assert slots.started() == ["r2"]


def test_a_run_that_nothing_stands_before_is_taken_and_counts_until_it_is_released() -> None:
    queue = ReadyQueue()
    queue.set_limits("a", Limits(max_concurrency=2, max_concurrency_per_key=1))
    assert queue.take(ticket("x1", key="x"))
    assert queue.executing == 1
    assert len(queue) == 0
    assert not queue.take(ticket("x2", key="x")), "its key is at its limit"
    assert queue.take(ticket("y1", key="y"))
    assert not queue.take(ticket("z1", key="z")), "its job is at its limit"
    assert queue.take(ticket("b1", job="b"))
    queue.release("x1")
    assert queue.take(ticket("x2", key="x"))
    assert queue.executing == 3


def test_a_run_is_not_taken_where_another_may_start() -> None:
    queue = ReadyQueue()
    queue.push(ticket("first"))
    assert not queue.take(ticket("second", priority=9))
    assert drained(queue) == ["first"]
    assert queue.take(ticket("second"))


def test_a_run_of_a_closed_job_for_a_worker_or_under_a_throttle_is_not_taken() -> None:
    queue = ReadyQueue(lambda lane: True)
    queue.set_limits("a", Limits(closed=True))
    refused = [
        ticket("closed"),
        Ticket("throttled", "b", (0, "1"), uses=(Use("t", ""),)),
        Ticket("for a worker", "b", (0, "1"), lane=LANE),
    ]
    assert [one.run_id for one in refused if queue.take(one)] == []
    assert queue.executing == 0


def test_a_run_that_was_taken_and_did_not_start_lets_the_one_go_that_it_held_back() -> None:
    queue = ReadyQueue()
    queue.set_limits("a", Limits(max_concurrency=1))
    assert queue.take(ticket("undone"))
    queue.push(ticket("held"))
    assert drained(queue) == []
    queue.release("undone")
    assert drained(queue) == ["held"]


def test_while_no_endpoint_may_be_called_runs_go_to_workers_only() -> None:
    queue = ReadyQueue(lambda lane: True)
    queue.push(ticket("called", priority=9))
    queue.push(Ticket("handed over", "b", (0, "1"), lane=LANE))
    first = queue.pop(calls=False)
    assert first is not None
    assert first.run_id == "handed over"
    assert queue.pop(calls=False) is None
    assert drained(queue) == ["called"]


class AgainstTheNaiveQueue(RuleBasedStateMachine):
    """The same as a list that is searched from the start each time."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = ReadyQueue(lambda lane: True)
        self.waiting: dict[str, Ticket] = {}
        self.running: dict[str, Ticket] = {}
        self.limits = dict.fromkeys(JOBS, UNLIMITED)
        self.serial = 0

    @initialize(count=st.integers(0, 3))
    def begin(self, count: int) -> None:
        for _ in range(count):
            self.push("a", 0, "x")

    @rule(job=st.sampled_from(JOBS), priority=st.integers(0, 2), key=st.sampled_from(KEYS))
    def push(self, job: str, priority: int, key: str) -> None:
        self.serial += 1
        made = ticket(f"r{self.serial}", job=job, priority=priority, age=self.serial, key=key)
        made.lane = LANE if job == FOR_WORKERS else None
        self.waiting[made.run_id] = made
        self.queue.push(made)

    @rule(job=st.sampled_from(JOBS), key=st.sampled_from(KEYS))
    def take(self, job: str, key: str) -> None:
        self.serial += 1
        made = ticket(f"r{self.serial}", job=job, age=self.serial, key=key)
        made.lane = LANE if job == FOR_WORKERS else None
        startable = [t for t in self.waiting.values() if self.may_start(t)]
        if self.queue.take(made):
            assert self.may_start(made), f"{made} started over a limit"
            assert not startable, f"{made} started before {startable}"
            self.running[made.run_id] = made
        else:
            self.waiting[made.run_id] = made
            self.queue.push(made)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), priority=st.none() | st.integers(0, 2))
    def push_again(self, data: st.DataObject, priority: int | None) -> None:
        old = self.waiting[data.draw(st.sampled_from(sorted(self.waiting)))]
        rank = old.rank if priority is None else (-priority, old.rank[1])
        again = Ticket(old.run_id, old.job_id, rank, old.key, lane=old.lane)
        self.waiting[again.run_id] = again
        self.queue.push(again)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        gone = data.draw(st.sampled_from(sorted(self.waiting)))
        del self.waiting[gone]
        self.queue.discard(gone)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        done = data.draw(st.sampled_from(sorted(self.running)))
        del self.running[done]
        self.queue.release(done)

    @rule(
        job=st.sampled_from(JOBS),
        limits=st.builds(Limits, st.integers(0, 3), st.integers(0, 2), st.booleans()),
    )
    def set_limits(self, job: str, limits: Limits) -> None:
        self.limits[job] = limits
        self.queue.set_limits(job, limits)

    @rule(calls=st.booleans())
    def pop(self, calls: bool) -> None:
        able = [t for t in self.waiting.values() if calls or t.lane is not None]
        startable = [t for t in able if self.may_start(t)]
        popped = self.queue.pop(calls=calls)
        if not startable:
            assert popped is None, f"{popped} started over a limit"
            return
        assert popped is not None, f"stuck although {startable} may start"
        assert popped.rank == min(t.rank for t in startable)
        self.running[popped.run_id] = self.waiting.pop(popped.run_id)

    @invariant()
    def counts_agree(self) -> None:
        assert len(self.queue) == len(self.waiting)
        assert self.queue.executing == len(self.running)

    def may_start(self, wanted: Ticket) -> bool:
        limits = self.limits[wanted.job_id]
        peers = [t for t in self.running.values() if t.job_id == wanted.job_id]
        same_key = [t for t in peers if t.key == wanted.key]
        job_full = limits.max_concurrency and len(peers) >= limits.max_concurrency
        per_key = limits.max_concurrency_per_key
        key_full = per_key and wanted.key and len(same_key) >= per_key
        return not (limits.closed or job_full or key_full)


AgainstTheNaiveQueue.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None
)
TestAgainstTheNaiveQueue = AgainstTheNaiveQueue.TestCase
