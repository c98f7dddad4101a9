"""Workflows that run workflows (`contract/workflows.md` §3.13)."""

from __future__ import annotations

from typing import Any

import pytest

from support.handlers import Answer, Gate, ok
from support.workflows import Flows, approval, child, event, sleep


async def run_of(flows: Flows, workflow: dict[str, Any]) -> dict[str, Any]:
    """The only run of a workflow."""
    answer = await flows.api.get(f"/v1/workflows/{workflow['id']}/runs")
    (run,) = answer.json()["data"]
    return dict(run)


async def test_a_child_runs_with_its_parents_payload_and_hands_its_outputs_back(
    flows: Flows,
) -> None:
    inner = await flows.create(
        await flows.job("x", returns=1), await flows.job("y", "x", returns=[2]), tags={"own": "1"}
    )
    run_id = await flows.start(
        await flows.job("a", returns="A"),
        child("c", inner, "a", payload={"more": "{{id}}"}),
        await flows.job("b", "c"),
        payload={"id": 7},
        tags={"mine": "1"},
    )
    await flows.until(run_id, "completed")
    assert flows.inputs("x") == [{"id": 7, "more": 7, "parent_outputs": {"a": "A"}}]
    assert flows.inputs("b") == [{"id": 7, "parent_outputs": {"c": {"x": 1, "y": [2]}}}]
    run, step = await run_of(flows, inner), (await flows.steps(run_id))["c"]
    assert (run["triggered_by"], run["tags"]) == ("workflow", {"own": "1"})
    assert (run["parent_workflow_run_id"], run["parent_step_run_id"]) == (run_id, step["id"])
    assert (step["status"], step["output"]) == ("completed", {"x": 1, "y": [2]})


async def test_a_childs_failure_fails_its_parents_step_with_its_reason(flows: Flows) -> None:
    inner = await flows.create(await flows.job("x", script=lambda call: Answer(400)))
    run_id = await flows.start(child("c", inner), await flows.job("b", "c"))
    run = await flows.until(run_id, "failed")
    assert run["error"] == (await run_of(flows, inner))["error"] != ""
    assert await flows.statuses(run_id) == {"c": "failed", "b": "canceled"}


async def test_the_parents_failure_policy_holds_for_a_child(flows: Flows) -> None:
    inner = await flows.create(await flows.job("x", script=lambda call: Answer(400)))
    run_id = await flows.start(child("c", inner, on_failure="continue"), await flows.job("b", "c"))
    await flows.until(run_id, "completed")
    assert await flows.statuses(run_id) == {"c": "failed", "b": "completed"}


async def test_d10_a_child_that_was_canceled_by_itself_reaches_its_parent(flows: Flows) -> None:
    inner = await flows.create(approval("x"))
    run_id = await flows.start(child("c", inner, on_failure="skip_dependents"))
    inner_run = await run_of(flows, inner)
    await flows.api.delete(f"/v1/workflow-runs/{inner_run['id']}")
    run = await flows.until(run_id, "failed")
    step = (await flows.steps(run_id))["c"]
    assert step["error"] == f"sub-workflow {inner['id']} ended with status canceled"
    assert run["status"] == "failed"


async def test_d10_a_child_that_timed_out_reaches_its_parent(still: Flows) -> None:
    inner = await still.create(approval("x"), timeout_secs=60)
    run_id = await still.start(child("c", inner))
    await still.world.pass_time(61)
    run = await still.until(run_id, "failed")
    assert run["error"] == f"sub-workflow {inner['id']} ended with status timed_out"


async def test_d10_a_cancel_reaches_the_jobs_of_a_grandchild(flows: Flows) -> None:
    lowest = await flows.create(await flows.job("deep", script=Gate()), event("e", "go"))
    middle = await flows.create(child("m", lowest))
    run_id = await flows.start(child("top", middle))
    await flows.until_called("deep")
    await flows.api.delete(f"/v1/workflow-runs/{run_id}")
    lowest_run = await run_of(flows, lowest)
    assert lowest_run["status"] == (await run_of(flows, middle))["status"] == "canceled"
    steps = await flows.steps(lowest_run["id"])
    assert {step["status"] for step in steps.values()} == {"canceled"}
    assert (await flows.world.run(steps["deep"]["job_run_id"]))["status"] == "canceled"
    assert (await flows.api.get("/v1/events/go")).json()["status"] == "canceled"


async def test_a_failure_beside_a_child_ends_the_child_too(flows: Flows) -> None:
    inner = await flows.create(approval("x"))
    bad = Gate(Answer(400))
    run_id = await flows.start(child("c", inner), await flows.job("bad", script=bad))
    bad.open()
    await flows.until(run_id, "failed")
    assert (await run_of(flows, inner))["status"] == "canceled"


async def test_a_child_of_a_paused_parent_goes_on_and_the_parent_waits(flows: Flows) -> None:
    inner = await flows.create(approval("x"))
    run_id = await flows.start(child("c", inner), await flows.job("b", "c"))
    await flows.did(run_id, "pause")
    await flows.did((await run_of(flows, inner))["id"], "steps/x/approve")
    assert await flows.statuses(run_id) == {"c": "completed", "b": "waiting"}
    await flows.did(run_id, "resume")
    await flows.until(run_id, "completed")


async def nested(flows: Flows, levels: int, **fields: Any) -> dict[str, Any]:
    """A workflow with that many workflows below it."""
    made = await flows.create(await flows.job("lowest"))
    for _ in range(levels):
        made = await flows.create(child("c", made, **fields))
    return made


