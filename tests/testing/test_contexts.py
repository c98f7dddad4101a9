"""`run_context`: a context in memory, with its record in it."""

from __future__ import annotations

from strait.testing import run_context


def test_a_plain_handler_is_tested_in_a_plain_test():
    with run_context(payload={"n": 1}, events={"paid": {"ok": True}}, attempt=2) as ctx:
        ctx.checkpoint(ctx.payload)
        ctx.complete(ctx.wait_for_event("paid"))
        assert ctx.attempt == 2
    assert ctx.record.checkpoints == [{"n": 1}]
    assert ctx.record.result == {"ok": True}


async def test_a_handler_that_awaits_is_tested_with_its_own_context():
    state = {"seen": [1]}
    async with run_context(state=state) as ctx:
        state["seen"].append(2)
        assert await ctx.state.get("seen") == [1]
        await ctx.state.set("seen", [3])
    assert ctx.record.state_store == {"seen": [3]}


def test_an_error_of_the_handler_comes_out():
    try:
        with run_context() as ctx:
            raise KeyError("mine")
    except KeyError as error:
        caught = error
    assert caught.args == ("mine",)
    assert not ctx.record.completed
