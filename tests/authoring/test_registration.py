"""`register`: idempotent by slug, in the platform's names, with every kind of client."""

from __future__ import annotations

import inspect

import pytest

from strait.authoring import (
    DefinitionError,
    JobOptions,
    WorkflowOptions,
    approval_step,
    define_job,
    define_workflow,
    job_step,
    sub_workflow_step,
)

from .fakes import AsyncClient, SyncClient

URL = "https://worker.example.com/run"


@pytest.fixture(params=[SyncClient, AsyncClient])
def client(request):
    return request.param()


async def registered(definition, client, *args, **kwargs):
    answer = definition.register(client, *args, **kwargs)
    return await answer if inspect.isawaitable(answer) else answer


def job(slug="j", **options):
    known = {"name": "J", "slug": slug, "project_id": "p", "endpoint_url": URL}
    return define_job(JobOptions(**{**known, **options}))


def flow(steps, slug="w", **options):
    return define_workflow(
        WorkflowOptions(name="W", slug=slug, project_id="p", steps=steps, **options)
    )


async def test_a_new_job_is_created_and_its_id_remembered(client):
    defined = job(queue_name="fast")
    answer = await registered(defined, client)
    assert answer["id"] == defined.id == "job-1"
    assert client.jobs.rows["job-1"]["queue"] == "fast"


async def test_registering_again_changes_nothing(client):
    options = {"queue_name": "fast", "tags": {"a": "b"}, "max_concurrency": 0}
    first = await registered(job(**options), client)
    again = job(**options)
    assert (await registered(again, client))["id"] == first["id"] == again.id
    assert client.jobs.calls == ["list", "create", "list"]


async def test_only_what_differs_is_changed(client):
    await registered(job(timeout_secs=10, description="old"), client)
    await registered(job(timeout_secs=20, description="old"), client)
    assert client.jobs.calls[-1] == ("update", {"timeout_secs": 20})
    assert client.jobs.rows["job-1"]["description"] == "old"


async def test_a_secret_is_sent_each_time_because_the_platform_never_shows_it(client):
    secret = "0123456789abcdef"
    await registered(job(endpoint_signing_secret=secret), client)
    await registered(job(endpoint_signing_secret=secret), client)
    assert client.jobs.calls[-1] == ("update", {"endpoint_signing_secret": secret})


async def test_a_job_that_somebody_else_creates_meanwhile_is_found(client):
    table = client.jobs if isinstance(client, SyncClient) else client.jobs.table
    table.before_create = lambda: table.add(slug="j", name="Other", endpoint_url=URL)
    answer = await registered(job(), client)
    assert answer["id"] == "job-1"
    assert table.calls[-1] == ("update", {"name": "J"})


async def test_a_slug_is_found_on_a_platform_that_cannot_filter_by_it(client):
    table = client.jobs if isinstance(client, SyncClient) else client.jobs.table
    plain = table.list
    table.list = lambda *, limit, cursor=None, slug=None: plain(limit=limit, cursor=cursor)
    for other in ("a", "b", "c", "d", "j"):
        table.add(slug=other, name="J", endpoint_url=URL)
    if isinstance(client, AsyncClient):

        async def listed(**kwargs):
            return table.list(**kwargs)

        client.jobs.list = listed
    assert (await registered(job(), client))["id"] == "job-5"


async def test_steps_name_jobs_by_slug_or_by_id(client):
    await registered(job("validate-job"), client)
    await registered(job("charge-job"), client)
    await registered(
        flow([job_step("validate", "validate-job"), job_step("charge", "job-2")]), client
    )
    steps = client.workflows.rows["workflow-1"]["steps"]
    assert [step["job_id"] for step in steps] == ["job-1", "job-2"]


async def test_an_unknown_job_is_told_with_step_and_slug(client):
    with pytest.raises(DefinitionError) as refusal:
        await registered(flow([job_step("charge", "charge-job")]), client)
    assert str(refusal.value) == (
        "workflow `w`, step `charge`: `job_id` names 'charge-job', which is neither the slug nor "
        "the id of a job of this project; register the job first, or give its definition"
    )
    assert client.workflows.rows == {}


async def test_jobs_that_steps_hold_as_definitions_are_registered_first(client):
    undo = job("refund")
    charge = job_step("charge", job("charge"), compensation_job_id=undo)
    await registered(flow([charge, job_step("again", charge.job_id)]), client)
    steps = client.workflows.rows["workflow-1"]["steps"]
    assert [step["job_id"] for step in steps] == ["job-1", "job-1"]
    assert steps[0]["compensation_job_id"] == undo.id == "job-2"
    assert client.jobs.calls.count("create") == 2


async def test_sub_workflows_are_found_by_slug_over_all_pages_or_registered(client):
    for i in range(5):
        await registered(flow([], slug=f"w{i}"), client)
    inner = flow([approval_step("ok")], slug="inner")
    outer = flow([sub_workflow_step("a", "w4"), sub_workflow_step("b", inner)], slug="outer")
    await registered(outer, client)
    steps = client.workflows.rows[outer.id]["steps"]
    assert [step["sub_workflow_id"] for step in steps] == ["workflow-5", inner.id]
    with pytest.raises(DefinitionError, match="step `a`: `sub_workflow_id` names 'nope'"):
        await registered(flow([sub_workflow_step("a", "nope")], slug="other"), client)


async def test_a_workflow_is_changed_only_where_it_differs(client):
    await registered(job("a"), client)

    def defined(**step):
        return flow(
            [job_step("x", "a", depends_on=[], **step), approval_step("ok", depends_on=["x"])]
        )

    await registered(defined(), client)
    await registered(defined(on_failure="fail_workflow", retry_backoff="exponential"), client)
    assert not [call for call in client.workflows.calls if call[0] == "update"]
    await registered(defined(timeout_secs_override=5), client)
    ((_, changes),) = [call for call in client.workflows.calls if call[0] == "update"]
    assert list(changes) == ["steps"]
    await registered(defined(), client)
    assert "timeout_secs_override" not in client.workflows.rows["workflow-1"]["steps"][0]


async def test_ids_that_are_known_are_not_looked_up(client):
    known = {"charge": "job-9"}
    await registered(flow([job_step("a", job("charge"))]), client, job_ids=known)
    assert client.jobs.calls == []
    assert client.workflows.rows["workflow-1"]["steps"][0]["job_id"] == "job-9"


async def test_the_project_of_the_registration_is_used_for_everything(client):
    await registered(flow([job_step("a", job("charge"))]), client, "elsewhere")
    assert client.workflows.rows["workflow-1"]["project_id"] == "elsewhere"
    assert client.jobs.rows["job-1"]["project_id"] == "elsewhere"


async def test_without_a_project_of_its_own_a_definition_goes_to_the_clients(client):
    await registered(job(project_id=""), client)
    assert client.jobs.rows["job-1"]["project_id"] == "p-of-the-client"
