"""`plan`: what registering would do, found out without doing it."""

from __future__ import annotations

import inspect

import pytest

from strait.authoring import (
    DefinitionError,
    JobOptions,
    WorkflowOptions,
    define_job,
    define_workflow,
    job_step,
    sleep_step,
    sub_workflow_step,
)

from .fakes import AsyncClient, SyncClient

SECRET = "0123456789abcdef"


@pytest.fixture(params=[SyncClient, AsyncClient])
def client(request):
    return request.param()


async def settled(answer):
    return await answer if inspect.isawaitable(answer) else answer


def job(slug="j", **options):
    known = {"name": "J", "slug": slug, "project_id": "p", "endpoint_url": "https://w.test"}
    return define_job(JobOptions(**{**known, **options}))


def flow(steps, slug="w", **options):
    return define_workflow(
        WorkflowOptions(name="W", slug=slug, project_id="p", steps=steps, **options)
    )


def writes(client):
    calls = [*client.jobs.calls, *client.workflows.calls]
    return [call for call in calls if call not in ("list", "get")]


async def test_a_job_that_is_not_there_would_be_created(client):
    plan = await settled(job().plan(client))
    assert plan
    assert str(plan) == "create job `j`"
    assert writes(client) == []


async def test_a_job_that_is_as_it_should_be_would_be_kept(client):
    await settled(job(timeout_secs=60, queue_name="q").register(client))
    plan = await settled(job(timeout_secs=60, queue_name="q").plan(client))
    assert not plan
    assert str(plan) == "keep job `j`"


async def test_what_differs_is_told_with_both_values_and_nothing_is_written(client):
    await settled(job(timeout_secs=60, queue_name="a").register(client))
    before = len(writes(client))
    changed = job(timeout_secs=90, queue_name="b", tags={"a": "b"})
    plan = await settled(changed.plan(client))
    (one,) = plan
    assert (one.action, one.id) == ("change", "job-1")
    assert str(plan).splitlines() == [
        "change job `j`",
        '  tags: (nothing) -> {"a": "b"}',
        "  timeout_secs: 60 -> 90",
        '  queue_name: "a" -> "b"',
    ]
    assert changed.id is None
    assert len(writes(client)) == before


async def test_a_plan_is_what_registering_then_does(client):
    await settled(job(timeout_secs=60).register(client))
    planned = await settled(job(timeout_secs=90).plan(client))
    await settled(job(timeout_secs=90).register(client))
    ((_, sent),) = [call for call in writes(client) if call[0] == "update"]
    assert {change.field: change.after for change in next(iter(planned)).changes} == sent


async def test_a_secret_is_never_part_of_a_plan(client):
    await settled(job(endpoint_signing_secret=SECRET).register(client))
    plan = await settled(job(endpoint_signing_secret=SECRET).plan(client))
    assert "endpoint_signing_secret: sent again" in str(plan)
    assert SECRET not in repr(plan) + str(plan)


async def test_a_workflow_is_planned_with_what_its_steps_hold(client):
    await settled(job("kept").register(client))
    inner = flow([sleep_step("s", 1)], slug="inner")
    outer = flow(
        [job_step("a", job("kept")), job_step("b", job("new")), sub_workflow_step("c", inner)]
    )
    plan = await settled(outer.plan(client))
    assert str(plan).splitlines() == [
        "keep job `kept`",
        "create job `new`",
        "create workflow `inner`",
        "create workflow `w`",
    ]


async def test_changed_steps_are_told_by_step_and_field(client):
    await settled(flow([sleep_step("a", 1), sleep_step("b", 2)], timeout_secs=5).register(client))
    changed = flow([sleep_step("a", 9), sleep_step("c", 3, depends_on=["a"])], timeout_secs=5)
    plan = await settled(changed.plan(client))
    lines = str(plan).splitlines()
    assert lines[:2] == ["change workflow `w`", "  steps.a.sleep_duration_secs: 1 -> 9"]
    assert [line.partition(":")[0] for line in lines[2:]] == ["  steps.b", "  steps.c"]
    assert lines[2].endswith("-> (nothing)")


async def test_a_workflow_of_a_job_that_nobody_has_is_refused_as_at_registration(client):
    with pytest.raises(DefinitionError, match="neither the slug nor the id"):
        await settled(flow([job_step("a", "nowhere")]).plan(client))
