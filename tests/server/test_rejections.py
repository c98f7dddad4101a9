"""Saying no to a step, with a reason and the name of a person; the embedded platform only."""

from __future__ import annotations

import pytest

from support.workflows import Flows, approval, told
from support.world import World

pytestmark = pytest.mark.e2e


async def _asked(flows: Flows, **fields: object) -> str:
    run_id = await flows.start(approval("ask", **fields), approval("then", "ask"))
    await flows.until_step(run_id, "ask", "waiting")
    return f"/v1/workflow-runs/{run_id}"


async def test_a_rejected_step_fails_with_the_reason(world: World) -> None:
    flows = Flows(world)
    path = await _asked(flows)
    body = {"reason": "too dear", "approver": "Grace Hopper"}
    answer = await world.api.post(f"{path}/steps/ask/reject", json=body)
    assert answer.status_code == 200
    shown = answer.json()
    assert shown["approval"]["status"] == "rejected"
    assert shown["approval"]["error"] == "too dear"
    assert shown["approval"]["person"] == "Grace Hopper"
    assert shown["approval"]["approved_by"].startswith("apikey:")
    assert shown["step_run"]["error"] == "approval rejected by Grace Hopper: too dear"
    run = await flows.until(path.rpartition("/")[2], "failed")
    assert "too dear" in run["error"]
    waits = (await world.api.get("/v1/events", params={"status": "waiting"})).json()["data"]
    assert waits == []


async def test_a_decision_is_taken_once(world: World) -> None:
    path = await _asked(Flows(world))
    await world.api.post(f"{path}/steps/ask/reject", json={"reason": "no"})
    again = await world.api.post(f"{path}/steps/ask/reject", json={"reason": "no"})
    late = await world.api.post(f"{path}/steps/ask/approve", json={})
    assert told(again) == told(late) == (400, "step ask is already in terminal state")


async def test_who_may_not_approve_may_not_reject(world: World) -> None:
    path = await _asked(Flows(world), approval_approvers=["user:ada"])
    body = {"reason": "no", "approver": "user:ada"}
    status, text = told(await world.api.post(f"{path}/steps/ask/reject", json=body))
    assert status == 400
    assert text.endswith("is not allowed for step ask")


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "x" * 2_001}, {"reason": 1}])
async def test_a_rejection_needs_a_reason(world: World, body: dict[str, object]) -> None:
    path = await _asked(Flows(world))
    answer = await world.api.post(f"{path}/steps/ask/reject", json=body)
    assert answer.status_code in {400, 422}
    assert "reason" in answer.text


async def test_an_approval_keeps_the_name_of_a_person(world: World) -> None:
    path = await _asked(Flows(world))
    body = {"approver": "Ada Lovelace"}
    shown = (await world.api.post(f"{path}/steps/ask/approve", json=body)).json()["approval"]
    assert (shown["status"], shown["person"]) == ("approved", "Ada Lovelace")
    assert shown["approved_by"].startswith("apikey:")
