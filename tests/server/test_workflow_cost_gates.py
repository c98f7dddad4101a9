"""Job steps that are asked about before they cost much (`contract/workflows.md` §3.12)."""

from __future__ import annotations

from typing import Any

import pytest

from strait import AsyncClient
from strait.authoring import (
    JobOptions,
    WorkflowDefinition,
    WorkflowOptions,
    define_job,
    define_workflow,
    job_step,
)
from strait.clock import SECOND, to_timestamp
from support.handlers import Answer, Received, ok
from support.workflows import Flows, Step, sleep, told
from support.world import PROJECT

HOUR = 3600


async def costly(flows: Flows, ref: str, *after: str, cost: int = 900, **fields: Any) -> Step:
    """A job step whose job has had one run at a cost, and reports it again whenever it runs."""

    async def script(call: Received) -> Answer:
        body = {"provider": "p", "model": "m", "cost_microusd": cost}
        path = f"/sdk/v1/runs/{call.run_id}/usage"
        assert (await flows.world.handler(call.token).post(path, json=body)).status_code == 201
        return ok("done")

    step = await flows.job(ref, *after, script=script, **fields)
    await flows.world.until(await flows.world.trigger({"id": step["job_id"]}), "completed")
    return step


async def gate(flows: Flows, run_id: str, ref: str) -> dict[str, Any]:
    """What became of the approval of a step."""
    state = flows.world.platform.reader.execute(
        "SELECT doc ->> 'id', status, doc ->> 'approved_by' FROM approvals "
        "WHERE workflow_run_id = ? AND step_ref = ? ORDER BY rowid DESC",
        (run_id, ref),
    ).fetchone()
    return dict(zip(("id", "status", "approved_by"), state, strict=True))


async def test_d20_a_costly_step_waits_and_runs_its_job_once_it_is_approved(flows: Flows) -> None:
    step = await costly(flows, "a", cost_gate_threshold_microusd=899)
    run_id = await flows.start(step, await flows.job("b", "a"))
    waiting = await flows.until_step(run_id, "a", "waiting")
    assert len(flows.calls("a")) == 1
    answer = await flows.did(run_id, "steps/a/approve")
    assert (answer["step_run"]["status"], answer["approval"]["status"]) == ("running", "approved")
    assert answer["approval"]["id"] == f"costgate:{waiting['id']}"
    assert answer["approval"]["approvers"] == []
    await flows.until(run_id, "completed")
    assert len(flows.calls("a")) == 2
    assert flows.inputs("b") == [{"parent_outputs": {"a": "done"}}]


async def test_a_step_that_costs_no_more_than_its_threshold_runs_at_once(flows: Flows) -> None:
    step = await costly(flows, "a", cost_gate_threshold_microusd=900)
    await flows.until(await flows.start(step), "completed")
    assert len(flows.calls("a")) == 2


async def test_runs_that_never_began_make_no_step_cheaper(flows: Flows) -> None:
    step = await costly(flows, "a", cost_gate_threshold_microusd=899)
    later = {"scheduled_at": to_timestamp(flows.world.platform.clock.now() + HOUR * SECOND)}
    for _ in range(2):
        run_id = await flows.world.trigger({"id": step["job_id"]}, **later)
        assert (await flows.api.delete(f"/v1/runs/{run_id}")).status_code == 200
        await flows.world.until(run_id, "canceled")
    await flows.until_step(await flows.start(step), "a", "waiting")


async def test_a_gate_that_nobody_answers_fails_its_step(still: Flows) -> None:
    step = await costly(still, "a", cost_gate_threshold_microusd=1)
    run_id = await still.start(step)
    await still.world.pass_time(HOUR - 1)
    assert await still.statuses(run_id) == {"a": "waiting"}
    await still.world.pass_time(2)
    run = await still.run(run_id)
    assert (run["status"], run["error"]) == ("failed", "approval timed out")
    assert (await gate(still, run_id, "a"))["status"] == "timed_out"
    assert len(still.calls("a")) == 1


async def test_a_gate_may_approve_itself_in_the_end(still: Flows) -> None:
    fields = {"cost_gate_timeout_secs": 60, "cost_gate_default_action": "approve"}
    step = await costly(still, "a", cost_gate_threshold_microusd=1, **fields)
    run_id = await still.start(step)
    await still.world.pass_time(61)
    await still.until(run_id, "completed")
    assert (await gate(still, run_id, "a"))["approved_by"] == "system:cost-gate-timeout"
    assert len(still.calls("a")) == 2


async def test_a_step_that_is_let_through_still_waits_for_a_pause_to_end(flows: Flows) -> None:
    run_id = await flows.start(await costly(flows, "a", cost_gate_threshold_microusd=1))
    await flows.did(run_id, "pause")
    assert (await flows.did(run_id, "steps/a/approve"))["step_run"]["status"] == "waiting"
    assert len(flows.calls("a")) == 1
    await flows.did(run_id, "resume")
    await flows.until(run_id, "completed")


