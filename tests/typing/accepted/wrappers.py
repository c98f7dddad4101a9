"""What a type checker must accept of one who builds on the client; it is checked, not run."""

from __future__ import annotations

from typing import TypedDict, assert_type

from typing_extensions import Unpack

from strait import (
    APIResponse,
    AsyncClient,
    Client,
    Job,
    RateLimitedError,
    RequestOptions,
    StreamOptions,
    preload,
)
from strait.models.params import CreateJobRequest


def create(client: Client, **fields: Unpack[CreateJobRequest]) -> Job:
    """Wrap an operation with its own keywords, and keep them typed."""
    assert_type(client.jobs.create(fields), Job)
    return client.jobs.create(**fields)


def wraps(client: Client, **options: Unpack[RequestOptions]) -> None:
    created = create(client, slug="tea", name="Tea", project_id="p", max_attempts=3)
    assert_type(created, Job)
    wanted: CreateJobRequest = {"name": "Tea", "slug": "tea", "project_id": "p", "tags": {}}
    client.jobs.create(wanted, **options)
    whole = client.jobs.with_raw_response.get("job_1")
    assert_type(whole, APIResponse[Job])
    assert_type(whole.parse(), Job)


class Thing(TypedDict):
    id: str


def verbs(client: Client) -> None:
    assert_type(client.get("/v1/jobs/job_1", cast_to=Job), Job)
    assert_type(client.post("/v1/x", body={"a": 1}, cast_to=Thing), Thing)
    assert_type(client.request("GET", "/v1/x", cast_to=list[Job], query={"a": 1}), list[Job])
    client.delete("/v1/x", timeout=5.0)
    for job in client.jobs.list().take(3):
        assert_type(job, Job)
    for page in client.jobs.list().by_page("c"):
        assert_type(page.data, list[Job])
    preload("jobs")


async def async_verbs(client: AsyncClient) -> None:
    assert_type(await client.get("/v1/jobs/job_1", cast_to=Job), Job)
    assert_type(await client.put("/v1/x", body={}, cast_to=bytes), bytes)
    async for job in client.jobs.list().take(3):
        assert_type(job, Job)
    async for page in client.jobs.list().by_page():
        assert_type(page.data, list[Job])


def follows(client: Client, **options: Unpack[StreamOptions]) -> float | None:
    with client.runs.stream("run_1", **options) as stream:
        for item in stream:
            status: str | None = item.to
            assert status
    try:
        client.runs.stream("run_1", idle_timeout=5, max_reconnects=1, max_event_size=100).close()
    except RateLimitedError as error:
        return error.retry_after
    return None
