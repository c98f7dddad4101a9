"""Jobs and workflows: what is sent, and what is refused when they are defined."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest

from strait.authoring import (
    DefinitionError,
    JobOptions,
    TriggerJobInput,
    TriggerWorkflowInput,
    WorkflowOptions,
    approval_step,
    define_event,
    define_job,
    define_workflow,
    job_step,
    workflow,
)
from strait.errors import DagValidationError

from .fakes import AsyncClient, SyncClient

URL = "https://worker.example.com/run"


def job(**options):
    return define_job(JobOptions(**{"name": "J", "slug": "j", "project_id": "p", **options}))


def flow(**options):
    steps = options.pop("steps", [job_step("a", "job-a")])
    known = {"name": "W", "slug": "w", "project_id": "p", "steps": steps}
    return define_workflow(WorkflowOptions(**{**known, **options}))


def test_the_authoring_snippet_of_the_readme_holds():
    order = define_job(
        JobOptions(
            name="Process Order",
            slug="process-order",
            endpoint_url=URL,
            project_id="proj-1",
            max_concurrency=10,
            timeout_secs=300,
        )
    )
    pipeline = define_workflow(
        WorkflowOptions(
            name="Order Pipeline",
            slug="order-pipeline",
            project_id="proj-1",
            steps=[
                job_step("validate", "validate-job"),
                job_step("charge", "charge-job", depends_on=["validate"]),
                approval_step("approve", depends_on=["charge"]),
                job_step("ship", "ship-job", depends_on=["approve"]),
            ],
        )
    )
    assert order.to_registration_body() == {
        "project_id": "proj-1",
        "name": "Process Order",
        "slug": "process-order",
        "endpoint_url": URL,
        "max_concurrency": 10,
        "timeout_secs": 300,
    }
    assert pipeline.order == ["validate", "charge", "approve", "ship"]
    assert pipeline.to_registration_body()["steps"][2] == {
        "step_ref": "approve",
        "step_type": "approval",
        "depends_on": ["charge"],
        "approval_approvers": [],
    }


def test_zero_and_false_are_sent_and_nothing_is_not():
    body = job(
        endpoint_url=URL, max_concurrency=0, enabled=False, tags={}, cron=""
    ).to_registration_body()
    assert body["max_concurrency"] == 0
    assert body["enabled"] is False
    assert {"tags", "cron", "run", "webhook_url"}.isdisjoint(body)


def test_registration_can_name_another_project_and_endpoint():
    body = job(endpoint_url=URL).to_registration_body("other", "http://127.0.0.1:9/jobs/j")
    assert (body["project_id"], body["endpoint_url"]) == ("other", "http://127.0.0.1:9/jobs/j")


def test_a_job_needs_a_project_and_an_endpoint_unless_a_worker_fetches_its_runs():
    with pytest.raises(ValueError, match=r"define_job\(j\): requires `project_id`"):
        job(project_id="", endpoint_url=URL).to_registration_body()
    with pytest.raises(ValueError, match="requires `endpoint_url`"):
        job().to_registration_body()
    assert "endpoint_url" not in job(execution_mode="worker").to_registration_body()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"name": ""}, "`name` must not be empty"),
        ({"slug": ""}, "`slug` must not be empty"),
        ({"slug": "s" * 129}, "`slug` has 129 characters; at most 128 may be"),
        ({"endpoint_url": "worker.example.com"}, "`endpoint_url` must be an http or https URL"),
        ({"max_attempts": 0}, "`max_attempts` must be between 1 and 100, not 0"),
        ({"timeout_secs": 86_401}, "`timeout_secs` must be between 1 and 86400"),
        ({"retry_strategy": "random"}, "`retry_strategy` must be one of"),
        ({"retry_delays_secs": [1, -1]}, "`retry_delays_secs[1]` must be at least 0"),
        ({"cron": "@daily"}, "cron expression must have exactly 5 fields"),
        ({"cron": "61 * * * *"}, "`cron` is '61 * * * *': invalid cron expression"),
        ({"timezone": "Europe/Nowhere"}, "invalid timezone: `Europe/Nowhere` is not a zone"),
        ({"tags": {"a": 1}}, "`tags['a']` must be a string"),
        ({"tags": {str(i): "" for i in range(21)}}, "`tags` has 21 entries"),
        ({"webhook_secret": "short"}, "`webhook_secret` must have 16 to 4096 characters, not 5"),
        ({"webhook_url": "https://x.test"}, "client.webhooks.create_subscription"),
        ({"run": "main.handler"}, "`run` must be a function"),
        ({"rate_limit_max": 1}, "`rate_limit_max` needs `rate_limit_window_secs`"),
        ({"debounce_window_secs": 1, "batch_window_secs": 1}, "exclude each other"),
        ({"payload_schema": {"x": {1}}}, "`payload_schema` cannot be sent as JSON"),
    ],
)
def test_a_job_that_cannot_work_is_refused_when_it_is_defined(options, reason):
    with pytest.raises(DefinitionError) as refusal:
        job(**options)
    assert reason in str(refusal.value)


def test_secrets_are_shown_by_nothing():
    secret = "0123456789abcdef"
    defined = job(webhook_secret=secret)
    assert secret not in repr(defined) + repr(defined.options)
    with pytest.raises(DefinitionError) as refusal:
        job(webhook_secret=secret, endpoint_signing_secret=secret)
    assert secret not in str(refusal.value)


def test_a_workflow_is_sent_in_the_platforms_names():
    body = flow(
        cron="0 5 * * *", timezone="Europe/Vienna", max_parallel_steps=2
    ).to_registration_body()
    assert body["cron_timezone"] == "Europe/Vienna"
    assert "timezone" not in body
    assert body["max_parallel_steps"] == 2


def test_a_workflow_may_have_a_descriptor_as_its_schedule():
    assert flow(cron="@daily").to_registration_body()["cron"] == "@daily"


def test_a_cycle_is_refused_when_the_workflow_is_defined():
    with pytest.raises(DagValidationError, match="a -> b -> a"):
        flow(steps=[job_step("a", "j", depends_on=["b"]), job_step("b", "j", depends_on=["a"])])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"slug": ""}, "`slug` must not be empty"),
        ({"timeout_secs": -1}, "`timeout_secs` must be at least 0"),
        ({"max_attempts": 3}, "give the steps `retry_max_attempts`"),
        ({"run": print}, "a workflow has no handler"),
        ({"steps": ["validate"]}, "`steps[0]` must be a step, not 'validate'"),
        ({"version_policy": "newest"}, "`version_policy` must be one of"),
        ({"cron": "@sometimes"}, "`cron` is '@sometimes': invalid cron expression"),
    ],
)
def test_a_workflow_that_cannot_work_is_refused_when_it_is_defined(options, reason):
    with pytest.raises(DefinitionError) as refusal:
        flow(**options)
    assert reason in str(refusal.value)


def test_a_trigger_sends_its_key_as_an_option_and_the_rest_as_the_body():
    client = SyncClient()
    run = job().trigger(
        client,
        TriggerJobInput({"a": 1}, job_id="job-1", idempotency_key="k", priority=0, tags={"t": "1"}),
    )
    assert run["id"] == "run-1"
    body = {"payload": {"a": 1}, "priority": 0, "tags": {"t": "1"}}
    assert client.jobs.calls == [("trigger", "job-1", body, {"idempotency_key": "k"})]


async def test_an_async_client_is_awaited():
    client = AsyncClient()
    assert (await job().trigger(client, TriggerJobInput({}, job_id="job-1")))["id"] == "run-1"
    await flow().trigger(client, TriggerWorkflowInput({"x": 1}, workflow_id="w-1"))
    assert client.jobs.calls == [("trigger", "job-1", {"payload": {}}, {})]
    assert client.workflows.calls == [("trigger", "w-1", {"payload": {"x": 1}}, {})]


def test_a_batch_carries_the_keys_in_its_items():
    client = SyncClient()
    items = [TriggerJobInput(1, idempotency_key="a"), TriggerJobInput(2)]
    assert job().batch_trigger(client, items, "job-1")["total"] == 2
    wire = {"items": [{"payload": 1, "idempotency_key": "a"}, {"payload": 2}]}
    assert client.jobs.calls == [("bulk_trigger", "job-1", wire)]


def test_a_trigger_needs_an_id():
    with pytest.raises(ValueError, match="trigger requires `job_id` or prior successful"):
        job().trigger(SyncClient(), TriggerJobInput({}))
    with pytest.raises(ValueError, match="trigger requires `workflow_id` or prior successful"):
        flow().trigger(SyncClient(), TriggerWorkflowInput({}))


@pytest.mark.parametrize(
    "item", [{"dry_run": True}, {"debounce_key": "k"}, {"metadata": {"a": "b"}}]
)
def test_what_a_batch_would_ignore_is_refused(item):
    client = SyncClient()
    with pytest.raises(DefinitionError, match=next(iter(item))):
        job().batch_trigger(client, [TriggerJobInput({}, **item)], "job-1")
    assert client.jobs.calls == []


@pytest.mark.parametrize("extra", [{"dry_run": True}, {"priority": 1}, {"metadata": {"a": "b"}}])
def test_a_dry_run_of_a_workflow_never_really_runs(extra):
    client = SyncClient()
    with pytest.raises(DefinitionError, match=next(iter(extra))):
        flow().trigger(client, TriggerWorkflowInput({}, workflow_id="w", **extra))
    assert client.workflows.calls == []


@pytest.mark.parametrize(
    "given",
    [
        {"a": False},
        {"a": {"enabled": False}},
        [{"step_ref": "a", "enabled": False}],
    ],
)
def test_step_overrides_are_sent_as_the_platforms_list(given):
    client = SyncClient()
    flow().trigger(client, TriggerWorkflowInput({}, workflow_id="w", step_overrides=given))
    ((_, _, body, _),) = client.workflows.calls
    assert body["step_overrides"] == [{"step_ref": "a", "enabled": False}]


def test_an_event_parses_with_its_validator():
    def my_validator(raw):
        if "user_id" not in raw:
            raise ValueError("user_id is required")
        return raw

    approval = define_event("approval.granted", validate=my_validator)
    assert approval.parse({"user_id": 1}) == {"user_id": 1}
    with pytest.raises(ValueError, match="user_id is required"):
        approval.parse({})
    assert define_event("plain").parse(5) == 5


def test_an_event_with_a_key_that_cannot_be_or_an_async_validator_is_refused():
    async def validator(raw):
        return raw

    with pytest.raises(DefinitionError, match="`validate` must not be `async`"):
        define_event("k", validator)
    with pytest.raises(DefinitionError, match="`key` must not be empty"):
        define_event("")


def test_a_handler_with_a_yield_is_refused_where_it_is_defined() -> None:
    def plain(payload: object, ctx: object) -> Iterator[int]:
        yield 1

    async def awaits(payload: object, ctx: object) -> AsyncIterator[int]:
        yield 1

    for handler in (plain, awaits):
        options = JobOptions(name="Numbers", slug="numbers", run=handler)
        with pytest.raises(
            DefinitionError, match=r"numbers.*test_definitions\.py:\d+ has a `yield`"
        ):
            define_job(options)


async def alone(payload: object) -> None:
    """Take too little for a handler."""


async def named(payload: object, *, ctx: object) -> None:
    """Take its context in another way."""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"run": alone}, "called with payload, ctx, and `alone` at test_definitions.py:"),
        ({"run": named}, "and `named` at test_definitions.py:"),
        ({"run": lambda: None}, "takes nothing"),
        ({"on_success": named}, "`on_success` is called with payload, result, ctx"),
        ({"on_failure": alone}, "takes payload"),
        ({"run": partial(alone)}, "takes payload"),
    ],
)
def test_a_handler_that_takes_something_else_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(DefinitionError, match=re.escape(told)):
        job(**options)


@pytest.mark.parametrize(
    "handler", [lambda *given: None, lambda payload, ctx, more=1: None, Mock()]
)
def test_a_handler_may_take_more(handler: Any) -> None:
    assert job(run=handler).options.run is handler


async def no_steps() -> None:
    """Build no workflow."""


@pytest.mark.parametrize("build", [lambda: None, lambda: 3, lambda: "steps", no_steps])
def test_a_function_of_a_workflow_that_returns_no_steps_is_refused(build: Any) -> None:
    with pytest.raises(DefinitionError, match=r"workflow\(w\): the function must return a list"):
        workflow(slug="w")(build)


def test_a_fault_of_the_graph_names_the_workflow() -> None:
    with pytest.raises(DagValidationError, match=r"workflow\(w\): step `a` depends") as fault:
        flow(slug="w", steps=[job_step("a", "x", depends_on=["nope"])])
    assert fault.value.missing_refs == ["nope"]
