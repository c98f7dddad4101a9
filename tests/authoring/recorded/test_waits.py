"""Sleeps, events, children and versions: what ends an attempt, and what the next one finds."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from authoring.recorded.attempts import Run
from strait.authoring import ChildFailed, DefinitionError, EventTimeout, RunContext
from strait.clock import to_timestamp
from strait.reserved import child_outcome_key, event_state_key


@pytest.fixture
def run() -> Run:
    return Run()


async def one() -> int:
    return 1


async def pass_on(item: str) -> str:
    return item


async def test_a_sleep_lets_the_run_wait_until_the_same_instant_in_every_attempt(run: Run) -> None:
    async def handler(ctx: RunContext) -> str:
        await ctx.sleep(timedelta(days=3))
        return "awake"

    wakes = to_timestamp(run.now_us + 3 * 86_400_000_000)
    assert await run.attempt(handler) is None
    run.now_us += 86_400_000_000
    # Something else woke it, such as a crash of the server.
    assert await run.attempt(handler) is None
    assert [body["wake_at"] for body in run.runs.suspended] == [wakes, wakes]
    run.now_us += 2 * 86_400_000_000
    assert await run.attempt(handler) == "awake"
    assert await run.attempt(handler) == "awake"
    assert len(run.runs.suspended) == 2


async def test_a_sleep_ends_at_an_instant_that_has_a_zone(run: Run) -> None:
    async def handler(ctx: RunContext) -> None:
        await ctx.sleep_until(datetime(2030, 1, 1, tzinfo=UTC))

    async def naive(ctx: RunContext) -> None:
        await ctx.sleep_until(datetime(2030, 1, 1))  # noqa: DTZ001 - that is the point

    await run.attempt(handler)
    assert run.runs.suspended[0]["wake_at"].startswith("2030-01-01T00:00:00")
    with pytest.raises(DefinitionError, match="must have a time zone"):
        await Run().attempt(naive)
    with pytest.raises(DefinitionError, match="0 seconds or longer"):
        await Run().attempt(lambda ctx: ctx.sleep(-1))


async def test_a_wait_with_a_timeout_goes_on_without_its_event(run: Run) -> None:
    async def handler(ctx: RunContext) -> str:
        try:
            return str(await ctx.wait_for_event("paid", timeout=60))
        except EventTimeout as late:
            return f"no {late.event_key}"

    assert await run.attempt(handler) is None
    assert run.runs.suspended == [
        {"waits": [{"event_key": "paid", "occurrence": 0, "timeout_secs": 60}]}
    ]
    run.runs.kept[event_state_key("paid", 0)] = {"event_key": "paid", "timed_out": True}
    assert await run.attempt(handler) == "no paid"


async def test_branches_that_wait_wait_together_once_the_others_are_done(run: Run) -> None:
    done: list[str] = []

    async def handler(ctx: RunContext) -> Any:
        async def work() -> str:
            for number in range(3):
                await ctx.step(f"work-{number}", one)
            done.append("worked")
            return "worked"

        return await ctx.gather(
            ctx.wait_for_event("paid"),
            ctx.sleep(10, name="nap"),
            ctx.spawn("child", "proj").result(),
            work(),
        )

    assert await run.attempt(handler) is None
    assert done == ["worked"]
    (body,) = run.runs.suspended
    assert set(body) == {"waits", "wake_at", "children"}
    # What has come is not waited for again.
    run.runs.kept[event_state_key("paid", 0)] = {"event_key": "paid", "payload": {"cents": 1}}
    assert await run.attempt(handler) is None
    assert set(run.runs.suspended[1]) == {"wake_at", "children"}
    run.now_us += 10_000_000
    run.runs.kept[child_outcome_key("spawn_1")] = {
        "run_id": "spawn_1", "status": "completed", "result": 7
    }  # fmt: skip
    # The platform finds the child that the same call has started; this one in memory makes more.
    run.runs.kept[child_outcome_key("spawn_3")] = {
        "run_id": "spawn_3", "status": "completed", "result": 7
    }  # fmt: skip
    assert await run.attempt(handler) == [{"cents": 1}, None, 7, "worked"]


async def test_what_has_come_already_lets_the_attempt_go_on(run: Run) -> None:
    async def ready(run_id: str, body: dict[str, Any], /) -> dict[str, Any]:
        (wait,) = body["waits"]
        key = event_state_key(wait["event_key"], wait["occurrence"])
        run.runs.kept[key] = {"event_key": wait["event_key"], "payload": wait["event_key"]}
        return {"status": "ready"}

    run.runs.suspend_run = ready  # type: ignore[method-assign]

    async def handler(ctx: RunContext) -> Any:
        first = await ctx.gather(ctx.wait_for_event("a"), ctx.step("s", one))
        return [*first, await ctx.wait_for_event("b", timeout=5)]

    assert await run.attempt(handler) == ["a", 1, "b"]


async def test_the_error_of_a_branch_is_raised_once_the_others_have_ended(run: Run) -> None:
    ended: list[str] = []

    async def handler(ctx: RunContext) -> None:
        async def fails() -> None:
            raise LookupError("no such order")

        async def works() -> None:
            await ctx.step("s", one)
            ended.append("s")

        await ctx.gather(fails(), works(), ctx.sleep(5))

    with pytest.raises(LookupError, match="no such order"):
        await run.attempt(handler)
    assert ended == ["s"]
    # What failed is not to wait for what another branch waits for.
    assert run.runs.suspended == []


async def test_a_failure_deep_inside_is_raised_while_others_wait(run: Run) -> None:
    cleaned: list[str] = []

    async def handler(ctx: RunContext) -> Any:
        async def waits() -> None:
            try:
                await ctx.gather(ctx.sleep(5, name="a"), ctx.wait_for_event("b"))
            finally:
                cleaned.append(await ctx.step("clean", pass_on, "cleaned"))

        async def fails() -> None:
            raise LookupError("no such order")

        try:
            await ctx.gather(waits(), ctx.gather(fails(), ctx.sleep(5, name="c")))
        except LookupError as error:
            return str(error)

    assert await run.attempt(handler) == "no such order"
    assert cleaned == ["cleaned"]
    assert run.runs.suspended == []


async def test_a_wait_that_is_given_up_does_not_end_the_attempt_under_the_others(run: Run) -> None:
    at_work, done = asyncio.Event(), asyncio.Event()

    async def handler(ctx: RunContext) -> Any:
        async def gives_up() -> str:
            try:
                async with asyncio.timeout(0.01):
                    await ctx.wait_for_event("never")
            except TimeoutError:
                at_work.set()
            return "gave up"

        async def works() -> str:
            await at_work.wait()
            assert run.runs.suspended == []
            done.set()
            return "worked"

        return await ctx.gather(gives_up(), works())

    assert await run.attempt(handler) == ["gave up", "worked"]
    assert run.runs.suspended == []


async def test_a_map_is_found_where_it_was_asked_for_inside_of_others(run: Run) -> None:
    async def handler(ctx: RunContext) -> Any:
        return await ctx.gather(ctx.map(pass_on, ["a"], key=str))

    assert await run.attempt(handler) == [["a"]]
    (kept,) = [value for key, value in run.runs.kept.items() if key.startswith("strait.step.")]
    assert kept["at"].startswith("test_waits.py:")


async def test_a_map_takes_items_by_their_key(run: Run) -> None:
    packed: list[str] = []

    async def pack(item: str) -> str:
        packed.append(item)
        return item.upper()

    async def handler(ctx: RunContext) -> list[str]:
        items = ["tea", "cup"] if ctx.attempt == 1 else ["pot", "cup", "tea"]
        return await ctx.map(pack, items, key=str)

    assert await run.attempt(handler) == ["TEA", "CUP"]
    assert await run.attempt(handler) == ["POT", "CUP", "TEA"]
    assert sorted(packed) == ["cup", "pot", "tea"]
    assert {kept["name"] for kept in run.steps} == {"pack[tea]", "pack[cup]", "pack[pot]"}


async def test_keys_of_a_map_must_differ(run: Run) -> None:
    with pytest.raises(DefinitionError, match=r"two items have the key of step `one\[a\]`"):
        await run.attempt(lambda ctx: ctx.map(one, ["a", "a"], key=str))
    with pytest.raises(DefinitionError, match="`concurrency` must be at least 1"):
        await run.attempt(lambda ctx: ctx.map(one, [], concurrency=0))


async def test_no_more_of_a_map_run_at_once_than_said(run: Run) -> None:
    running: list[int] = []
    most: list[int] = []

    async def work(item: int) -> int:
        running.append(item)
        most.append(len(running))
        await asyncio.sleep(0)
        running.remove(item)
        return item

    assert await run.attempt(lambda ctx: ctx.map(work, range(9), concurrency=3)) == list(range(9))
    assert max(most) == 3


async def test_a_child_that_failed_is_told_by_its_run(run: Run) -> None:
    async def handler(ctx: RunContext) -> Any:
        return await ctx.gather(ctx.spawn("child", "proj").result())

    assert await run.attempt(handler) is None
    for child in ("spawn_1", "spawn_2"):
        run.runs.kept[child_outcome_key(child)] = {
            "run_id": child, "status": "failed", "error": "boom"
        }  # fmt: skip
    with pytest.raises(ChildFailed, match="child run spawn_2 is failed: boom"):
        await run.attempt(handler)


async def test_a_run_follows_the_code_that_it_began_with(run: Run) -> None:
    async def old(ctx: RunContext) -> None:
        await ctx.step("price", one)
        await ctx.step("charge", one)
        raise OSError

    async def new(ctx: RunContext) -> list[int]:
        await ctx.step("price", one)
        version = await ctx.version("screen")
        await ctx.step("charge", one)
        return [version, await ctx.version("receipts", latest=3)]

    with pytest.raises(OSError):  # noqa: PT011 - it is the handler's own
        await run.attempt(old)
    # It had gone beyond the first change, and not come to the second.
    assert await run.attempt(new) == [0, 3]
    assert await run.attempt(new) == [0, 3]
    assert await Run().attempt(new) == [1, 3]
