"""`MockPlatform`: a real client against scripted answers, held against the description."""

from __future__ import annotations

import inspect

import httpx
import pytest

from strait import Client, RetryOptions
from strait.errors import NotFoundError, StraitError, TransportError
from strait.models import Job, TriggerResult
from strait.testing import MockAnswer, MockPlatform, MockRequestError

JOB = {
    "id": "job_1",
    "project_id": "p",
    "name": "Greet",
    "slug": "greet",
    "enabled": True,
    "version": 1,
    "max_attempts": 3,
    "timeout_secs": 300,
    "paused": False,
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z",
}
BODY = {"project_id": "p", "name": "Greet", "slug": "greet", "endpoint_url": "https://w.test"}


@pytest.fixture
def mock():
    return MockPlatform()


@pytest.fixture(params=["client", "async_client"])
async def client(request, mock):
    made = getattr(mock, request.param)()
    yield made
    closed = made.close()
    if inspect.isawaitable(closed):
        await closed


async def settled(answer):
    return await answer if inspect.isawaitable(answer) else answer


@pytest.mark.parametrize("name", ["jobs.create", "create-job", "POST /v1/jobs"])
async def test_an_operation_is_named_by_method_by_id_or_by_address(mock, client, name):
    mock.answer(name, JOB)
    job = await settled(client.jobs.create(BODY))
    assert isinstance(job, Job)
    assert job.slug == "greet"
    assert [request.operation for request in mock.requests_of(name)] == ["create-job"]


async def test_what_was_asked_is_recorded(mock, client):
    mock.answer("jobs.trigger", {"id": "run_1", "status": "queued"})
    mock.answer("jobs.list", {"data": [JOB], "has_more": False})
    await settled(client.jobs.trigger("job 1", payload={"a": 1}, idempotency_key="k"))
    await settled(client.jobs.list(limit=5))
    triggered, listed = mock.requests
    assert triggered.path_params == {"id": "job 1"} or "job 1" in triggered.path_params.values()
    assert triggered.body == {"payload": {"a": 1}}
    assert triggered.headers["idempotency-key"] == "k"
    assert (listed.method, listed.path, listed.query) == ("GET", "/v1/jobs", {"limit": "5"})


async def test_answers_come_in_order_and_the_last_one_stays(mock, client):
    mock.answer("jobs.get", {**JOB, "name": "A"}, {**JOB, "name": "B"})
    names = [(await settled(client.jobs.get("job_1"))).name for _ in range(3)]
    assert names == ["A", "B", "B"]


async def test_a_refusal_is_the_error_that_a_platform_would_cause(mock, client):
    mock.answer("jobs.get", MockAnswer.error(404, "job not found"))
    with pytest.raises(NotFoundError, match="job not found"):
        await settled(client.jobs.get("job_1"))


async def test_a_broken_network_is_an_exception_as_answer(mock):
    mock.answer("jobs.get", httpx.ConnectError("refused"), JOB)
    with mock.client(retry=None) as client:
        with pytest.raises(TransportError, match="refused"):
            client.jobs.get("job_1")
        assert client.jobs.get("job_1").id == "job_1"


def test_retries_of_a_client_are_seen_by_the_mock(mock):
    mock.answer("jobs.get", MockAnswer.error(503, "busy"), JOB)
    retry = RetryOptions(delay_ms=1, max_delay_ms=1)
    with mock.client(retry=retry) as client:
        assert client.jobs.get("job_1").id == "job_1"
    assert len(mock.requests) == 2


async def test_an_answer_may_depend_on_the_request_and_may_be_a_model(mock, client):
    mock.answer(
        "jobs.trigger",
        lambda request: TriggerResult.model_validate(
            {"id": f"run-{request.body['payload']['n']}", "status": "queued"}
        ),
    )
    run = await settled(client.jobs.trigger("job_1", payload={"n": 7}))
    assert run.id == "run-7"


def test_a_stream_is_followed_over_its_break_to_its_last_item(mock):
    started = {"from": "queued", "to": "executing"}
    ended = {"from": "executing", "to": "completed"}
    mock.answer("runs.stream", MockAnswer.events(started), MockAnswer.events(ended))
    retry = RetryOptions(delay_ms=1, max_delay_ms=1)
    with mock.client(retry=retry) as client, client.runs.stream("run_1") as items:
        assert [item["to"] for item in items] == ["executing", "completed"]
    assert [request.path for request in mock.requests] == ["/v1/runs/run_1/stream"] * 2


async def test_a_body_that_no_platform_takes_fails_the_test(mock, client):
    mock.answer("jobs.create", JOB)
    with pytest.raises(MockRequestError, match=r"slug: failed on 'required'"):
        await settled(client.jobs.create({"project_id": "p", "name": "Greet"}))
    assert mock.requests == []


async def test_a_query_that_no_platform_takes_fails_the_test(mock, client):
    mock.answer("jobs.list", {"data": [], "has_more": False})
    with pytest.raises(MockRequestError, match="limit must be a positive integer"):
        await settled(client.jobs.list(limit=-1))


async def test_an_operation_without_an_answer_says_how_to_give_one(mock, client):
    with pytest.raises(MockRequestError, match=r'mock\.answer\("get-job", \.\.\.\)'):
        await settled(client.jobs.get("job_1"))


async def test_a_path_that_the_api_does_not_have_fails_the_test(mock, client):
    with pytest.raises(MockRequestError, match="no such operation"):
        await settled(client.do_request("GET", "/v1/unknown"))
    with pytest.raises(MockRequestError, match="not with DELETE"):
        await settled(client.do_request("DELETE", "/v1/jobs"))


def test_a_request_without_a_credential_fails_the_test(mock):
    mock.answer("jobs.list", {"data": [], "has_more": False})
    with httpx.Client(transport=mock) as http, pytest.raises(MockRequestError, match="credential"):
        http.get("http://platform.test/v1/jobs")


def test_a_client_of_ones_own_takes_the_mock_as_transport(mock):
    mock.answer("jobs.get", JOB)
    with httpx.Client(transport=mock) as http:
        client = Client(base_url="http://x.test", api_key="strait_k", http_client=http)
        assert client.jobs.get("job_1").id == "job_1"


def test_answers_that_nobody_asked_for_are_told(mock):
    mock.answer("jobs.get", JOB)
    mock.answer("runs.get", {})
    with mock.client() as client:
        client.jobs.get("job_1")
    assert mock.unused == ["get-run"]


def test_the_misspelt_name_of_an_operation_is_refused(mock):
    for name in ("jobs.crate", "crate-job", "POST /v1/jbs", "nothing.at.all", "PUT /v1/jobs"):
        with pytest.raises(MockRequestError, match="no operation"):
            mock.answer(name, {})


def test_the_mock_cannot_be_swallowed_by_code_that_handles_errors_of_a_platform():
    assert not issubclass(MockRequestError, StraitError)
    assert issubclass(MockRequestError, AssertionError)
