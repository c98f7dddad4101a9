"""Instants: their texts sort like they do, and virtual time moves only when it is told to."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strait.clock import SECOND, SystemClock, VirtualClock, from_timestamp, to_timestamp

# From 1970 to the end of year 9999, which is as far as four digits go.
instants = st.integers(min_value=0, max_value=253_402_300_799 * SECOND)


@given(instants)
def test_a_timestamp_reads_back_as_the_instant_it_was_written_from(instant: int) -> None:
    assert from_timestamp(to_timestamp(instant)) == instant


@given(instants, instants)
def test_timestamps_sort_like_their_instants(a: int, b: int) -> None:
    assert (to_timestamp(a) < to_timestamp(b)) == (a < b)


@given(instants)
def test_a_timestamp_is_what_the_standard_library_reads_too(instant: int) -> None:
    moment = datetime.fromisoformat(to_timestamp(instant))
    assert moment.tzinfo == UTC
    assert moment.microsecond == instant % SECOND


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000Z"),
        ("2026-01-02T05:04:05+02:00", "2026-01-02T03:04:05.000000Z"),
        ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456Z"),
    ],
)
def test_other_spellings_of_an_instant_are_read(text: str, same: str) -> None:
    assert to_timestamp(from_timestamp(text)) == same


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-02T03:04:05", "2026-13-01T00:00:00Z"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"offset|isoformat|month"):
        from_timestamp(text)


async def test_the_system_clock_returns_at_once_for_what_is_past() -> None:
    clock = SystemClock()
    before = clock.now()
    await clock.sleep_until(before - SECOND)
    assert clock.now() >= before


async def test_virtual_sleepers_wake_in_the_order_of_their_instants() -> None:
    clock = VirtualClock()
    woken: list[int] = []

    async def sleeper(seconds: int) -> None:
        await clock.sleep_until(start + seconds * SECOND)
        woken.append(seconds)

    start = clock.now()
    async with asyncio.TaskGroup() as group:
        for seconds in (3, 1, 2, 10):
            group.create_task(sleeper(seconds))
        await asyncio.sleep(0)
        assert clock.next_due() == start + SECOND
        clock.advance(3)
        await asyncio.sleep(0)
        assert woken == [1, 2, 3]
        clock.advance(3 * 24 * 3600)
    assert woken == [1, 2, 3, 10]
    assert clock.next_due() is None
