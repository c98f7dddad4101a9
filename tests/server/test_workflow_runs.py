"""What becomes of workflow runs (`contract/workflows.md` §3)."""

from __future__ import annotations

import pytest

from support.workflows import Flows
from support.world import World


@pytest.fixture
def flows(world: World) -> Flows:
    return Flows(world)


# ------------------------------------------------------------------------------ order and payloads


async def test_a_chain_runs_in_order_and_hands_outputs_on(flows: Flows) -> None:
    run_id = await flows.start(
        await flows.job("a", returns={"n": 1}),
        await flows.job("b", "a", returns=[1, 2]),
        await flows.job("c", "b"),
        payload={"id": 7},
    )
    run = await flows.until(run_id, "completed")
    assert [call.path for call in flows.world.handlers.received] == ["/a", "/b", "/c"]
    assert flows.inputs("a") == [{"id": 7}]
    assert flows.inputs("b") == [{"id": 7, "parent_outputs": {"a": {"n": 1}}}]
    assert flows.inputs("c") == [{"id": 7, "parent_outputs": {"b": [1, 2]}}]
    assert (run["triggered_by"], run["payload"]) == ("manual", {"id": 7})
    assert run["finished_at"] >= run["started_at"]
