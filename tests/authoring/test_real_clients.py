"""Authoring with the SDK's own clients, over HTTP messages."""

from __future__ import annotations

import inspect
import json

import httpx
import pytest

from strait import AsyncClient, Client
from strait.authoring import (
    JobOptions,
    TriggerJobInput,
    WorkflowOptions,
    approval_step,
    create_run_context,
    define_job,
    define_workflow,
    job_step,
)
from strait.errors import ConflictError, NotFoundError

from .fakes import Table

STAMP = "2026-01-01T00:00:00Z"
JOB = {"project_id": "p", "max_attempts": 3, "timeout_secs": 300, "enabled": True, "paused": False}
TIMES = {"version": 1, "created_at": STAMP, "updated_at": STAMP}


class Api:
    """`/v1/jobs`, `/v1/workflows` and the state of one run, as an HTTP handler."""

    def __init__(self):
        self.tables = {"jobs": Table("job"), "workflows": Table("workflow")}
        self.state = {}
        self.seen = []

    def __call__(self, request):
        body = json.loads(request.content) if request.content else None
        self.seen.append((request.method, request.url.path, body, request.headers))
        try:
            status, answer = self.answer(request, body)
        except (ConflictError, NotFoundError) as error:
            status, answer = error.status, {"error": {"code": "x", "message": str(error)}}
        return httpx.Response(status, json=answer)

    def answer(self, request, body):
        _, plane, kind, *rest = request.url.path.split("/")
        if plane == "sdk":
            return self.run(request.method, rest[2:], body)
        table = self.tables[kind]
        if rest[1:] == ["trigger"]:
            return 201, {"id": "run-1", "status": "queued", "payload_hash": "x"}
        match request.method, rest:
            case "GET", []:
                return 200, table.list(**{**dict(request.url.params), "limit": 2})
            case "GET", [id]:
                return 200, table.get(id)
            case "POST", []:
                return 201, table.create({**JOB, **TIMES, **body})
            case _, [id]:
                return 200, table.update(id, body)

    def run(self, method, rest, body):
        if rest == ["checkpoint"]:
            return 201, {"id": "c", "run_id": "r", "sequence": 1, "source": "sdk", **body}
        if method == "POST":
            self.state[body["key"]] = body["value"]
        rows = [
            {"run_id": "r", "state_key": key, "value": value, "updated_at": STAMP}
            for key, value in self.state.items()
        ]
        if rest == ["state"] and method == "GET":
            return 200, rows
        found = [row for row in rows if row["state_key"] in (rest[-1], (body or {}).get("key"))]
        if not found:
            return 404, {"error": {"code": "not_found", "message": "state key not found"}}
        return 200, found[0]


@pytest.fixture
def api():
    return Api()


@pytest.fixture(params=[Client, AsyncClient])
async def client(request, api):
    transport = httpx.MockTransport(api)
    known = {"base_url": "http://x.test", "api_key": "strait_k", "project_id": "proj"}
    if request.param is Client:
        with httpx.Client(transport=transport) as http:
            yield Client(**known, http_client=http)
    else:
        async with httpx.AsyncClient(transport=transport) as http:
            yield AsyncClient(**known, http_client=http)


async def settled(answer):
    return await answer if inspect.isawaitable(answer) else answer


def job(**options):
    return define_job(JobOptions(name="J", slug="j", endpoint_url="https://w.test/run", **options))


async def test_a_job_is_registered_triggered_and_registered_again(api, client):
    first = await settled(job(timeout_secs=60, tags={"a": "b"}).register(client))
    assert (first.id, first["slug"], first.timeout_secs) == ("job-1", "j", 60)
    again = job(timeout_secs=60, tags={"a": "b"})
    assert (await settled(again.register(client))).id == "job-1"
    assert [method for method, *_ in api.seen] == ["GET", "POST", "GET"]
    changed = await settled(job(timeout_secs=90).register(client))
    assert changed.timeout_secs == 90
    assert api.seen[-1][:3] == ("PATCH", "/v1/jobs/job-1", {"timeout_secs": 90})
    run = await settled(again.trigger(client, TriggerJobInput({"a": 1}, idempotency_key="k")))
    assert run["id"] == "run-1"
    _, path, body, headers = api.seen[-1]
    assert (path, body) == ("/v1/jobs/job-1/trigger", {"payload": {"a": 1}})
    assert headers["idempotency-key"] == "k"


async def test_the_project_of_the_client_is_used_where_nothing_else_is_said(api, client):
    await settled(job().register(client))
    assert api.seen[-1][2]["project_id"] == "proj"


async def test_a_workflow_is_registered_with_the_ids_of_its_jobs(api, client):
    def pipeline():
        return define_workflow(
            WorkflowOptions(
                name="W",
                slug="w",
                steps=[job_step("a", "j"), approval_step("ok", depends_on=["a"])],
            )
        )

    await settled(job().register(client))
    for i in range(5):
        api.tables["workflows"].add(slug=f"other-{i}", name="O", project_id="p", **TIMES)
    defined = pipeline()
    answer = await settled(defined.register(client))
    assert answer.id == defined.id == "workflow-6"
    assert answer.steps[0].job_id == "job-1"
    before = len(api.seen)
    assert (await settled(pipeline().register(client))).id == "workflow-6"
    assert {method for method, *_ in api.seen[before:]} == {"GET"}


async def test_a_run_context_works_with_the_services_of_both(api, client):
    context = create_run_context(client.sdk_runs, "r")
    await context.checkpoint({"i": 1})
    assert await context.state.get("k") is None
    await context.state.set("k", {"a": [1]})
    assert await context.state.get("k") == {"a": [1]}
    assert [entry["key"] for entry in await context.state.list()] == ["k"]