async def test_workflows_may_be_ten_deep_below_the_first(flows: Flows) -> None:
    run_id = await flows.trigger(await nested(flows, 10))
    await flows.until(run_id, "completed")
    assert len(flows.calls("lowest")) == 1


async def test_d13_nesting_too_deep_fails_the_step_and_all_above_it(flows: Flows) -> None:
    run_id = await flows.trigger(await nested(flows, 11))
    run = await flows.until(run_id, "failed")
    assert run["error"] == "sub-workflow nesting depth 10 exceeds max allowed 10 for step c"
    assert flows.calls("lowest") == []


async def test_a_step_may_allow_less_nesting(flows: Flows) -> None:
    run_id = await flows.trigger(await nested(flows, 2, max_nesting_depth=1))
    run = await flows.until(run_id, "failed")
    assert run["error"] == "sub-workflow nesting depth 1 exceeds max allowed 1 for step c"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"enabled": False}, "workflow is disabled"),
        ({"max_concurrent_runs": 1}, "max concurrent runs (1) reached"),
    ],
)
async def test_d13_a_child_that_may_not_start_fails_its_step(
    flows: Flows, change: dict[str, Any], text: str
) -> None:
    inner = await flows.create(approval("x"))
    await flows.trigger(inner)
    await flows.api.patch(f"/v1/workflows/{inner['id']}", json=change)
    run_id = await flows.start(await flows.job("a"), child("c", inner, "a"))
    run = await flows.until(run_id, "failed")
    assert text in run["error"]


async def test_d13_a_child_that_is_gone_fails_its_step(flows: Flows) -> None:
    inner = await flows.create(approval("x"))
    made = await flows.create(child("c", inner))
    await flows.api.delete(f"/v1/workflows/{inner['id']}")
    run_id = await flows.trigger(made)
    run = await flows.run(run_id)
    assert (run["status"], run["error"]) == ("failed", f"sub-workflow {inner['id']} not found")


async def test_a_workflow_that_runs_itself_ends_at_the_limit(flows: Flows) -> None:
    made = await flows.create(approval("first"))
    steps = [approval("first"), child("again", made)]
    await flows.api.patch(f"/v1/workflows/{made['id']}", json={"steps": steps})
    run_id = await flows.trigger(made)
    run = await flows.until(run_id, "failed")
    assert run["error"].startswith("sub-workflow nesting depth 10 exceeds max allowed 10")
    listed = (await flows.api.get(f"/v1/workflows/{made['id']}/runs")).json()["data"]
    assert [row["status"] for row in listed] == ["failed"] * 11


async def test_no_step_may_let_workflows_be_nested_without_end(flows: Flows) -> None:
    made = await flows.create(approval("first"))
    steps = [approval("first"), child("again", made, max_nesting_depth=10_000)]
    await flows.api.patch(f"/v1/workflows/{made['id']}", json={"steps": steps})
    run = await flows.run(await flows.trigger(made))
    assert run["error"] == "sub-workflow nesting depth 50 exceeds max allowed 50 for step again"


async def test_a_step_may_allow_more_nesting(flows: Flows) -> None:
    run_id = await flows.trigger(await nested(flows, 12, max_nesting_depth=12))
    await flows.until(run_id, "completed")


async def test_a_retried_child_step_starts_a_new_child(flows: Flows) -> None:
    answers = iter([Answer(400), ok("mended")])
    inner = await flows.create(await flows.job("x", script=lambda call: next(answers)))
    run_id = await flows.start(child("c", inner))
    await flows.until(run_id, "failed")
    await flows.did(run_id, "steps/c/retry")
    await flows.until(run_id, "completed")
    listed = (await flows.api.get(f"/v1/workflows/{inner['id']}/runs")).json()["data"]
    assert [row["status"] for row in listed] == ["completed", "failed"]
    assert (await flows.steps(run_id))["c"]["output"] == {"x": "mended"}


async def test_a_step_that_is_done_again_does_not_take_the_end_of_its_former_child(
    flows: Flows,
) -> None:
    inner = await flows.create(await flows.job("inner", script=lambda call: Answer(400)))
    run_id = await flows.start(child("sub", inner))
    await flows.until(run_id, "failed")
    path = f"/v1/workflows/{inner['id']}/runs"
    (former,) = (await flows.api.get(path)).json()["data"]
    gate = flows.hold("inner")
    await flows.did(former["id"], "steps/inner/retry")
    await flows.did(run_id, "steps/sub/retry")
    await flows.until_called("inner", 3)
    answer = await flows.api.delete(f"/v1/workflow-runs/{former['id']}")
    assert answer.json()["status"] == "canceled"
    assert await flows.statuses(run_id) == {"sub": "running"}
    gate.open()
    await flows.until(run_id, "completed")


async def test_a_workflow_that_contains_itself_twice_starts_no_more_than_a_server_bears(
    still: Flows,
) -> None:
    made = await still.create(sleep("nap", 1))
    steps = [sleep("nap", 1), *(child(f"self-{number}", made) for number in range(3))]
    changed = await still.api.patch(f"/v1/workflows/{made['id']}", json={"steps": steps})
    assert changed.status_code == 200, changed.text
    run = await still.run(await still.trigger(made))
    assert run["status"] == "failed"
    (count,) = still.world.platform.reader.execute("SELECT count(*) FROM workflow_runs").fetchone()
    assert count == 1 + 1_000
    (left,) = still.world.platform.reader.execute(
        "SELECT count(*) FROM workflow_runs WHERE status = 'running'"
    ).fetchone()
    assert left == 0
    # It was too many for one start, and not for good.
    wide = await still.create(child("c", await still.create(sleep("nap", 1))))
    assert (await still.run(await still.trigger(wide)))["status"] == "running"
