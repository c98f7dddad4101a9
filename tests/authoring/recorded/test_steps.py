"""Steps: what is on record is never done again, and is given to every attempt alike."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from authoring.recorded.attempts import Counter, Crash, Run
from strait.authoring import (
    DefinitionError,
    DirectoryBlobs,
    RunContext,
    StepFailed,
    StepMismatch,
    StepTimeout,
    StepValueTooLarge,
    SyncRunContext,
    step,
)
from strait.errors import NonRetryable
from strait.retry import JitterStrategy, RetryOptions

AT_ONCE = RetryOptions(attempts=3, delay_ms=0, jitter=JitterStrategy.NONE)


@pytest.fixture
def run() -> Run:
    return Run()


async def test_a_step_is_done_once_and_its_result_given_to_every_attempt(run: Run) -> None:
    charge = Counter({"id": "ch_1"})

    async def handler(ctx: RunContext) -> Any:
        charged = await ctx.step("charge", charge, "order-1", 450)
        if ctx.attempt == 1:
            raise ConnectionError("the provider's answer was read, and then the network went")
        return charged

    with pytest.raises(ConnectionError):
        await run.attempt(handler)
    assert await run.attempt(handler) == {"id": "ch_1"}
    assert charge.calls == [("order-1", 450)]
    assert run.steps == [
        {"name": "charge", "occurrence": 0, "status": "completed", "output": {"id": "ch_1"}}
    ]


async def test_what_crashes_before_its_record_runs_again_under_the_same_key(run: Run) -> None:
    charge = Counter()
    run.runs.fail_at_key = "charge"

    async def handler(ctx: RunContext) -> Any:
        return await ctx.step("charge", charge)

    with pytest.raises(Crash):
        await run.attempt(handler)
    assert await run.attempt(handler) == 2
    assert len(charge.calls) == 2
    assert charge.keys[0] == charge.keys[1]


async def test_steps_of_one_name_are_told_apart_by_their_number(run: Run) -> None:
    tick = Counter()

    async def handler(ctx: RunContext) -> Any:
        got = [await ctx.step("tick", tick) for _ in range(3)]
        if ctx.attempt == 1:
            raise ValueError
        return got

    with pytest.raises(ValueError):  # noqa: PT011 - it is the handler's own
        await run.attempt(handler)
    assert await run.attempt(handler) == [1, 2, 3]
    assert len(set(tick.keys)) == 3


async def test_the_state_is_read_once_in_an_attempt(run: Run) -> None:
    async def handler(ctx: RunContext) -> None:
        for number in range(5):
            await ctx.step(f"step-{number}", Counter())

    await run.attempt(handler)
    assert run.runs.reads == 1


async def test_a_recorded_step_that_is_asked_with_other_arguments_is_named(run: Run) -> None:
    async def handler(ctx: RunContext) -> Any:
        items = ["tea", "cup"] if ctx.attempt == 1 else ["cup", "tea"]
        await ctx.step("price", Counter(1250), items)
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - it is the handler's own
        await run.attempt(handler)
    with pytest.raises(StepMismatch, match=r"step `price` at test_steps\.py:") as caught:
        await run.attempt(handler)
    assert isinstance(caught.value, NonRetryable)
    assert (caught.value.step, caught.value.occurrence) == ("price", 0)
    assert "argument 1 differs" in str(caught.value)


async def test_sealing_and_blobs_keep_nobody_else_waiting(run: Run, tmp_path: Path) -> None:
    threads: set[int] = set()

    class Reversed:
        name = "reversed"

        def seal(self, value: bytes) -> bytes:
            threads.add(threading.get_ident())
            return value[::-1]

        open = seal

    async def large() -> str:
        return "x" * 100_000

    async def handler(ctx: RunContext) -> int:
        return len(await ctx.step("large", large))

    for _ in range(2):
        session = run.session()
        session.codec, session.blobs = Reversed(), DirectoryBlobs(tmp_path)
        assert await run.attempt(handler, session) == 100_000
    assert threads
    assert threading.get_ident() not in threads


async def test_what_a_step_is_asked_with_is_kept_to_be_looked_at(run: Run) -> None:
    async def take(*args: object, **kwargs: object) -> None:
        return None

    async def handler(ctx: RunContext) -> None:
        await ctx.step("open", take, "o-1", b"raw", key="of whom")
        await ctx.step("none", take)
        await ctx.step("long", take, "x" * 2_048)
        await ctx.step("redacted", take, "o-1", redact=["pin"])
        await ctx.step("secret", take, {"bearer": f"Bearer {ctx.secrets['KEY']}"})

    session = run.session()
    # One so short would hide half of everything.
    session.secrets = {"KEY": 'strange "key"', "SHORT": "o-1"}
    await run.attempt(handler, session)
    kept = {value["name"]: value.get("input") for value in run.runs.kept.values()}
    assert kept == {
        "open": {"args": ["o-1", "<builtins.bytes>"], "kwargs": {"key": "of whom"}},
        "none": None,
        "long": None,
        "redacted": None,
        "secret": {"args": [{"bearer": "Bearer [redacted]"}]},
    }


@pytest.mark.parametrize(("redact", "told"), [((), "argument 2 and `note` differ"), (("pin",), "")])
async def test_a_mismatch_says_which_arguments_differ_unless_they_are_secret(
    run: Run, redact: tuple[str, ...], told: str
) -> None:
    async def pay(*args: object, **kwargs: object) -> str:
        return "paid"

    async def handler(ctx: RunContext) -> Any:
        if ctx.attempt == 1:
            await ctx.step("pay", pay, "o-1", 4, currency="EUR", redact=redact)
            raise OSError
        await ctx.step("pay", pay, "o-1", 5, currency="EUR", note="late", redact=redact)

    with pytest.raises(OSError):  # noqa: PT011 - it is the handler's own
        await run.attempt(handler)
    with pytest.raises(StepMismatch) as caught:
        await run.attempt(handler)
    assert caught.value.differs == told


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"x", "y", "z"}, {"z", "y", "x"}),
        (object(), object()),
        ((1, 2), [1, 2]),
    ],
)
async def test_arguments_are_the_same_where_their_json_is(
    run: Run, before: object, after: object
) -> None:
    async def handler(ctx: RunContext) -> Any:
        await ctx.step("s", Counter(), before if ctx.attempt == 1 else after)
        return "done"

    await run.attempt(handler)
    assert await run.attempt(handler) == "done"


class Receipt(BaseModel):
    """A result with a type."""

    id: str
    cents: int


@dataclass
class Parcel:
    """A result with another kind of type."""

    items: list[str]


async def test_a_result_has_its_type_in_every_attempt(run: Run) -> None:
    async def receipt() -> Receipt:
        return Receipt(id="r", cents=1)

    async def parcel() -> Parcel:
        return Parcel(["tea"])

    async def handler(ctx: RunContext) -> Any:
        return await ctx.step("receipt", receipt), await ctx.step("parcel", parcel)

    first = await run.attempt(handler)
    assert first == (Receipt(id="r", cents=1), Parcel(["tea"]))
    assert await run.attempt(handler) == first


async def test_the_first_attempt_gets_what_the_others_will_get(run: Run) -> None:
    async def handler(ctx: RunContext) -> Any:
        return await ctx.step("pair", Counter((1, 2)))

    assert await run.attempt(handler) == [1, 2]


async def test_a_step_is_tried_again_within_the_attempt(run: Run) -> None:
    flaky = Counter(ConnectionError("1"), ConnectionError("2"), "ok")

    async def handler(ctx: RunContext) -> Any:
        return await ctx.step("flaky", flaky, retry=AT_ONCE)

    assert await run.attempt(handler) == "ok"
    assert len(flaky.calls) == 3
    assert len(set(flaky.keys)) == 1


async def test_a_failure_that_may_pass_is_not_recorded(run: Run) -> None:
    flaky = Counter(ConnectionError("down"), "up")

    async def handler(ctx: RunContext) -> Any:
        return await ctx.step("flaky", flaky)

    with pytest.raises(ConnectionError):
        await run.attempt(handler)
    assert run.steps == []
    assert await run.attempt(handler) == "up"


async def test_a_failure_for_good_is_recorded_and_not_tried_again(run: Run) -> None:
    declined = Counter(NonRetryable("card declined"))

    async def handler(ctx: RunContext) -> Any:
        try:
            await ctx.step("charge", declined, retry=AT_ONCE)
        except NonRetryable as error:
            await ctx.step("apologise", Counter("sorry"))
            return type(error), str(error)
        raise AssertionError("it was declined")

    assert await run.attempt(handler) == (NonRetryable, "card declined")
    assert await run.attempt(handler) == (
        StepFailed, "step `charge` failed: NonRetryable: card declined"
    )  # fmt: skip
    assert len(declined.calls) == 1


async def test_a_step_that_takes_too_long_is_stopped(run: Run) -> None:
    import asyncio

    async def slow() -> None:
        await asyncio.Event().wait()

    async def handler(ctx: RunContext) -> Any:
        await ctx.step("slow", slow, timeout_secs=0.01)

    with pytest.raises(StepTimeout, match=r"step `slow` took over 0.01 s"):
        await run.attempt(handler)


async def test_a_result_that_no_platform_keeps_fails_at_its_step(run: Run) -> None:
    async def handler(ctx: RunContext) -> Any:
        await ctx.step("large", Counter("x" * 70_000))

    with pytest.raises(StepValueTooLarge, match="step `large` makes a record of 7") as caught:
        await run.attempt(handler)
    assert (caught.value.limit, caught.value.size > 70_000) == (65_536, True)


async def test_a_large_result_goes_to_the_blob_store(run: Run, tmp_path: Any) -> None:
    large = Counter("x" * 70_000)

    async def handler(ctx: RunContext) -> Any:
        return await ctx.step("large", large)

    for _ in range(2):
        session = run.session()
        session.blobs = DirectoryBlobs(tmp_path / "blobs")
        assert await run.attempt(handler, session) == "x" * 70_000
    assert len(large.calls) == 1
    assert len(str(run.steps)) < 1_000


class Backwards:
    """A codec that anybody can open."""

    name = "backwards"

    def seal(self, plain: bytes, /) -> bytes:
        return plain[::-1]

    def open(self, sealed: bytes, /) -> bytes:
        return sealed[::-1]


async def test_a_codec_seals_what_the_platform_keeps(run: Run) -> None:
    async def handler(ctx: RunContext) -> Any:
        return await ctx.step("secret", Counter("4242 4242"))

    for _ in range(2):
        session = run.session()
        session.codec = Backwards()
        assert await run.attempt(handler, session) == "4242 4242"
    assert "4242" not in str(run.steps)
    with pytest.raises(NonRetryable, match="sealed by codec `backwards`"):
        await run.attempt(handler)


async def test_what_is_no_json_is_refused_by_the_name_of_its_type(run: Run) -> None:
    async def handler(ctx: RunContext) -> Any:
        await ctx.step("bad", Counter(object()))

    with pytest.raises(NonRetryable, match="step `bad` cannot be recorded: a value of type `obj"):
        await run.attempt(handler)


async def test_a_step_holds_no_other_steps(run: Run) -> None:
    async def handler(ctx: RunContext) -> Any:
        async def outer() -> Any:
            return await ctx.step("inner", Counter())

        await ctx.step("outer", outer)

    with pytest.raises(DefinitionError, match="`inner` is called inside of step `outer`"):
        await run.attempt(handler)


async def test_a_decorated_function_is_a_step_inside_of_a_handler_only(run: Run) -> None:
    calls: list[str] = []

    @step(name="greeting")
    async def greet(name: str) -> str:
        calls.append(name)
        return f"hello {name}"

    async def handler(ctx: RunContext) -> str:
        return await greet("ada")

    assert await greet("bob") == "hello bob"
    assert [await run.attempt(handler), await run.attempt(handler)] == ["hello ada"] * 2
    assert calls == ["bob", "ada"]
    assert [kept["name"] for kept in run.steps] == ["greeting"]


def test_a_plain_handler_has_the_same_steps(run: Run) -> None:
    calls: list[int] = []

    @step
    def double(number: int) -> int:
        calls.append(number)
        return 2 * number

    def handler(ctx: SyncRunContext) -> Any:
        return [
            double(1),
            ctx.step("one", lambda: calls.append(0) or "one"),
            ctx.map(double, [3, 4], key=str),
        ]

    first = run.plain_attempt(handler)
    assert first == [2, "one", [6, 8]]
    assert run.plain_attempt(handler) == first
    assert calls == [1, 0, 3, 4]


def test_a_plain_handler_cannot_await(run: Run) -> None:
    with pytest.raises(TypeError, match="step `s` has an `async def` function"):
        run.plain_attempt(lambda ctx: ctx.step("s", Counter()))


async def test_a_decorated_function_keeps_its_options_by_whatever_it_is_called(run: Run) -> None:
    tries: list[str] = []

    @step(retry=AT_ONCE, undo=lambda result: None)
    async def flaky(item: str) -> str:
        tries.append(item)
        if tries.count(item) < 3:
            raise ConnectionError(item)
        return item

    async def handler(ctx: RunContext) -> Any:
        return [await ctx.step("one", flaky, "a"), *await ctx.map(flaky, ["b"], key=str)]

    session = run.session()
    assert await run.attempt(handler, session) == ["a", "b"]
    assert len(session.recorded.ledger.undoable) == 2


async def test_the_error_of_a_sealed_step_is_not_kept_in_clear(run: Run) -> None:
    async def handler(ctx: RunContext) -> Any:
        await ctx.step("pay", Counter(NonRetryable("card 4242 was refused")), redact=["card"])

    with pytest.raises(NonRetryable, match="4242"):
        await run.attempt(handler)
    assert "4242" not in str(run.steps)
    with pytest.raises(StepFailed, match="step `pay` failed: NonRetryable"):
        await run.attempt(handler)


async def test_what_cannot_be_kept_is_not_done_again(run: Run) -> None:
    large = Counter("x" * 70_000)

    async def handler(ctx: RunContext) -> Any:
        await ctx.step("large", large)

    with pytest.raises(StepValueTooLarge):
        await run.attempt(handler)
    with pytest.raises(StepFailed, match="StepValueTooLarge"):
        await run.attempt(handler)
    assert len(large.calls) == 1


async def test_branches_that_begin_together_read_the_state_once(run: Run) -> None:
    async def handler(ctx: RunContext) -> Any:
        return await ctx.gather(*(ctx.step(f"s{number}", Counter()) for number in range(20)))

    assert await run.attempt(handler) == [1] * 20
    assert run.runs.reads == 1
