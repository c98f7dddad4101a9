"""Throttles: never more than the limit in any window, and nobody waits without a reason."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from strait.clock import SECOND
from strait.engine.queue import Limits, ReadyQueue, Ticket
from strait.engine.throttles import Rate, Use

OPENAI = Use("openai", "")


def ticket(name: str, *uses: Use, job: str = "a", age: int = 0) -> Ticket:
    return Ticket(name, job, (0, f"{age:06d}"), "", uses)


def started(queue: ReadyQueue, now: int) -> list[str]:
    queue.open_throttles(now)
    names = []
    while (popped := queue.pop(now)) is not None:
        names.append(popped.run_id)
    return names


def drained(queue: ReadyQueue, now: int = 0) -> dict[str, int]:
    """Start everything, moving on to each instant at which a throttle opens."""
    found: dict[str, int] = {}
    while True:
        found |= dict.fromkeys(started(queue, now), now)
        opening = queue.next_opening()
        if opening is None:
            return found
        assert opening > now
        now = opening


def test_a_burst_up_to_the_limit_starts_at_once_and_the_rest_as_the_window_moves() -> None:
    queue = ReadyQueue()
    queue.set_rate("openai", Rate(limit=2, period_secs=10))
    for n in range(5):
        queue.push(ticket(f"r{n}", OPENAI, age=n))
    assert drained(queue) == {
        "r0": 0, "r1": 0, "r2": 10 * SECOND, "r3": 10 * SECOND, "r4": 20 * SECOND
    }  # fmt: skip


def test_each_key_is_counted_by_itself() -> None:
    queue = ReadyQueue()
    queue.set_rate("openai", Rate(limit=1, period_secs=10))
    for n, key in enumerate(("gpt", "gpt", "mini")):
        queue.push(ticket(f"r{n}", Use("openai", key), age=n))
    assert started(queue, 0) == ["r0", "r2"]


def test_only_so_many_execute_at_once_under_a_throttle_whatever_their_jobs() -> None:
    queue = ReadyQueue()
    queue.set_rate("openai", Rate(max_concurrency=2))
    for n, job in enumerate("abab"):
        queue.push(ticket(f"r{n}", OPENAI, job=job, age=n))
    assert started(queue, 0) == ["r0", "r1"]
    assert queue.next_opening() is None
    queue.release("r1")
    assert started(queue, 1) == ["r2"]


def test_a_run_behind_a_throttle_leaves_the_slot_of_its_job_to_another() -> None:
    queue = ReadyQueue()
    queue.set_limits("a", Limits(max_concurrency=1))
    queue.set_rate("openai", Rate(limit=1, period_secs=10))
    queue.push(ticket("first", OPENAI, age=0))
    assert started(queue, 0) == ["first"]
    queue.push(ticket("held", OPENAI, age=1))
    queue.push(ticket("free", age=2))
    queue.release("first")
    assert started(queue, 1) == ["free"]
    queue.release("free")
    assert started(queue, 10 * SECOND) == ["held"]


def test_a_higher_limit_lets_go_what_the_old_one_held() -> None:
    queue = ReadyQueue()
    queue.set_rate("openai", Rate(limit=1, period_secs=3600))
    for n in range(3):
        queue.push(ticket(f"r{n}", OPENAI, age=n))
    assert started(queue, 0) == ["r0"]
    queue.set_rate("openai", Rate(limit=3, period_secs=3600))
    assert started(queue, 1) == ["r1", "r2"]
    queue.push(ticket("r3", OPENAI, age=3))
    assert started(queue, 2) == []
    queue.set_rate("openai", None)
    assert started(queue, 3) == ["r3"]


def test_a_run_that_is_canceled_behind_a_throttle_gives_its_turn_away() -> None:
    queue = ReadyQueue()
    queue.set_rate("openai", Rate(limit=1, period_secs=10))
    for n in range(3):
        queue.push(ticket(f"r{n}", OPENAI, age=n))
    assert started(queue, 0) == ["r0"]
    queue.discard("r1")
    assert started(queue, 10 * SECOND) == ["r2"]


def test_a_window_begins_when_a_run_has_begun_and_not_when_it_was_let_go() -> None:
    queue = ReadyQueue()
    queue.set_rate("openai", Rate(limit=1, period_secs=60))
    for n in range(2):
        queue.push(ticket(f"r{n}", OPENAI, age=n))
    first = queue.pop(SECOND)
    assert first is not None
    queue.begun(first, 4 * SECOND)  # to write its start took so long
    assert started(queue, 61 * SECOND) == []
    assert queue.next_opening() == 64 * SECOND
    assert started(queue, 64 * SECOND) == ["r1"]


def test_starts_of_an_earlier_server_count() -> None:
    queue = ReadyQueue()
    queue.set_rate("openai", Rate(limit=1, period_secs=10))
    queue.throttles.restore(OPENAI, 5 * SECOND)
    queue.push(ticket("r", OPENAI))
    assert started(queue, 6 * SECOND) == []
    assert queue.next_opening() == 15 * SECOND


def test_a_clock_that_is_set_back_neither_opens_a_throttle_nor_closes_it_for_longer() -> None:
    queue = ReadyQueue()
    queue.set_rate("openai", Rate(limit=1, period_secs=10))
    queue.throttles.restore(OPENAI, 10_000 * SECOND)
    queue.push(ticket("r", OPENAI))
    assert started(queue, 5 * SECOND) == []
    assert queue.next_opening() == 15 * SECOND
    queue.open_throttles(15 * SECOND)
    assert started(queue, 15 * SECOND) == ["r"]


USES = (Use("x", ""), Use("y", "k"), Use("y", "l"))
RATES = st.builds(Rate, st.integers(0, 3), st.integers(1, 20), st.integers(0, 3))
STEPS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sets(st.sampled_from(USES)), st.integers(0, 5)),
    min_size=1,
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(x=RATES, y=RATES, limit=st.integers(0, 2), steps=STEPS)
def test_no_window_and_no_moment_has_more_than_its_limit_and_everything_starts(
    x: Rate, y: Rate, limit: int, steps: list[tuple[str, set[Use], int]]
) -> None:
    queue = ReadyQueue()
    queue.set_rate("x", x)
    queue.set_rate("y", y)
    queue.set_limits("a", Limits(max_concurrency=limit))
    starts: dict[Use, list[int]] = {use: [] for use in USES}
    executing: list[tuple[int, Ticket]] = []
    waiting = now = 0

    def begin() -> None:
        nonlocal waiting
        queue.open_throttles(now)
        while (popped := queue.pop(now)) is not None:
            waiting -= 1
            executing.append((now + SECOND, popped))
            for use in popped.uses:
                starts[use].append(now)
        for use in USES:
            rate = {"x": x, "y": y}[use.throttle_id]
            at_once = sum(use in one.uses for _, one in executing)
            assert not rate.max_concurrency or at_once <= rate.max_concurrency

    for number, (job, uses, pause) in enumerate(steps):
        queue.push(ticket(f"r{number}", *sorted(uses), job=job, age=number))
        waiting += 1
        begin()
        now += pause * SECOND // 2
        for end, one in [entry for entry in executing if entry[0] <= now]:
            executing.remove((end, one))
            queue.release(one.run_id)
        begin()
    while waiting:
        moments = [end for end, _ in executing]
        opening = queue.next_opening()
        moments += [] if opening is None else [opening]
        assert moments, "somebody waits, and nothing will let it go on"
        now = max(now, min(moments))
        for end, one in [entry for entry in executing if entry[0] <= now]:
            executing.remove((end, one))
            queue.release(one.run_id)
        begin()
    for use, instants in starts.items():
        rate = {"x": x, "y": y}[use.throttle_id]
        if rate.limit:
            for first, later in zip(instants, instants[rate.limit :], strict=False):
                assert later - first >= rate.period_secs * SECOND