async def test_a_step_that_is_done_again_is_asked_about_again(flows: Flows) -> None:
    run_id = await flows.start(await costly(flows, "a", cost_gate_threshold_microusd=1))
    await flows.did(run_id, "steps/a/approve")
    await flows.until(run_id, "completed")
    await flows.did(run_id, "steps/a/retry")
    await flows.until_step(run_id, "a", "waiting")
    first, second = len(flows.calls("a")), await gate(flows, run_id, "a")
    assert (first, second["status"], second["id"][-2:]) == (2, "pending", ":2")
    await flows.did(run_id, "steps/a/approve")
    await flows.until(run_id, "completed")
    assert len(flows.calls("a")) == 3


@pytest.mark.parametrize(
    ("how", "status", "answer"),
    [("skip", "skipped", "rejected"), ("force-complete", "completed", "approved")],
)
async def test_a_step_at_its_gate_can_be_settled_by_hand(
    flows: Flows, how: str, status: str, answer: str
) -> None:
    run_id = await flows.start(await costly(flows, "a", cost_gate_threshold_microusd=1))
    assert (await flows.did(run_id, f"steps/a/{how}"))["step_run"]["status"] == status
    assert (await gate(flows, run_id, "a"))["status"] == answer
    assert ((await flows.run(run_id))["status"], len(flows.calls("a"))) == ("completed", 1)


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"cost_gate_threshold_microusd": -1}, (400, "cost_gate_threshold_microusd must be >= 0")),
        ({"cost_gate_timeout_secs": -1}, (400, "cost_gate_timeout_secs must be >= 0")),
        (
            {"cost_gate_default_action": "pray"},
            (400, "cost_gate_default_action must be one of approve, fail"),
        ),
    ],
)
async def test_a_gate_that_cannot_work_is_refused(
    flows: Flows, fields: dict[str, Any], answer: tuple[int, str]
) -> None:
    step = await flows.job("a", **fields)
    assert told(await flows.post("", steps=[step])) == answer


async def test_only_job_steps_have_gates(flows: Flows) -> None:
    step = sleep("nap", 1, cost_gate_threshold_microusd=5)
    text = "step nap has a cost gate and no job; only job steps cost anything"
    assert told(await flows.post("", steps=[step])) == (400, text)


async def test_a_gate_is_declared_and_opened_through_the_client(flows: Flows) -> None:
    step = await costly(flows, "a")
    async with AsyncClient(base_url=flows.world.server.base_url, api_key=flows.world.key) as client:
        made = await flows.create({**step, "cost_gate_threshold_microusd": 1})
        workflow = await client.workflows.get(made["id"])
        assert [s.cost_gate_threshold_microusd for s in workflow.steps] == [1]
        run = await client.workflows.trigger(made["id"], {})
        answer = await client.workflow_runs.approve_step(run.id, "a", {})
        assert answer.approval.status == "approved"
    await flows.until(run.id, "completed")


# -------------------------------------------------------------------------------- as it is authored


async def test_a_gate_of_the_authoring_is_planned_registered_and_asked(flows: Flows) -> None:
    world = flows.world

    async def script(call: Received) -> Answer:
        body = {"provider": "p", "model": "m", "cost_microusd": 900}
        path = f"/sdk/v1/runs/{call.run_id}/usage"
        assert (await world.handler(call.token).post(path, json=body)).status_code == 201
        return ok("done")

    world.handlers.script = script
    endpoint = world.handlers.url
    draft = define_job(
        JobOptions(name="Draft", slug="draft", endpoint_url=endpoint, project_id=PROJECT, run=_same)
    )

    def workflow(threshold: int) -> WorkflowDefinition[Any]:
        steps = [
            job_step(
                "draft",
                draft,
                cost_gate_threshold_microusd=threshold,
                cost_gate_default_action="fail",
            )
        ]
        options = WorkflowOptions(name="W", slug="w", project_id=PROJECT, steps=steps)
        return define_workflow(options)

    async with AsyncClient(base_url=world.server.base_url, api_key=world.key) as client:
        job = await draft.register(client)
        await world.until(await world.trigger({"id": job.id}), "completed")
        made = await workflow(899).register(client)
        assert not await workflow(899).plan(client)
        plan = await workflow(500).plan(client)
        (change,) = plan.definitions[-1].changes
        assert change.field == "steps.draft.cost_gate_threshold_microusd"
        assert (change.before, change.after) == (899, 500)
        run = await client.workflows.trigger(made.id)
        await flows.until_step(run.id, "draft", "waiting")
        assert len(world.handlers.received) == 1
        await client.workflow_runs.approve_step(run.id, "draft")
    await flows.until(run.id, "completed")
    assert len(world.handlers.received) == 2


async def _same(payload: Any, ctx: Any) -> Any:
    return payload
