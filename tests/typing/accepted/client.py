"""What a type checker must accept of a user; it is checked, not run."""

from __future__ import annotations

from typing import Any

import httpx

from strait import AsyncClient, Client, Job, Middleware, Page, RetryOptions, Run
from strait.models import TriggerResult


def use(*things: object) -> None:
    assert things


def step() -> dict[str, object]:
    return {"step_ref": "a"}


def calls(client: Client, anything: dict[str, Any]) -> None:
    jobs: Page[Job] = client.jobs.list(limit=5)
    for job in jobs:
        use(job.slug, job["id"], job.tags)
    created: Job = client.jobs.create({"name": "my-job", "project_id": "proj-1", "slug": "s"})
    client.jobs.create(anything)
    client.jobs.create(name="a", tags={"a": "b"}, payload_schema={"type": "object"})
    client.jobs.update("x", created, name="n")
    run: TriggerResult = client.jobs.trigger(created["id"], {"payload": {"k": "v"}}, timeout=5)
    got: Run = client.runs.get(run["id"])
    status: str = got.status
    client.workflows.create(name=status, steps=[{"step_ref": "a", "job_id": "j"}, step()])
    text: str = client.exports.export_runs(format="csv")
    page: Page[Run] = client.exports.export_runs()
    data: bytes = client.billing.export_usage(format="pdf")
    use(text, page, data)
    with client.runs.stream("run_1") as stream:
        for item in stream:
            use(item.type, item["to"], stream.last_event)


def clients() -> Client:
    hooks = Middleware(on_request=lambda context: use(context.url))
    with Client.from_file(timeout_ms=5000, http_client=httpx.Client()) as client:
        client.health.list()
    return Client(api_key="k", middleware=[hooks], retry=RetryOptions(attempts=5))


async def awaits() -> None:
    async with AsyncClient.from_env(api_key="k") as client:
        async for job in client.jobs.list():
            use(job.id)
        page = await client.jobs.list()
        first: Job = page[0]
        text: str = await client.exports.export_runs(format="csv")
        async for run in client.exports.export_runs():
            use(run.id, first, text)
        async for item in client.runs.stream("run_1"):
            use(item.to)
