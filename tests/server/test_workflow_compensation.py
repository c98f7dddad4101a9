"""Undoing what a failed run has done (`contract/workflows.md` §3.14, D22)."""

from __future__ import annotations

from typing import Any

from support.handlers import Answer, Gate, ok
from support.workflows import Flows, approval, told


async def undoable(flows: Flows, ref: str, *after: str, **fields: Any) -> dict[str, Any]:
    """A job step with a job that undoes it, which is called under `undo-<ref>`."""
    undo = await flows.job(f"undo-{ref}", job=fields.pop("undo_job", None))
    return await flows.job(ref, *after, compensation_job_id=undo["job_id"], **fields)


async def failed_run(flows: Flows, *steps: dict[str, Any]) -> str:
    """A run whose last step failed after all others were completed."""
    bad = await flows.job(
        "bad", *(step["step_ref"] for step in steps), script=lambda call: Answer(400)
    )
    run_id = await flows.start(*steps, bad)
    await flows.until(run_id, "failed")
    return run_id


async def test_d22_steps_are_undone_in_reverse_order_one_by_one(flows: Flows) -> None:
    run_id = await failed_run(
        flows,
        await undoable(flows, "a", returns={"id": 1}, compensation_timeout_secs=33),
        await undoable(flows, "b", "a"),
        await undoable(flows, "c", "b"),
        await flows.job("plain"),
    )
    gate = flows.hold("undo-c")
    plan = await flows.get(f"/{run_id}/compensation-plan")
    assert [step["StepRef"] for step in plan["Steps"]] == ["c", "b", "a"]
    assert (plan["WorkflowRunID"], plan["Steps"][2]["TimeoutSecs"]) == (run_id, 33)
    assert plan["Steps"][2]["OriginalOutput"] == {"id": 1}
    assert await flows.did(run_id, "compensate") == plan
    await flows.until_called("undo-c")
    run = await flows.run(run_id)
    assert (run["status"], run["error"]) == ("compensating", "compensation triggered manually")
    assert flows.calls("undo-b") == []
    gate.open()
    await flows.until(run_id, "compensated")
    order = [call.path for call in flows.world.handlers.received if "undo" in call.path]
    assert order == ["/undo-c", "/undo-b", "/undo-a"]
    step = (await flows.steps(run_id))["a"]
    assert flows.inputs("undo-a") == [
        {
            "workflow_run_id": run_id,
            "step_run_id": step["id"],
            "step_ref": "a",
            "compensation_job_id": plan["Steps"][2]["CompensationJobID"],
            "original_step_output": {"id": 1},
        }
    ]
    undone = await flows.world.run(flows.calls("undo-a")[0].run_id)
    assert (undone["created_by"], undone["timeout_secs_override"]) == (
        "system:workflow-compensation",
        33,
    )


async def test_the_first_step_that_cannot_be_undone_ends_it(flows: Flows) -> None:
    run_id = await failed_run(
        flows,
        await undoable(flows, "a"),
        await undoable(flows, "b", "a", undo_job={"max_attempts": 1}),
    )
    flows.world.handlers.scripts["/undo-b"] = lambda call: Answer(400, b"stuck")
    await flows.did(run_id, "compensate")
    run = await flows.until(run_id, "compensation_failed")
    undo = await flows.world.run(flows.calls("undo-b")[0].run_id)
    assert run["error"] == undo["error"] != ""
    assert flows.calls("undo-a") == []


async def test_a_run_that_timed_out_can_be_undone(still: Flows) -> None:
    run_id = await still.start(await undoable(still, "a"), approval("ok", "a"), timeout_secs=60)
    await still.until_step(run_id, "a", "completed")
    await still.world.pass_time(61)
    await still.until(run_id, "timed_out")
    await still.did(run_id, "compensate")
    await still.until(run_id, "compensated")


async def test_what_cannot_be_undone_says_why(flows: Flows) -> None:
    completed = await flows.start(await undoable(flows, "a"))
    await flows.until(completed, "completed")
    text = f"workflow run {completed} has status completed, "
    text += "only failed or timed_out runs can be compensated"
    assert told(await flows.do(completed, "compensate")) == (400, text)
    bare = await failed_run(flows, await flows.job("plain"))
    assert told(await flows.do(bare, "compensate")) == (400, "no steps require compensation")
    answer = await flows.api.get(f"/v1/workflow-runs/{bare}/compensation-plan")
    assert told(answer) == (404, "no compensation plan available")


