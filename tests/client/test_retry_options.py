"""The retry policy: its values are checked, its delays bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strait import JitterStrategy, RetryOptions, RetryPolicy, ValidationError
from strait.errors import ApiError, NotFoundError, RateLimitedError, TransportError
from strait.retry import backoff_secs


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"attempts": "3"},
        {"attempts": 2.5},
        {"delay_ms": -5},
        {"delay_ms": None},
        {"max_delay_ms": -1},
        {"factor": 0.5},
        {"jitter": "some"},
        {"jitter": []},
        {"should_retry": True},
    ],
)
def test_values_out_of_range_are_refused_by_name(options: dict[str, object]) -> None:
    (name,) = options
    with pytest.raises(ValidationError, match=f"`{name}`"):
        RetryOptions(**options)  # type: ignore[arg-type] # wrong on purpose


def test_the_first_delay_is_bounded_too() -> None:
    options = RetryOptions(delay_ms=60_000, max_delay_ms=1_000, jitter=JitterStrategy.NONE)
    assert [options.delay_secs(attempt, 0.3) for attempt in (1, 2, 900)] == [1.0, 1.0, 1.0]


def test_by_default_only_what_may_succeed_later_is_retried() -> None:
    options = RetryOptions(attempts=5)
    later = [TransportError("x"), RateLimitedError(429, "x"), ApiError(503, "x")]
    never = [NotFoundError(404, "x"), ApiError(501, "x"), ApiError(422, "x"), ValueError("x")]
    assert all(options.wants_retry(error, 1) for error in later)
    assert not any(options.wants_retry(error, 1) for error in never)
    assert not options.wants_retry(later[0], 5)


def test_the_published_names_are_one_class() -> None:
    assert RetryPolicy is RetryOptions
    assert RetryOptions() == RetryOptions(3, 250, 2.0, 30_000, JitterStrategy.FULL, None)


@given(
    attempt=st.integers(1, 10_000),
    initial=st.floats(0, 100),
    factor=st.floats(1, 10),
    cap=st.floats(0, 1000),
    spread=st.floats(0, 1),
    rand=st.floats(0, 1, exclude_max=True),
)
def test_a_backoff_is_never_outside_its_bounds(
    attempt: int, initial: float, factor: float, cap: float, spread: float, rand: float
) -> None:
    wait = backoff_secs(attempt, initial=initial, factor=factor, cap=cap, spread=spread, rand=rand)
    assert 0 <= wait <= cap * (1 + spread) + 1e-9
