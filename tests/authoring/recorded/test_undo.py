"""Undoing: each step's undo, the last step first, each once."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from authoring.recorded.attempts import Run
from strait.authoring import RunContext
from strait.authoring.recorded.decorator import acting
from strait.authoring.recorded.step import Ledger, NothingRecorded
from strait.authoring.recorded.undo import undo_all


@pytest.fixture
def run() -> Run:
    return Run()


class Shop:
    """Handlers whose steps can be undone."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.fail_undo_of = ""

    async def do(self, what: str) -> str:
        self.did.append(what)
        return what

    async def undo(self, what: str) -> str:
        if what == self.fail_undo_of:
            self.fail_undo_of = ""
            raise ConnectionError(f"cannot undo {what} now")
        self.did.append(f"undo {what}")
        return what

    async def handler(self, ctx: RunContext) -> None:
        await ctx.step("reserve", self.do, "reserve", undo=self.undo)
        await ctx.step("look", self.do, "look")
        await ctx.step("charge", self.do, "charge", undo=self.undo)
        await ctx.step("ship", self.do, "ship", undo=self.undo)


async def undo(run: Run, shop: Shop) -> list[str]:
    """Undo a run as a host does that is sent there to undo it."""
    session = run.session()
    session.recorded.ledger.only_recorded = True
    context = RunContext(session)
    with acting(context):
        try:
            await shop.handler(context)
        except NothingRecorded:
            shop.did.append("stopped")
    return await undo_all(session.recorded.ledger, session.ask)


async def crashed_at_ship(run: Run, shop: Shop) -> None:
    run.runs.fail_at_key = "'ship'"
    with pytest.raises(BaseException):  # noqa: B017, PT011 - the process is gone
        await run.attempt(shop.handler)
    shop.did.clear()


async def test_what_is_on_record_is_undone_from_its_end(run: Run) -> None:
    shop = Shop()
    await crashed_at_ship(run, shop)
    assert await undo(run, shop) == ["charge", "reserve"]
    # Nothing was done again to find out, and what had no record is not undone.
    assert shop.did == ["stopped", "undo charge", "undo reserve"]


@pytest.mark.parametrize("crashes", [True, False], ids=["from-the-record", "in-the-attempt"])
async def test_what_was_recorded_last_is_undone_first_though_the_clock_was_set_back(
    run: Run, monkeypatch: pytest.MonkeyPatch, *, crashes: bool
) -> None:
    seconds = iter(range(59, 0, -1))
    monkeypatch.setattr(
        sys.modules[Ledger.__module__], "_now", lambda: f"2026-01-01T00:00:{next(seconds):02}Z"
    )
    shop = Shop()
    if crashes:
        await crashed_at_ship(run, shop)
        assert await undo(run, shop) == ["charge", "reserve"]
    else:
        session = run.session()
        with acting(context := RunContext(session)):
            await shop.handler(context)
        undone = await undo_all(session.recorded.ledger, session.ask)
        assert undone == ["ship", "charge", "reserve"]


async def test_an_undo_that_was_interrupted_goes_on_where_it_stopped(run: Run) -> None:
    shop = Shop()
    await crashed_at_ship(run, shop)
    shop.fail_undo_of = "reserve"
    with pytest.raises(ConnectionError):
        await undo(run, shop)
    assert await undo(run, shop) == ["charge", "reserve"]
    assert shop.did.count("undo charge") == 1
    assert shop.did.count("undo reserve") == 1
    names: list[Any] = [kept["name"] for kept in run.steps]
    assert names[-2:] == ["undo:charge", "undo:reserve"]


class Reversing:
    """A codec."""

    name = "reversing"

    def seal(self, plain: bytes) -> bytes:
        return plain[::-1]

    def open(self, sealed: bytes) -> bytes:
        return sealed[::-1]


@pytest.mark.parametrize("secret", [{"codec": Reversing()}, {"redact": ["number"]}])
async def test_what_a_step_hides_its_undo_hides_too(run: Run, secret: Any) -> None:
    undone: list[Any] = []

    async def card() -> dict[str, str]:
        return {"number": "4242"}

    async def handler(ctx: RunContext) -> None:
        await ctx.step("card", card, undo=undone.append, **secret)

    session = run.session()
    await run.attempt(handler, session)
    assert await undo_all(session.recorded.ledger, session.ask) == ["card"]
    assert undone == [{"number": "4242"}]
    kept = [value for value in run.runs.kept.values() if value["name"] == "undo:card"]
    assert len(kept) == 1
    assert "4242" not in str(kept)


async def test_what_stands_behind_the_last_step_does_not_keep_it_from_being_undone(
    run: Run,
) -> None:
    """Such as what the run timed out in, or what ends the process."""
    did: list[str] = []

    async def do(what: str) -> str:
        return what

    async def handler(ctx: RunContext) -> None:
        for what in ("a", "b"):
            await ctx.step(what, do, what, undo=did.append)
            await ctx.step(f"look at {what}", do, what)
        did.append("goes on")

    await run.attempt(handler)
    session = run.session()
    session.recorded.ledger.only_recorded = True
    with pytest.raises(NothingRecorded):
        await run.attempt(handler, session)
    assert await undo_all(session.recorded.ledger, session.ask) == ["b", "a"]
    assert did == ["goes on", "b", "a"]
