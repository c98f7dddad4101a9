"""Connections to endpoints: kept through a burst, and closed once nobody needs so many."""

from __future__ import annotations

import asyncio

from strait.server.kept import Kept
from strait.server.outbound import Outbound
from support.handlers import PATIENCE_SECS, Gate, Handlers

_BURST = 100


class Line:
    """A connection that knows whether it was closed."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.usable = True
        self.closed = asyncio.Event()

    def close(self) -> None:
        self.usable = False
        self.closed.set()


def _kept(count: int, *, few: int = 2, look_secs: float = 3_600) -> tuple[Kept[Line], list[Line]]:
    kept: Kept[Line] = Kept(few=few, look_secs=look_secs)
    lines = [Line(n) for n in range(count)]
    for line in lines:
        kept.put("here", line)
    return kept, lines


async def test_the_one_used_last_is_taken_first_and_never_one_of_another_origin() -> None:
    kept, lines = _kept(3)
    assert kept.take("there") is None
    assert [kept.take("here") for _ in range(4)] == [*reversed(lines), None]


async def test_one_that_was_closed_meanwhile_is_passed_over() -> None:
    kept, lines = _kept(3)
    lines[2].close()
    assert kept.take("here") is lines[1]
    assert kept.count("here") == 1


async def test_those_that_nobody_needs_are_closed_but_for_a_few() -> None:
    _, lines = _kept(10, look_secs=0)
    async with asyncio.timeout(PATIENCE_SECS):
        await lines[7].closed.wait()
    assert [line.number for line in lines if line.usable] == [8, 9]


async def test_those_that_were_needed_since_the_last_look_stay() -> None:
    kept, lines = _kept(10)
    kept._look()
    assert all(line.usable for line in lines), "they were in use a moment ago"
    taken = [kept.take("here") for _ in range(6)]
    for line in taken:
        assert line is not None
        kept.put("here", line)
    kept._look()
    assert sum(line.usable for line in lines) == 6
    kept.clear()


async def test_a_second_burst_opens_no_connection(handlers: Handlers) -> None:
    client = Outbound(max_body_bytes=100)
    for burst in (1, 2):
        handlers.script = gate = Gate()
        calls = [asyncio.ensure_future(client.post(handlers.url, [], b"{}")) for _ in range(_BURST)]
        await handlers.wait(burst * _BURST)
        gate.open()
        assert {answer.status for answer in await asyncio.gather(*calls)} == {200}
    assert {call.connection for call in handlers.received} == set(range(1, _BURST + 1))
    client.close()


async def test_beyond_so_many_open_ones_only_a_few_are_kept(handlers: Handlers) -> None:
    client = Outbound(max_body_bytes=100, most_open=10)
    for burst in (1, 2):
        handlers.script = gate = Gate()
        calls = [asyncio.ensure_future(client.post(handlers.url, [], b"{}")) for _ in range(_BURST)]
        await handlers.wait(burst * _BURST)
        gate.open()
        await asyncio.gather(*calls)
    # Of the first hundred sixty-four are kept, so that thirty-six are opened anew.
    assert len({call.connection for call in handlers.received}) == 136
    client.close()
