"""Workflows: their definitions, versions and canaries, and their runs."""

from __future__ import annotations

from typing import Any

from support.handlers import Answer, ok
from support.workflows import Flows, approval, event
from support.world import PROJECT

from .driver import Scene
from .runs import a_job


def workflow(slug: str, *steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "project_id": PROJECT,
        "name": slug.title(),
        "slug": slug,
        "steps": list(steps),
        **fields,
    }


async def definitions(scene: Scene) -> None:
    """A workflow from its making over its versions to its deletion."""
    key = scene.key
    job = await key("jobs.create", a_job(scene, "step"))
    first = {"step_ref": "a", "job_id": job.id}
    second = {"step_ref": "b", "job_id": job.id, "depends_on": ["a"]}
    made = await key("workflows.create", workflow("order", first))
    assert [row.slug for row in await key("workflows.list")] == ["order"]
    changed = await key("workflows.update", made.id, {"steps": [first, second]})
    assert changed.version == 2
    assert [row.step_ref for row in (await key("workflows.get", made.id)).steps] == ["a", "b"]
    old, new = sorted(await key("workflows.list_versions", made.id), key=lambda row: row.version)
    assert (await key("workflows.get_version", made.id, new.version_id)).version == 2
    steps = await key("workflows.list_steps_by_version", made.id, old.version_id)
    assert [row.step_ref for row in steps] == ["a"]
    difference = await key("workflows.get_diff", made.id, old.version_id, new.version_id)
    assert difference is not None
    assert (await key("workflows.get_version_impact", made.id, new.version_id)) is not None
    assert (await key("workflows.get_graph", made.id)) is not None
    assert (await key("workflows.dry_run", made.id, steps=[first])) is not None
    assert (await key("workflows.plan", made.id, {})) is not None
    assert (await key("workflows.simulate", made.id)) is not None
    clone = await key("workflows.clone", made.id, name="Copy", slug="copy")
    await key("workflows.delete", clone.id)
    await key.fails(404, "workflows.get", clone.id)

    canary = await key(
        "canary_deployments.create",
        workflow_id=made.id,
        source_version=1,
        target_version=2,
        traffic_pct=10,
    )
    assert (await key("canary_deployments.get", made.id)).id == canary.id
    assert (await key("canary_deployments.update", made.id, traffic_pct=20)).traffic_pct == 20
    assert (await key("canary_deployments.rollback", made.id)).status == "rolled_back"

    run = await key("workflows.trigger", made.id, payload={"n": 1})
    await Flows(scene.world).until(run.id, "completed")
    assert [row.id for row in await key("workflows.list_runs", made.id)] == [run.id]
    assert (await key("workflows.list_active_versions", made.id)) is not None
    policy = await scene.internal("workflow_policies.upsert", PROJECT, max_depth=9)
    assert (await key("workflow_policies.get", PROJECT)).max_depth == policy.max_depth == 9


async def runs(scene: Scene) -> None:
    """Runs of a workflow: looked at, held, decided by people, ended, repeated and undone."""
    key, flows = scene.key, Flows(scene.world)
    answers: list[Answer] = []
    scene.world.handlers.scripts["/work"] = lambda call: answers.pop(0) if answers else ok({"n": 1})
    work = await key("jobs.create", a_job(scene, "work", max_attempts=1))
    undo = await key("jobs.create", a_job(scene, "undo"))
    made = await key(
        "workflows.create",
        workflow(
            "people",
            {"step_ref": "work", "job_id": work.id, "compensation_job_id": undo.id},
            approval("approve", "work", approval_timeout_secs=60),
            event("paid", "paid", "approve"),
            event("done", "done", "paid"),
        ),
    )
    run = await key("workflows.trigger", made.id, payload={"n": 1}, labels={"who": "ada"})
    await flows.until_step(run.id, "approve", "waiting")
    assert [row.id for row in await key("workflow_runs.list", status="running")] == [run.id]
    assert (await key("workflow_runs.get", run.id)).workflow_id == made.id
    assert (await key("workflow_runs.get_labels", run.id)) is not None
    listed = await key("workflow_runs.list_steps", run.id)
    assert {row.step_ref for row in listed} == {"work", "approve", "paid", "done"}
    assert (await key("workflow_runs.get_graph", run.id)) is not None
    assert (await key("workflow_runs.get_explain", run.id)) is not None
    assert (await key("workflow_runs.get_timeline", run.id)) is not None
    assert (await key("workflow_runs.get_debug", run.id)) is not None
    assert run.id in (await key("workflow_runs.get_report", run.id))
    assert (await key("workflow_runs.pause", run.id)).status == "paused"
    assert (await key("workflow_runs.resume", run.id)).status == "running"
    approved = await key("workflow_runs.approve_step", run.id, "approve")
    assert approved.step_run.status == "completed"
    await flows.until_step(run.id, "paid", "waiting")
    await key("workflow_runs.skip_step", run.id, "paid", reason="paid in cash")
    await flows.until_step(run.id, "done", "waiting")
    await key("workflow_runs.force_complete_step", run.id, "done", result={"by": "hand"})
    await flows.until(run.id, "completed")
    plan = await key("workflow_runs.get_compensation_plan", run.id)
    assert plan is not None

    unwanted = await key("workflows.trigger", made.id)
    await flows.until_step(unwanted.id, "approve", "waiting")
    rejected = await key("workflow_runs.reject_step", unwanted.id, "approve", reason="too dear")
    assert (rejected.approval.status, rejected.approval.error) == ("rejected", "too dear")
    await flows.until(unwanted.id, "failed")

    answers.append(Answer(400))
    failed = await key("workflows.trigger", made.id)
    await flows.until(failed.id, "failed")
    assert (await key("workflow_runs.compare", run.id, failed.id)) is not None
    await key("workflow_runs.retry_step", failed.id, "work")
    await flows.until_step(failed.id, "approve", "waiting")
    assert (await key("workflow_runs.delete", failed.id)).status == "canceled"
    await key("workflow_runs.replay_subtree_step", failed.id, "work")
    await flows.until_step(failed.id, "approve", "waiting")
    canceled = await key("workflow_runs.bulk_cancel", workflow_run_ids=[failed.id])
    assert canceled is not None
    await flows.until(failed.id, "canceled")

    answers.append(Answer(400))
    third = await key("workflows.trigger", made.id)
    await flows.until(third.id, "failed")
    retried = await key("workflow_runs.retry", third.id)
    assert retried.id != third.id
    await flows.until_step(retried.id, "approve", "waiting")
    await key("workflow_runs.delete", retried.id)
    replayed = await key("workflow_runs.bulk_replay", workflow_run_ids=[third.id])
    assert replayed is not None

    answers.clear()
    undoable = await key(
        "workflows.create",
        workflow(
            "undoable",
            {"step_ref": "first", "job_id": work.id, "compensation_job_id": undo.id},
            {"step_ref": "second", "job_id": work.id, "depends_on": ["first"]},
        ),
    )
    answers += [ok(1), Answer(400)]
    broken = await key("workflows.trigger", undoable.id)
    await flows.until(broken.id, "failed")
    assert (await key("workflow_runs.compensate", broken.id)) is not None
    await flows.until(broken.id, "compensated")
    for row in await key("workflow_runs.list", status="running"):
        await key("workflow_runs.delete", row.id)
