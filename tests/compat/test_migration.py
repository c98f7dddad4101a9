"""Every row of MIGRATION.md is true."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from strait import (
    AuthMode,
    Client,
    ConfigurationError,
    DagValidationError,
    Job,
    Middleware,
    NotFoundError,
    StraitDeprecationWarning,
    StraitModel,
    UnsupportedByPlatform,
    ValidationError,
)
from strait.authoring import (
    DefinitionError,
    JobOptions,
    RunContext,
    WorkflowOptions,
    approval_step,
    create_test_context,
    define_job,
    define_workflow,
    job_step,
    step_to_api,
)
from strait.composition import WaitForRunOptions, wait_for_run, with_retry
from strait.retry import RetryOptions
from strait.testing import MockAnswer, MockPlatform, MockRequestError
from support.markdown import tables

PAGE = Path(__file__).parents[2] / "MIGRATION.md"
TABLES = tables(PAGE)
JOB = {
    "id": "job_1",
    "slug": "tea",
    "name": "Tea",
    "project_id": "proj_1",
    "enabled": True,
    "endpoint_url": "https://worker.test",
    "max_attempts": 3,
    "timeout_secs": 300,
    "paused": False,
    "version": 1,
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:04:05Z",
}
RUN = {
    "id": "run_1",
    "job_id": "job_1",
    "project_id": "proj_1",
    "status": "completed",
    "attempt": 1,
    "payload": {},
    "created_at": "2026-01-02T03:04:05Z",
    "triggered_by": "manual",
}
Test = Callable[..., None]
HELD: dict[str, Test] = {}


def row(name: str) -> Callable[[Test], Test]:
    """Say which row of the page a test holds."""

    def hold(test: Test) -> Test:
        assert name not in HELD
        HELD[name] = test
        return test

    return hold


def test_every_row_has_a_test() -> None:
    rows = TABLES["What stays, and what there is now"] + TABLES["What changes"]
    assert {cells[0].replace("`", "") for cells in rows} == set(HELD)


@pytest.fixture
def mock() -> MockPlatform:
    found = MockPlatform()
    found.answer("jobs.get", JOB)
    found.answer("jobs.list", {"data": [JOB], "has_more": False})
    return found


@pytest.fixture
def client(mock: MockPlatform) -> Iterator[Client]:
    with mock.client() as made:
        yield made


# ------------------------------------------------------------------------------------ what stays


@row("fields of a result")
def test_a_result_answers_like_a_dictionary(client: Client) -> None:
    job = client.jobs.get("job_1")
    assert job["id"] == job.get("id") == job.id == dict(job)["id"] == "job_1"
    assert "id" in job
    assert "nothing" not in job
    assert job.get("nothing", 3) == 3
    with pytest.raises(KeyError):
        job["nothing"]


@row("bodies")
def test_a_body_is_a_dictionary_or_keywords(mock: MockPlatform, client: Client) -> None:
    mock.answer("jobs.create", JOB)
    body = {key: JOB[key] for key in ("name", "slug", "project_id", "endpoint_url")}
    client.jobs.create(body)
    client.jobs.create(**body)
    first, second = mock.requests_of("jobs.create")
    assert first.body == second.body == body


@row("queries")
def test_a_query_is_a_dictionary_or_keywords(mock: MockPlatform, client: Client) -> None:
    list(client.jobs.list(query={"limit": "5"}))
    list(client.jobs.list(limit=5))
    first, second = mock.requests_of("jobs.list")
    assert first.query == second.query == {"limit": "5"}


@row("lists")
def test_a_lists_answer_has_its_data(client: Client) -> None:
    found = client.jobs.list()
    assert found["data"][0]["id"] == "job_1"
    assert [job.id for job in found] == ["job_1"]


@row("services")
def test_the_services_are_where_they_were() -> None:
    from strait.operations.jobs import JobsService
    from strait.services import jobs

    assert JobsService is jobs.JobsService


@row("keys")
def test_a_key_in_the_body_counts_now(mock: MockPlatform, client: Client) -> None:
    mock.answer("jobs.trigger", {"id": "run_1", "status": "queued"})
    client.jobs.trigger("job_1", {"payload": {"n": 1}, "idempotency_key": "k"})
    (sent,) = mock.requests_of("jobs.trigger")
    assert sent.headers["idempotency-key"] == "k"
    assert sent.body == {"payload": {"n": 1}}


@row("waiting")
def test_a_run_is_waited_for_by_functions(mock: MockPlatform, client: Client) -> None:
    mock.answer("runs.get", RUN)
    run = wait_for_run(
        get_run=client.runs.get,
        get_status=lambda r: r["status"],
        run_id="run_1",
        opts=WaitForRunOptions(timeout_ms=1000),
    )
    assert run["id"] == "run_1"


@row("errors")
def test_an_error_has_status_and_body(mock: MockPlatform, client: Client) -> None:
    mock.answer("runs.get", MockAnswer.error(404, "run not found", code="not_found"))
    with pytest.raises(NotFoundError) as caught:
        client.runs.get("run_2")
    assert (caught.value.status, caught.value.code) == (404, "not_found")
    assert caught.value.body["error"]["message"] == "run not found"


@row("definitions")
def test_a_definition_registers_with_the_client_itself(mock: MockPlatform, client: Client) -> None:
    mock.answer("jobs.list", {"data": [], "has_more": False})
    mock.answer("jobs.create", JOB)
    options = {"project_id": "proj_1", "endpoint_url": "https://worker.test"}
    registered = define_job(JobOptions(name="Tea", slug="tea", **options)).register(client)
    assert registered["id"] == "job_1"


@row("steps")
def test_steps_reach_the_platform_in_its_words() -> None:
    assert step_to_api(job_step("a", "job_1"))["step_type"] == "job"
    sent = step_to_api(approval_step("b", approvers=["ada"]))
    assert (sent["step_type"], sent["approval_approvers"]) == ("approval", ["ada"])


@row("middleware")
def test_hooks_are_called(mock: MockPlatform) -> None:
    seen: list[str] = []
    with mock.client(middleware=[Middleware(on_request=lambda c: seen.append(c.method))]) as client:
        client.jobs.get("job_1")
    assert seen == ["GET"]


@row("plain dicts")
def test_results_are_dictionaries_if_wanted(mock: MockPlatform) -> None:
    with mock.client(response_format="dict") as client:
        assert client.jobs.get("job_1") == JOB
        assert client.jobs.list() == {"data": [JOB], "has_more": False}


# ---------------------------------------------------------------------------------- what changes


@row("type of a result")
def test_a_result_is_a_model(client: Client) -> None:
    job = client.jobs.get("job_1")
    assert isinstance(job, StraitModel)
    assert not isinstance(job, dict)
    assert not hasattr(job, "items")
    with pytest.raises(TypeError):
        json.dumps(job)
    assert json.loads(json.dumps(job.to_dict())) == JOB


@row("times in a result")
def test_times_are_datetimes(client: Client) -> None:
    job = client.jobs.get("job_1")
    assert job["created_at"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert job.to_dict()["created_at"] == "2026-01-02T03:04:05Z"


@row("iterating a list's answer")
def test_a_lists_answer_iterates_its_items(mock: MockPlatform, client: Client) -> None:
    first = {"data": [JOB], "next_cursor": "2026-01-02T03:04:05Z", "has_more": True}
    last = {"data": [{**JOB, "id": "job_2"}], "has_more": False}
    mock.answer("jobs.list", first, last)
    assert [job["id"] for job in client.jobs.list()] == ["job_1", "job_2"]


@row("answers without a body")
def test_nothing_is_none(mock: MockPlatform, client: Client) -> None:
    mock.answer("secrets.delete", None)
    assert client.secrets.delete("secret_1") is None


@row("no key")
def test_a_key_comes_from_the_environment(
    mock: MockPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRAIT_API_KEY", "strait_env")
    with httpx.Client(transport=mock) as http:
        Client(base_url="https://mock.test", http_client=http).jobs.get("job_1")
    (sent,) = mock.requests_of("jobs.get")
    assert sent.headers["authorization"] == "Bearer strait_env"
    monkeypatch.delenv("STRAIT_API_KEY")
    with pytest.raises(ConfigurationError, match="STRAIT_API_KEY"):
        Client()
    with Client(auth=AuthMode.none()) as open_to_all:
        assert open_to_all.base_url


@row("two credentials")
def test_one_credential_is_enough() -> None:
    with pytest.raises(ConfigurationError, match="`bearer_token` and `api_key`"):
        Client(api_key="strait_1", bearer_token="other")


@row("base_url that is no address")
def test_an_address_is_checked_at_once() -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        Client(base_url="localhost:7676", api_key="strait_1")


@row("timeout_ms")
def test_the_timeout_is_what_it_was() -> None:
    with Client(api_key="strait_1") as client:
        assert client._settings.timeout == 30
    with httpx.Client(timeout=7) as http, Client(api_key="strait_1", http_client=http) as client:
        assert client._settings.timeout is None


@row("repeated requests")
def test_only_what_cannot_do_harm_is_repeated(mock: MockPlatform, client: Client) -> None:
    lost = httpx.ReadError("lost")
    mock.answer("jobs.trigger", lost, {"id": "run_1", "status": "queued"})
    mock.answer("secrets.delete", lost, None)
    mock.answer("jobs.batch_disable", lost)
    retry = RetryOptions(attempts=3, delay_ms=0)
    with mock.client(retry=retry) as client:
        client.jobs.trigger("job_1")
        with pytest.raises(Exception, match="lost"):
            client.jobs.batch_disable(ids=["job_1"])
    keys = {request.headers["idempotency-key"] for request in mock.requests_of("jobs.trigger")}
    assert (len(mock.requests_of("jobs.trigger")), len(keys)) == (2, 1)
    assert len(mock.requests_of("jobs.batch_disable")) == 1


@row("with_retry without should_retry")
def test_with_retry_repeats_what_may_pass() -> None:
    calls: list[int] = []

    def broken() -> None:
        calls.append(1)
        raise KeyError("mistake")

    with pytest.raises(KeyError):
        with_retry(broken, RetryOptions(attempts=3, delay_ms=0))
    assert len(calls) == 1
    always = RetryOptions(attempts=3, delay_ms=0, should_retry=lambda error, attempt, of: True)
    with pytest.raises(KeyError):
        with_retry(broken, always)
    assert len(calls) == 4


@row("text of an error")
def test_an_errors_text_is_the_platforms(mock: MockPlatform, client: Client) -> None:
    mock.answer("runs.get", MockAnswer.error(404, "run not found"))
    with pytest.raises(NotFoundError, match=r"^run not found"):
        client.runs.get("run_2")


@row("operations that no platform has")
def test_what_no_platform_has_says_what_to_use(mock: MockPlatform, client: Client) -> None:
    with pytest.raises(UnsupportedByPlatform, match="workflow_policies"):
        client.workflows.get_policy("wf_1")
    assert mock.requests == []


@row("a graph that is none")
def test_a_cycle_is_told_where_it_is_written() -> None:
    steps = [job_step("a", "j", depends_on=["b"]), job_step("b", "j", depends_on=["a"])]
    with pytest.raises(DagValidationError):
        define_workflow(WorkflowOptions(name="W", slug="w", project_id="p", steps=steps))


@row("options that cannot work")
def test_an_option_is_told_where_it_is_written() -> None:
    with pytest.raises(DefinitionError, match="timeout_secs"):
        define_job(JobOptions(name="J", slug="j", timeout_secs=-1))


@row("arguments that no call knows")
def test_an_unknown_argument_is_a_validation_error(client: Client) -> None:
    call: Any = client.jobs.get
    with pytest.raises(ValidationError, match="`colour` is no argument"):
        call("job_1", colour="red")
    with pytest.raises(ValueError, match="colour"):
        call("job_1", colour="red")


def _raises(context: object) -> None:
    raise RuntimeError("a hook")


@row("a hook of a middleware that raises")
def test_a_hook_cannot_fail_a_call(mock: MockPlatform, caplog: pytest.LogCaptureFixture) -> None:
    with mock.client(middleware=[Middleware(on_request=_raises)]) as client:
        assert client.jobs.get("job_1").id == "job_1"
    assert "a hook" in caplog.text


@row("on_response, on_error of several middlewares")
def test_answers_pass_the_middlewares_in_reverse(mock: MockPlatform) -> None:
    seen: list[str] = []

    def named(name: str) -> Middleware:
        return Middleware(
            on_request=lambda _: seen.append(f">{name}"),
            on_response=lambda _: seen.append(f"<{name}"),
        )

    with mock.client(middleware=[named("a"), named("b")]) as client:
        client.jobs.get("job_1")
    assert seen == [">a", ">b", "<b", "<a"]


@row("RunContext(...) made by hand")
def test_contexts_are_given() -> None:
    make: Any = RunContext
    with pytest.raises(TypeError):
        make(run_id="run_1", attempt=1)
    assert create_test_context("run_1")[0].run_id == "run_1"


@row("Job(...), Run(...) made by hand")
def test_a_model_is_made_of_json() -> None:
    assert Job.model_validate(JOB).slug == "tea"


@row("modules with a leading underscore")
def test_private_modules_are_gone() -> None:
    with pytest.raises(ModuleNotFoundError):
        __import__("strait._client")


# ------------------------------------------------------------------------------ what is deprecated

DEPRECATED = TABLES["What is deprecated"]
_ARGUMENTS = {"runs": ("r",), "workflows": ("w",), "webhooks.list_deliveries": ("s",)}


@pytest.mark.parametrize(("method", "parameter"), DEPRECATED, ids=[m for m, _ in DEPRECATED])
def test_what_no_platform_reads_warns_and_is_not_sent(
    method: str, parameter: str, mock: MockPlatform, client: Client
) -> None:
    service, name = method.split(".")
    call = getattr(getattr(client, service), name)
    arguments = _ARGUMENTS.get(method, _ARGUMENTS.get(service, ()))
    # It has no answer here; it is called all the same.
    no_answer = contextlib.suppress(UnsupportedByPlatform, MockRequestError)
    with pytest.warns(StraitDeprecationWarning, match=r"removed in 2\.0") as told, no_answer:
        call(*arguments, **{parameter: {"x": "1"}})
    assert told[0].filename == __file__
    assert all(not request.body and not request.query for request in mock.requests)


def test_the_page_has_everything_that_is_deprecated() -> None:
    import tomllib

    names = tomllib.loads((PAGE.parent / "api" / "names.toml").read_text("utf-8"))
    unread = {
        names["operations"][operation]: entry["parameter"]
        for operation, entry in names["unread"].items()
    }
    assert unread == dict(DEPRECATED)
