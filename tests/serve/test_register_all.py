"""`register_all`: everything that a host has, at the host's own addresses."""

from __future__ import annotations

import inspect
import json

import pytest

from authoring.fakes import AsyncClient, SyncClient
from strait.authoring import (
    DefinitionError,
    JobOptions,
    WorkflowOptions,
    define_job,
    define_workflow,
    job_step,
    sub_workflow_step,
)
from strait.errors import ConfigurationError
from strait.serve import Manifest, register_all

SECRET = "esec_0123456789abcdef"


async def handler(payload, ctx):
    return None


def job(slug, **options):
    return define_job(JobOptions(name=slug, slug=slug, **options))


def flow(slug, *steps, **options):
    return define_workflow(WorkflowOptions(name=slug, slug=slug, steps=list(steps), **options))


@pytest.fixture(params=[SyncClient, AsyncClient])
def client(request):
    return request.param()


async def registered(client, definitions, **options):
    known = {"base_url_of_handlers": "http://127.0.0.1:9", "project_id": "dev", **options}
    answer = register_all(client, definitions, **known)
    return await answer if inspect.isawaitable(answer) else answer


async def test_hosted_jobs_get_the_hosts_address_project_and_secret(client):
    charge = job("charge it", run=handler, project_id="prod", endpoint_url="https://w.test/x")
    report = await registered(client, [charge], signing_secret=SECRET)
    row = client.jobs.rows[report.jobs["charge it"]]
    assert row["endpoint_url"] == "http://127.0.0.1:9/jobs/charge%20it"
    assert row["project_id"] == "dev"
    used = "http://127.0.0.1:9/jobs/charge%20it"
    assert sorted(map(str, report.overrides)) == [
        f"job `charge it`: endpoint_url is {used}, not https://w.test/x",
        "job `charge it`: project_id is dev, not prod",
    ]
    again = await registered(client, [charge], signing_secret=SECRET)
    assert client.jobs.calls[-1] == ("update", {"endpoint_signing_secret": SECRET})
    assert again.jobs == report.jobs


async def test_jobs_that_live_elsewhere_keep_their_address(client):
    remote = job("remote", endpoint_url="https://w.test/x")
    worker = job("worker", run=handler, execution_mode="worker")
    report = await registered(client, [remote, worker])
    assert client.jobs.rows[report.jobs["remote"]]["endpoint_url"] == "https://w.test/x"
    assert "endpoint_url" not in client.jobs.rows[report.jobs["worker"]]
    assert report.overrides == []


async def test_a_job_with_neither_handler_nor_address_is_told(client):
    with pytest.raises(DefinitionError, match=r"job `lost`: has neither a handler \(`run`\) nor"):
        await registered(client, [job("lost")])


async def test_workflows_come_after_their_jobs_and_after_those_that_they_run(client):
    charge = job("charge", run=handler)
    inner = flow("inner", job_step("x", charge))
    middle = flow("middle", sub_workflow_step("x", "inner"))
    outer = flow("outer", sub_workflow_step("x", middle), job_step("y", "charge"))
    report = await registered(client, [outer, middle, inner, charge])
    steps = client.workflows.rows[report.workflows["outer"]]["steps"]
    assert steps[0]["sub_workflow_id"] == report.workflows["middle"]
    assert steps[1]["job_id"] == report.jobs["charge"]
    assert list(report.workflows) == ["inner", "middle", "outer"]


async def test_workflows_that_run_each_other_are_told(client):
    first = flow("first", sub_workflow_step("x", "second"))
    second = flow("second", sub_workflow_step("x", "first"))
    with pytest.raises(DefinitionError, match="first -> second -> first"):
        await registered(client, [first, second])


async def test_a_manifest_is_plain_json_without_secrets_and_registers_the_same(client):
    charge = job("charge", run=handler, webhook_secret=SECRET, timeout_secs=5)
    pipeline = flow("pipeline", job_step("x", charge), project_id="prod")
    text = json.dumps(Manifest.of([charge, pipeline]).to_json())
    assert SECRET not in text
    manifest = Manifest.from_json(json.loads(text))
    report = await registered(client, manifest)
    await registered(client, manifest)
    row = client.jobs.rows[report.jobs["charge"]]
    assert (row["timeout_secs"], row["endpoint_url"]) == (5, "http://127.0.0.1:9/jobs/charge")
    assert client.workflows.rows[report.workflows["pipeline"]]["steps"][0]["job_id"] == row["id"]
    assert not [call for call in client.jobs.calls if call[0] == "update"]
    assert [o.field for o in report.overrides] == ["project_id"]


async def test_nothing_is_registered_in_no_project(client):
    with pytest.raises(ConfigurationError, match=r"`project_id` is empty, .*`STRAIT_PROJECT`"):
        await registered(client, [job("pay", run=handler)], project_id="")
    assert client.jobs.calls == []