async def test_a_run_is_undone_once(flows: Flows) -> None:
    run_id = await failed_run(flows, await undoable(flows, "a"))
    gate = flows.hold("undo-a")
    await flows.did(run_id, "compensate")
    answer = await flows.do(run_id, "compensate")
    assert told(answer) == (400, f"workflow run {run_id} is already compensating")
    gate.open()
    await flows.until(run_id, "compensated")
    answer = await flows.do(run_id, "compensate")
    assert told(answer) == (400, f"workflow run {run_id} is already compensated")


async def test_a_cancel_ends_an_undoing_and_its_job(flows: Flows) -> None:
    run_id = await failed_run(flows, await undoable(flows, "a"))
    flows.world.handlers.scripts["/undo-a"] = Gate(ok())
    await flows.did(run_id, "compensate")
    (call,) = await flows.until_called("undo-a")
    answer = await flows.api.delete(f"/v1/workflow-runs/{run_id}")
    assert answer.json()["status"] == "canceled"
    assert (await flows.world.run(call.run_id))["status"] == "canceled"


async def test_no_handler_says_which_run_it_undoes(flows: Flows) -> None:
    run_id = await failed_run(flows, await undoable(flows, "a"))
    gate = flows.hold("undo-a")
    await flows.did(run_id, "compensate")
    (call,) = await flows.until_called("undo-a")
    handler = flows.world.handler(call.token)
    key = "_workflow_compensation_workflow_run_id"
    path = f"/sdk/v1/runs/{call.run_id}/annotate"
    answer = await handler.post(path, json={"annotations": {key: "another"}})
    assert told(answer) == (400, f"annotation key {key!r} is the platform's own: choose another")
    gate.open()
    await flows.until(run_id, "compensated")


async def test_the_retry_of_a_run_that_was_undone_does_again_what_was(flows: Flows) -> None:
    run_id = await failed_run(
        flows,
        await flows.job("free"),
        await undoable(flows, "charge"),
        await flows.job("mail", "charge"),
    )
    await flows.did(run_id, "compensate")
    await flows.until(run_id, "compensated")
    gate = flows.hold("charge")
    again = (await flows.did(run_id, "retry"))["id"]
    await flows.until_called("charge", 2)
    # What depends on it waits for it, although it had been completed.
    assert await flows.statuses(again) == {
        "free": "completed", "charge": "running", "mail": "waiting", "bad": "waiting",
    }  # fmt: skip
    gate.open()
    await flows.until(again, "failed")
    assert [len(flows.calls(ref)) for ref in ("free", "charge", "mail", "bad")] == [1, 2, 2, 2]


async def test_what_was_not_undone_before_it_failed_stays_completed(flows: Flows) -> None:
    run_id = await failed_run(
        flows,
        await undoable(flows, "a", undo_job={"max_attempts": 1}),
        await undoable(flows, "b", "a"),
    )
    flows.world.handlers.scripts["/undo-a"] = lambda call: Answer(400)
    await flows.did(run_id, "compensate")
    await flows.until(run_id, "compensation_failed")
    again = (await flows.did(run_id, "retry"))["id"]
    await flows.until(again, "failed")
    assert [len(flows.calls(ref)) for ref in ("a", "b")] == [1, 2]


async def test_a_run_whose_undoing_was_canceled_does_not_go_on_from_there(flows: Flows) -> None:
    run_id = await failed_run(flows, await undoable(flows, "a"), await undoable(flows, "b", "a"))
    flows.world.handlers.scripts["/undo-a"] = Gate(ok())
    await flows.did(run_id, "compensate")
    await flows.until_called("undo-a")
    await flows.api.delete(f"/v1/workflow-runs/{run_id}")
    refusal = (409, "workflow run was undone in part; retry the whole run instead")
    for what in ("retry", "replay-subtree"):
        assert told(await flows.do(run_id, f"steps/bad/{what}")) == refusal
    again = (await flows.did(run_id, "retry"))["id"]
    await flows.until(again, "failed")
    assert [len(flows.calls(ref)) for ref in ("a", "b")] == [1, 2]
