"""The limits that a project sets to its workflows (`contract/workflows.md` §1.5)."""

from __future__ import annotations

from typing import Any

from support.workflows import Flows, approval, sleep, told
from support.world import PROJECT


async def set_policy(flows: Flows, **limits: Any) -> None:
    async with flows.world.internal(PROJECT) as internal:
        answer = await internal.put(f"/v1/workflow-policies/{PROJECT}", json=limits)
    assert answer.status_code == 200, answer.text


async def test_a_policy_is_set_by_the_operator_and_seen_by_the_project(flows: Flows) -> None:
    path = f"/v1/workflow-policies/{PROJECT}"
    assert told(await flows.api.get(path)) == (404, "workflow policy not found")
    refused = await flows.api.put(path, json={"max_depth": 3})
    text = "workflow policy changes require an operator or user context"
    assert told(refused) == (403, text)
    await set_policy(flows, max_depth=3)
    first = (await flows.api.get(path)).json()
    assert (first["max_depth"], first["max_fan_out"]) == (3, 0)
    await set_policy(flows, max_fan_out=2)
    second = (await flows.api.get(path)).json()
    assert (second["id"], second["created_at"]) == (first["id"], first["created_at"])
    assert (second["max_depth"], second["max_fan_out"]) == (0, 2)
    assert (await flows.api.get("/v1/workflow-policies/proj-2")).status_code == 404


async def test_a_policy_bounds_new_and_changed_workflows_and_triggers(flows: Flows) -> None:
    present = await flows.create(sleep("a", 1), sleep("b", 1, "a"), sleep("c", 1, "a"))
    await set_policy(flows, max_fan_out=1)
    text = "workflow policy violation: step a fan-out 2 exceeds max_fan_out 1"
    steps = [sleep("a", 1), sleep("b", 1, "a"), sleep("c", 1, "a")]
    assert told(await flows.post("", steps=steps)) == (400, text)
    path = f"/v1/workflows/{present['id']}"
    assert told(await flows.api.patch(path, json={"steps": steps})) == (400, text)
    assert told(await flows.api.post(f"{path}/trigger", json={})) == (409, text)


async def test_all_limits_of_a_policy_are_told(flows: Flows) -> None:
    deploy = await flows.job("deploy-it")
    for limits, steps, text in (
        ({"max_depth": 1}, [sleep("a", 1), sleep("b", 1, "a")], "depth 2 exceeds max_depth 1"),
        (
            {"forbidden_step_types": [" SLEEP "]},
            [sleep("a", 1)],
            "step a uses forbidden step_type sleep",
        ),
        (
            {"require_approval_for_deploy": True},
            [deploy],
            "approval step is required for deploy-like workflows",
        ),
    ):
        await set_policy(flows, **limits)
        status, message = told(await flows.post("", steps=steps))
        assert (status, message.startswith("workflow policy violation: ")) == (400, True)
        assert message.endswith(text)
    await flows.create(deploy, approval("sure"))
