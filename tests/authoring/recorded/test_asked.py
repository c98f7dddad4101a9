"""How a handler asks for a step: with `await`, with a function, and with time for each."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from authoring.recorded.attempts import Counter, Run
from strait.authoring import (
    DefinitionError,
    RunContext,
    StepNotAwaited,
    StepTimeout,
    SyncRunContext,
    step,
)

NOT_AWAITED = r"step `mail` at test_asked\.py:\d+ was called without `await`"


@pytest.fixture
def run() -> Run:
    return Run()


@step
def mail(to: str) -> str:
    """Stand for a plain step, which a plain handler just calls."""
    return to


async def test_a_step_that_nobody_awaited_is_named(run: Run) -> None:
    context = RunContext(run.session())
    context.asked.check()
    await context.step("charge", Counter())
    context.asked.check()
    forgotten = context.step("mail", Counter())
    with pytest.raises(StepNotAwaited, match=NOT_AWAITED):
        context.asked.check()
    forgotten.close()
    context.asked.check()


async def test_a_step_that_nobody_awaited_warns_of_itself() -> None:
    context = RunContext(Run().session())
    with pytest.warns(RuntimeWarning, match=NOT_AWAITED):
        context.step("mail", Counter())


async def test_a_step_of_a_task_that_was_cancelled_before_it_began_is_no_mistake(run: Run) -> None:
    context = RunContext(run.session())
    task = asyncio.create_task(context.step("mail", Counter()))
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    context.asked.check()


async def test_steps_are_begun_in_tasks_and_groups(run: Run) -> None:
    async def handler(ctx: RunContext) -> Any:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ctx.step(f"s{n}", Counter(n))) for n in range(3)]
        return [task.result() for task in tasks] + await asyncio.gather(ctx.step("t", Counter("t")))

    assert await run.attempt(handler) == [0, 1, 2, "t"]


async def test_what_is_no_function_is_refused_by_the_name_of_its_step(run: Run) -> None:
    async def charge() -> int:
        return 1

    async def handler(ctx: RunContext) -> Any:
        await ctx.step("charge", charge())  # type: ignore[call-overload]

    with pytest.raises(DefinitionError, match=r"`charge` needs a function, not .* `coroutine`"):
        await run.attempt(handler)

    def plain(ctx: SyncRunContext) -> Any:
        ctx.step("charge", 3)  # type: ignore[arg-type]

    with pytest.raises(DefinitionError, match=r"`charge` needs a function, not .* `int`"):
        run.plain_attempt(plain)


@pytest.mark.parametrize("span", ["3d", None, True, float("nan"), -1])
async def test_a_sleep_that_is_no_time_is_refused(run: Run, span: Any) -> None:
    async def handler(ctx: RunContext) -> None:
        await ctx.sleep(span)

    with pytest.raises(DefinitionError, match="a number or a `timedelta`, not"):
        await run.attempt(handler)


async def test_the_time_of_a_plain_function_begins_with_it(run: Run) -> None:
    """One that has to wait for a thread is not late for that."""
    many = 100
    go = threading.Event()
    begun = threading.Semaphore(0)

    def work(number: int) -> int:
        begun.release()
        assert go.wait(30)
        return number

    async def handler(ctx: RunContext) -> Any:
        steps = (ctx.step(f"s{n}", work, n, timeout_secs=0.2) for n in range(many))
        return await asyncio.gather(*steps, return_exceptions=True)

    attempt = asyncio.ensure_future(run.attempt(handler))
    for _ in range(64):  # as many as run at once
        await asyncio.to_thread(begun.acquire)
    await asyncio.sleep(0.3)
    go.set()
    results = await attempt
    late = [result for result in results if isinstance(result, StepTimeout)]
    assert len(late) == 64
    assert len([result for result in results if isinstance(result, int)]) == many - 64


async def test_a_step_does_not_wait(run: Run) -> None:
    """The attempt would end inside of it, and what it had done would be done again."""
    did: list[str] = []

    async def handler(ctx: RunContext) -> Any:
        waits = {
            "sleep": lambda: ctx.sleep(1),
            "wait_for_event": lambda: ctx.wait_for_event("e"),
            "spawn": lambda: ctx.spawn("child", "proj").result(),
        }

        async def pay(wait: str) -> Any:
            did.append(wait)
            return await waits[wait]()

        for wait in waits:
            with pytest.raises(DefinitionError, match=f"{wait}: it is called inside of step `pay`"):
                await ctx.step("pay", pay, wait)

    await run.attempt(handler)
    assert did == ["sleep", "wait_for_event", "spawn"]
    assert run.runs.suspended == []


def test_a_step_of_a_plain_handler_does_not_wait(run: Run) -> None:
    def handler(ctx: SyncRunContext) -> Any:
        with pytest.raises(DefinitionError, match="inside of step `pay`"):
            ctx.step("pay", lambda: ctx.sleep(1))

    run.plain_attempt(handler)
