"""`with_checkpoint_resume`: no update is lost, writes are in order, failures are told."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strait import ApiError, StraitError
from strait.authoring import AgentOptions, create_test_context, define_agent
from strait.composition import RESUME, with_checkpoint_resume, with_checkpoint_resume_sync
from strait.errors import NonRetryable, ValidationError

from .conftest import lost

State = dict[str, Any]
Update = Callable[[State], None]


class Context:
    """A run context that keeps its checkpoints; `failing` of them fail, counted from 1.

    With `held`, a checkpoint waits until that is set.
    """

    def __init__(self, failing: frozenset[int] = frozenset(), last: Any = None) -> None:
        self.saved: list[State] = []
        self.tried = 0
        self.last_checkpoint = last
        self.error: Exception = lost()
        self.held: asyncio.Event | None = None
        self._failing = failing

    async def checkpoint(self, state: Any) -> None:
        if self.held is not None:
            await self.held.wait()
        self.save(state)

    def save(self, state: Any) -> None:
        self.tried += 1
        if self.tried in self._failing:
            raise self.error
        self.saved.append(state)


class Blocking(Context):
    """The same, with methods that block."""

    def checkpoint(self, state: Any) -> None:  # type: ignore[override] # it is another protocol
        self.save(state)


ALWAYS = frozenset(range(1, 1000))


def counts_to(most: int, failing: bool = False) -> Callable[[State, Update], int]:
    def work(state: State, update: Update) -> int:
        for index in range(state["i"], most):
            update({"i": index + 1})
        if failing:
            raise KeyError("mine")
        return most

    return work


class Resuming:
    """Both functions, called alike, with plain work."""

    def __init__(self, kind: str) -> None:
        self.is_async = kind == "async"

    def context(self, **options: Any) -> Context:
        return Context(**options) if self.is_async else Blocking(**options)

    def __call__(
        self,
        ctx: Any,
        work: Callable[[State, Update], Any],
        last: Any = None,
        initial: State | None = None,
        **options: Any,
    ) -> Any:
        begin = {"i": 0} if initial is None else initial
        if not self.is_async:
            return with_checkpoint_resume_sync(ctx, last, work, begin, **options)

        async def coroutine(state: State, update: Update) -> Any:
            return work(state, update)

        return asyncio.run(with_checkpoint_resume(ctx, last, coroutine, begin, **options))


@pytest.fixture(params=["sync", "async"])
def resuming(request: pytest.FixtureRequest) -> Resuming:
    return Resuming(request.param)


def test_every_update_is_persisted_in_order(resuming: Resuming) -> None:
    ctx = resuming.context()
    assert resuming(ctx, counts_to(3)) == 3
    assert ctx.saved == [{"i": 1}, {"i": 2}, {"i": 3}]


def test_the_interval_skips_updates_and_the_end_persists_the_newest(resuming: Resuming) -> None:
    ctx = resuming.context()
    resuming(ctx, counts_to(7), checkpoint_interval=3)
    assert ctx.saved == [{"i": 3}, {"i": 6}, {"i": 7}]


def test_a_state_that_is_persisted_is_not_persisted_again(resuming: Resuming) -> None:
    ctx = resuming.context()
    resuming(ctx, counts_to(6), checkpoint_interval=3)
    assert ctx.saved == [{"i": 3}, {"i": 6}]


def test_work_without_an_update_persists_nothing(resuming: Resuming) -> None:
    ctx = resuming.context()
    assert resuming(ctx, lambda state, update: state) == {"i": 0}
    assert ctx.saved == []


def test_the_newest_state_is_persisted_when_the_work_fails(resuming: Resuming) -> None:
    ctx = resuming.context()
    with pytest.raises(KeyError, match="mine"):
        resuming(ctx, counts_to(4, failing=True), checkpoint_interval=3)
    assert ctx.saved == [{"i": 3}, {"i": 4}]


@pytest.mark.parametrize("interval", [0, -1, True, 1.5])
def test_an_interval_below_one_is_refused_before_any_work(
    resuming: Resuming, interval: Any
) -> None:
    def work(state: State, update: Update) -> None:
        raise AssertionError("it was called")

    with pytest.raises(ValidationError, match="`checkpoint_interval` must be at least 1"):
        resuming(resuming.context(), work, checkpoint_interval=interval)


def test_work_goes_on_from_the_checkpoint_that_is_given(resuming: Resuming) -> None:
    ctx = resuming.context()
    resuming(ctx, counts_to(3), last={"i": 2})
    assert ctx.saved == [{"i": 3}]


def test_an_empty_checkpoint_is_a_checkpoint(resuming: Resuming) -> None:
    assert resuming(resuming.context(), lambda state, _: state, last={}) == {}


@pytest.mark.parametrize(("last", "saved"), [(None, [1, 2]), ({"i": 1}, [2])])
def test_resume_finds_the_last_checkpoint_itself(
    resuming: Resuming, last: Any, saved: list[int]
) -> None:
    ctx = resuming.context(last=last)
    resuming(ctx, counts_to(2), last=RESUME)
    assert [state["i"] for state in ctx.saved] == saved


def test_resume_needs_a_context_that_knows(resuming: Resuming) -> None:
    with pytest.raises(ValidationError, match="`RESUME` needs a context with `last_checkpoint`"):
        resuming(object(), counts_to(1), last=RESUME)


@pytest.mark.parametrize("wrong", [[1], "x", 5])
def test_a_state_that_is_no_dict_is_refused(resuming: Resuming, wrong: Any) -> None:
    with pytest.raises(ValidationError, match="a state must be a dict"):
        resuming(resuming.context(), counts_to(1), last=wrong)
    with pytest.raises(ValidationError, match="a state must be a dict"):
        resuming(resuming.context(), lambda _, update: update(wrong))


def test_states_are_copies(resuming: Resuming) -> None:
    ctx, initial = resuming.context(), {"seen": []}

    def work(state: State, update: Update) -> None:
        for number in range(3):
            state["seen"].append(number)
            update(state)

    resuming(ctx, work, initial=initial)
    assert ctx.saved == [{"seen": [0]}, {"seen": [0, 1]}, {"seen": [0, 1, 2]}]
    assert initial == {"seen": []}


# ----------------------------------------------------------------------------------------- failures


def test_a_checkpoint_that_fails_is_logged_and_superseded(
    resuming: Resuming, caplog: pytest.LogCaptureFixture
) -> None:
    ctx = resuming.context(failing=frozenset({1, 2}))
    with caplog.at_level(logging.WARNING, "strait.composition"):
        assert resuming(ctx, counts_to(4)) == 4
    assert ctx.saved == [{"i": 3}, {"i": 4}]
    assert caplog.text.count("a checkpoint failed") == 2


def test_the_newest_state_is_tried_again_at_the_end(resuming: Resuming) -> None:
    ctx = resuming.context(failing=frozenset({2}))
    assert resuming(ctx, counts_to(2)) == 2
    assert ctx.saved == [{"i": 1}, {"i": 2}]


def test_a_newest_state_that_cannot_be_persisted_is_an_error(resuming: Resuming) -> None:
    with pytest.raises(StraitError) as raised:
        resuming(resuming.context(failing=ALWAYS), counts_to(2))
    assert str(raised.value) == "the connection was lost"


def test_what_the_work_failed_with_is_told_first(resuming: Resuming) -> None:
    with pytest.raises(KeyError) as raised:
        resuming(resuming.context(failing=ALWAYS), counts_to(2, failing=True))
    (note,) = raised.value.__notes__
    assert note == "the newest state could not be checkpointed: the connection was lost"


def test_a_run_that_has_ended_is_told_of(resuming: Resuming) -> None:
    ctx = resuming.context(failing=ALWAYS)
    ctx.error = ApiError(410, "run has ended")
    with pytest.raises(ApiError, match="run has ended"):
        resuming(ctx, counts_to(1))


def test_what_a_context_says_against_the_work_ends_it(resuming: Resuming) -> None:
    ctx = resuming.context(failing=ALWAYS)
    ctx.error = NonRetryable("enough")
    with pytest.raises(NonRetryable, match="enough"):
        resuming(ctx, counts_to(1))


# ----------------------------------------------------------------------------- only asynchronously


async def test_a_plain_function_is_told_where_it_belongs() -> None:
    with pytest.raises(ValidationError, match=r"`fn` must be `async def`.*_sync` takes a plain"):
        await with_checkpoint_resume(Context(), None, counts_to(1), {"i": 0})  # type: ignore[arg-type] # wrong on purpose


async def test_slow_checkpoints_do_not_overtake_each_other() -> None:
    ctx = Context()
    ctx.held = asyncio.Event()

    async def work(state: State, update: Update) -> None:
        for index in range(1, 4):
            update({"i": index})
            await asyncio.sleep(0)
        assert ctx.saved == []
        assert ctx.held is not None
        ctx.held.set()

    await with_checkpoint_resume(ctx, None, work, {})
    assert ctx.saved == [{"i": 1}, {"i": 2}, {"i": 3}]


async def test_checkpoints_are_written_while_the_work_goes_on() -> None:
    ctx = Context()
    written = asyncio.Event()

    async def checkpoint(state: Any) -> None:
        ctx.save(state)
        written.set()

    ctx.checkpoint = checkpoint  # type: ignore[method-assign] # a spy

    async def work(state: State, update: Update) -> list[State]:
        update({"i": 1})
        await asyncio.wait_for(written.wait(), 10)
        return list(ctx.saved)

    assert await with_checkpoint_resume(ctx, None, work, {}) == [{"i": 1}]


async def test_work_that_goes_on_hears_of_a_verdict_at_its_next_update() -> None:
    ctx = Context(failing=ALWAYS)
    ctx.error = NonRetryable("enough")

    async def work(state: State, update: Update) -> None:
        while True:
            update({})
            await asyncio.sleep(0)

    with pytest.raises(NonRetryable, match="enough") as raised:
        await asyncio.wait_for(with_checkpoint_resume(ctx, None, work, {}), 10)
    assert not hasattr(raised.value, "__notes__")


async def test_cancelled_work_persists_its_newest_state() -> None:
    ctx, started = Context(), asyncio.Event()

    async def work(state: State, update: Update) -> None:
        update({"i": 1})
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(with_checkpoint_resume(ctx, None, work, {}, checkpoint_interval=9))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ctx.saved == [{"i": 1}]


async def test_no_task_outlives_the_call() -> None:
    ctx, started = Context(), asyncio.Event()
    ctx.held = asyncio.Event()

    async def work(state: State, update: Update) -> None:
        update({"i": 1})
        started.set()

    task = asyncio.create_task(with_checkpoint_resume(ctx, None, work, {}))
    await started.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_threads_may_update() -> None:
    ctx = Context()

    async def work(state: State, update: Update) -> None:
        lock, number = threading.Lock(), 0

        def count() -> None:
            nonlocal number
            for _ in range(50):
                with lock:
                    number += 1
                    update({"i": number})

        await asyncio.gather(*(asyncio.to_thread(count) for _ in range(3)))

    await with_checkpoint_resume(ctx, None, work, {})
    assert [state["i"] for state in ctx.saved] == list(range(1, 151))


async def test_a_context_that_blocks_does_not_block_the_loop() -> None:
    threads: list[int] = []

    class Noting(Blocking):
        def checkpoint(self, state: Any) -> None:  # type: ignore[override] # as above
            threads.append(threading.get_ident())
            self.save(state)

    async def work(state: State, update: Update) -> None:
        update({"i": 1})

    ctx = Noting()
    await with_checkpoint_resume(ctx, None, work, {})
    assert ctx.saved == [{"i": 1}]
    assert threading.get_ident() not in threads


async def test_the_context_of_the_harness_works() -> None:
    ctx, record = create_test_context("run_1")

    async def work(state: State, update: Update) -> str:
        update({"i": state["i"] + 1})
        return "done"

    assert await with_checkpoint_resume(ctx, RESUME, work, {"i": 0}) == "done"
    assert record.checkpoints == [{"i": 1}]


async def test_an_agent_that_checkpoints_so_keeps_its_limit_of_iterations() -> None:
    async def handler(payload: Any, ctx: Any) -> None:
        async def work(state: State, update: Update) -> None:
            for index in range(100):
                update({"i": index})
                await asyncio.sleep(0)

        await with_checkpoint_resume(ctx, None, work, {})

    options = AgentOptions(
        name="A",
        slug="a",
        endpoint_url="https://w.test",
        project_id="p",
        max_iterations=3,
        run=handler,
    )
    ctx, record = create_test_context("run_1")
    run: Any = define_agent(options).run
    with pytest.raises(NonRetryable, match="its `max_iterations` is 3"):
        await run({}, ctx)
    assert len(record.checkpoints) < 20


@given(
    updates=st.integers(0, 12),
    interval=st.integers(1, 5),
    failing=st.frozensets(st.integers(1, 15)),
    breaks=st.booleans(),
    kind=st.sampled_from(["sync", "async"]),
)
def test_the_newest_state_is_persisted_or_its_failure_is_told(
    updates: int, interval: int, failing: frozenset[int], breaks: bool, kind: str
) -> None:
    resuming = Resuming(kind)
    ctx = resuming.context(failing=failing)
    told = None
    try:
        resuming(ctx, counts_to(updates, breaks), checkpoint_interval=interval)
    except (KeyError, StraitError) as error:
        told = error
    numbers = [state["i"] for state in ctx.saved]
    assert numbers == sorted(set(numbers)), "in order, and none twice"
    is_kept = not updates or numbers[-1:] == [updates]
    if is_kept:
        assert isinstance(told, KeyError) == breaks
        assert not hasattr(told, "__notes__")
    elif breaks:
        assert isinstance(told, KeyError)
        assert "could not be checkpointed" in told.__notes__[0]
    else:
        assert isinstance(told, StraitError)


def test_threads_that_share_an_update_write_in_order() -> None:
    """The first thread is held in its write; the second may not overtake it."""
    entered, go_on = threading.Event(), threading.Event()
    saved: list[int] = []

    class Slow:
        def checkpoint(self, state: Any) -> None:
            if state["n"] == 1:
                entered.set()
                assert go_on.wait(10)
            saved.append(state["n"])

    def work(state: State, update: Update) -> None:
        first = threading.Thread(target=update, args=({"n": 1},))
        first.start()
        assert entered.wait(10)
        second = threading.Thread(target=update, args=({"n": 2},))
        second.start()
        # Nothing tells that a thread waits for a lock; if none does, the second ends soon.
        second.join(0.1)
        go_on.set()
        first.join()
        second.join()

    with_checkpoint_resume_sync(Slow(), None, work, {"n": 0})
    assert saved == [1, 2]
