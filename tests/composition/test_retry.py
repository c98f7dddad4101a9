"""`with_retry` and `with_retry_async`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from strait import ApiError, JitterStrategy, NotFoundError, RateLimitedError, TransportError
from strait.composition import RetryOptions, with_retry, with_retry_async
from strait.errors import ValidationError

from .conftest import AWAITABLES, Pace, Platform, Script, lost, not_found

PLAIN = RetryOptions(attempts=5, delay_ms=1000, jitter=JitterStrategy.NONE)


@pytest.fixture(params=["sync", "async"])
def retrying(request: pytest.FixtureRequest, clock: Pace) -> Any:
    """Return `with_retry` or its twin, to be called like `with_retry`."""
    if request.param == "sync":
        return with_retry

    def run(fn: Any, opts: RetryOptions | None = None) -> Any:
        return asyncio.run(with_retry_async(fn, opts))

    return run


def test_trouble_that_passes_is_outlived(retrying: Any) -> None:
    fn = Script(lost(), ApiError(503, "busy"), RateLimitedError(429, "slow down"), "done")
    assert retrying(fn, PLAIN) == "done"
    assert len(fn.calls) == 4


def test_the_defaults_are_three_tries(retrying: Any, clock: Pace) -> None:
    fn = Script(lost())
    with pytest.raises(TransportError):
        retrying(fn)
    assert len(fn.calls) == 3
    assert clock.waits == [0.125, 0.25], "half of 250 and of 500 ms, by the jitter"


@pytest.mark.parametrize(
    "error", [not_found(), ApiError(501, "no"), ApiError(422, "no"), KeyError("mine")]
)
def test_what_more_tries_cannot_help_is_raised_at_once(retrying: Any, error: Exception) -> None:
    fn = Script(error)
    with pytest.raises(type(error)) as raised:
        retrying(fn, PLAIN)
    assert raised.value is error
    assert len(fn.calls) == 1


def test_the_users_own_predicate_has_the_last_word(retrying: Any) -> None:
    asked: list[tuple[str, int, int]] = []

    def should(error: Exception, attempt: int, attempts: int) -> bool:
        asked.append((type(error).__name__, attempt, attempts))
        return attempt < 2

    with pytest.raises(NotFoundError):
        retrying(Script(not_found()), RetryOptions(attempts=9, delay_ms=0, should_retry=should))
    assert asked == [("NotFoundError", 1, 9), ("NotFoundError", 2, 9)]


def test_waits_grow_and_the_cap_bounds_the_first_one_too(retrying: Any, clock: Pace) -> None:
    opts = RetryOptions(attempts=4, delay_ms=60_000, max_delay_ms=1000, jitter=JitterStrategy.NONE)
    with pytest.raises(TransportError):
        retrying(Script(lost()), opts)
    assert clock.waits == [1, 1, 1]
    clock.waits.clear()
    with pytest.raises(TransportError):
        retrying(Script(lost()), PLAIN)
    assert clock.waits == [1, 2, 4, 8]


def limited(seconds: str) -> RateLimitedError:
    return RateLimitedError(429, "slow down", headers={"Retry-After": seconds})


def test_retry_after_is_waited_for(retrying: Any, clock: Pace) -> None:
    assert retrying(Script(limited("7"), limited("0"), "done"), PLAIN) == "done"
    assert clock.waits == [7, 0]


def test_a_retry_after_of_more_than_a_minute_is_an_error_at_once(
    retrying: Any, clock: Pace
) -> None:
    with pytest.raises(RateLimitedError) as raised:
        retrying(Script(limited("61")), PLAIN)
    assert raised.value.retry_after == 61
    assert clock.waits == []


def test_the_last_error_tells_of_the_earlier_ones(retrying: Any) -> None:
    with pytest.raises(NotFoundError) as raised:
        retrying(Script(lost(), not_found()), PLAIN)
    (note,) = raised.value.__notes__
    assert note.splitlines() == [
        "try 1: TransportError: the connection was lost",
        "try 2: NotFoundError: job not found",
    ]


@pytest.mark.parametrize("attempts", [0, -1])
def test_no_attempts_at_all_are_refused(attempts: int) -> None:
    with pytest.raises(ValidationError, match="`attempts` must be a whole number, at least 1"):
        RetryOptions(attempts=attempts)


@pytest.mark.parametrize("awaitable", AWAITABLES)
async def test_anything_that_can_be_awaited_is_awaited_and_retried(
    clock: Pace, awaitable: Any
) -> None:
    answer = Script(lost(), "done")
    assert await with_retry_async(lambda: awaitable(answer), PLAIN) == "done"
    assert len(answer.calls) == 2


async def test_a_plain_function_can_be_retried_asynchronously(clock: Pace) -> None:
    assert await with_retry_async(Script(lost(), 5), PLAIN) == 5


def test_a_coroutine_function_is_refused_where_nothing_awaits_it(clock: Pace) -> None:
    async def work() -> None:
        raise AssertionError("it was never awaited")

    with pytest.raises(ValidationError, match="use `with_retry_async`"):
        with_retry(work)
    assert clock.waits == []


async def test_a_cancellation_ends_the_retries() -> None:
    waiting = asyncio.Event()

    async def work() -> None:
        waiting.set()
        raise lost()

    task = asyncio.create_task(with_retry_async(work, RetryOptions(delay_ms=30_000)))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_call_that_leaves_the_retries_to_us_is_sent_once_a_try_with_its_key(
    clock: Pace, platform: Platform
) -> None:
    platform.answers = [(503, None)]
    with platform.client() as client, pytest.raises(ApiError):
        with_retry(
            lambda: client.jobs.trigger("j1", idempotency_key="order-17", max_retries=0),
            RetryOptions(attempts=5),
        )
    assert [one.headers["idempotency-key"] for one in platform.requests] == ["order-17"] * 5


# ------------------------------------------------------------------------- around our own clients


def keys(platform: Platform) -> list[str]:
    return [request.headers["idempotency-key"] for request in platform.requests]


def test_tries_around_our_client_are_not_multiplied(clock: Pace, platform: Platform) -> None:
    platform.answers = [(503, None)]
    with platform.client() as client, pytest.raises(ApiError):
        with_retry(lambda: client.jobs.trigger("j1", {"payload": {}}), RetryOptions(attempts=5))
    assert len(platform.requests) == 5
    assert len(clock.waits) == 4


async def test_async_tries_around_our_client_are_not_multiplied(
    clock: Pace, platform: Platform
) -> None:
    platform.answers = [(503, None)]
    async with platform.async_client() as client:
        with pytest.raises(ApiError):
            await with_retry_async(lambda: client.jobs.get("j1"), RetryOptions(attempts=5))
    assert len(platform.requests) == 5


def test_every_try_has_the_same_idempotency_keys(clock: Pace, platform: Platform) -> None:
    platform.answers = [(201, {"id": "a"}), (201, {"id": "b"}), (503, None), (201, {"id": "c"})]
    with platform.client() as client:

        def work() -> list[str | None]:
            bodies = [{"payload": 1}, {"payload": 1}, {"payload": 2}]
            return [client.jobs.trigger("j1", body).id for body in bodies]

        with_retry(work)
    first, second = keys(platform)[:3], keys(platform)[3:]
    assert first == second
    assert len(set(first)) == 3, "two calls that are alike are two calls"


def test_two_retries_have_different_keys(clock: Pace, platform: Platform) -> None:
    platform.answers = [(201, {"id": "a"})]
    with platform.client() as client:
        for _ in range(2):
            with_retry(lambda: client.jobs.trigger("j1"))
    assert len(set(keys(platform))) == 2


def test_after_the_retry_a_client_tries_as_often_as_before(clock: Pace, platform: Platform) -> None:
    platform.answers = [(503, None)]
    fast = RetryOptions(attempts=3, delay_ms=0)
    with platform.client(retry=fast) as client:
        for call in (lambda: with_retry(lambda: client.jobs.get("j"), fast), client.jobs.list):
            with pytest.raises(ApiError):
                call()
    assert len(platform.requests) == 6


def test_a_number_of_retries_at_the_call_wins(clock: Pace, platform: Platform) -> None:
    platform.answers = [(503, None)]
    fast = RetryOptions(attempts=2, delay_ms=0)
    with platform.client(retry=fast) as client, pytest.raises(ApiError):
        with_retry(lambda: client.jobs.get("j", max_retries=1), fast)
    assert len(platform.requests) == 4


def test_a_try_that_is_still_being_carried_out_is_asked_for_again(
    clock: Pace, platform: Platform
) -> None:
    busy = {"error": {"code": "conflict", "message": "request is currently being processed"}}
    platform.answers = [(409, busy), (201, {"id": "run_1"})]
    with platform.client() as client:
        assert with_retry(lambda: client.jobs.trigger("j1")).id == "run_1"
    assert len(set(keys(platform))) == 1


def test_a_retry_within_a_retry_finds_its_keys_again(clock: Pace, platform: Platform) -> None:
    platform.answers = [(503, None), (503, None), (201, {"id": "a"}), (201, {"id": "b"})]
    twice = RetryOptions(attempts=2)
    with platform.client() as client:

        def work() -> list[str | None]:
            return [with_retry(lambda: client.jobs.trigger("j1"), twice).id for _ in range(2)]

        assert with_retry(work, twice) == ["a", "b"]
    first, second, third, other = keys(platform)
    assert first == second == third
    assert other != first, "two calls that are alike are two calls"


@pytest.mark.parametrize("trouble", [ConnectionResetError, TimeoutError])
def test_network_trouble_of_others_is_tried_again(retrying: Any, trouble: type[Exception]) -> None:
    assert retrying(Script(trouble("away"), "done"), PLAIN) == "done"
    with pytest.raises(trouble):
        retrying(Script(trouble("away")), PLAIN)
    # Another fault of the machine does not pass.
    with pytest.raises(PermissionError):
        retrying(Script(PermissionError("no"), "done"), PLAIN)
