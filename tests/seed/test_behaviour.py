"""What the published README says that things do, done against a platform or the mock of its API."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import httpx
import pytest

import strait
from strait import (
    AsyncClient,
    Client,
    CostBudgetExceededError,
    DagValidationError,
    StraitError,
    UnsupportedByPlatform,
    errors,
)
from strait.authoring import (
    AgentOptions,
    AgentRunContext,
    JobDefinition,
    JobOptions,
    RunContext,
    WorkflowOptions,
    create_test_context,
    define_agent,
    define_job,
    define_workflow,
    job_step,
)
from strait.composition import (
    CostBudgetOptions,
    WaitForRunOptions,
    create_cost_tracker,
    wait_for_run,
    with_checkpoint_resume,
)
from strait.testing import MockAnswer, MockPlatform, platform

from .test_statements import README, TABLES, by_first_cell

# Of METADATA in the wheel `strait_python-0.1.0-py3-none-any.whl`, from its first heading on.
PUBLISHED = "a7534450e83eec9033a4dfd58c9eebd01c214cacc7d77fdaa34665d8f87378c1"


def test_the_readme_is_the_published_one_to_the_byte() -> None:
    assert hashlib.sha256(README.read_bytes()).hexdigest() == PUBLISHED


# --------------------------------------------------------------------------------------- services

# What the methods of the table are called with; the others are called with nothing.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "jobs.create": (
        {"name": "J", "slug": "j", "project_id": "p", "endpoint_url": "https://j.test"},
    ),
    "jobs.update": ("job_1", {"name": "K"}),
    "jobs.trigger": ("job_1", {"payload": {"key": "value"}}),
    "jobs.bulk_trigger": ("job_1", {"items": [{"payload": {}}]}),
    "runs.bulk_cancel": ({"run_ids": ["run_1"]},),
    "workflows.create": ({"name": "W", "slug": "w", "project_id": "p", "steps": []},),
    "workflows.trigger": ("wf_1", {"payload": {}}),
    "workflows.get_diff": ("wf_1", "1", "2"),
    "workflow_runs.approve_step": ("wr_1", "step", {"approver": "ada"}),
    "workflow_runs.skip_step": ("wr_1", "step"),
    "deployments.create": (
        {"project_id": "p", "environment": "e", "runtime": "python", "artifact_uri": "s3://a/b"},
    ),
    "deployments.finalize": ("d_1", {"project_id": "p", "environment": "e"}),
    "deployments.promote": ("d_1", {"project_id": "p", "environment": "e"}),
    "deployments.rollback": ("d_1", {"project_id": "p", "environment": "e"}),
    "sdk_runs.complete_run": ("run_1", {"result": {}}),
    "sdk_runs.checkpoint_run": ("run_1", {"state": {}}),
    "rbac.create_member": ({"project_id": "p", "user_id": "u", "role_id": "r"},),
}
_OF_NOTHING = {"list", "list_roles", "get_dlq", "seed_roles"}


def table_methods() -> list[str]:
    found = []
    for service, examples in TABLES["Domain Operations (19 Services)"]:
        if not service.startswith("+"):
            names = re.split(r",\s*", examples)
            found += [f"{service.removeprefix('client.')}.{name}" for name in names]
    return found


@pytest.mark.parametrize("method", [m for m in table_methods() if m != "workflows.get_policy"])
def test_a_method_of_the_table_makes_one_request_that_the_platform_takes(method: str) -> None:
    service, name = method.split(".")
    given = ARGUMENTS.get(method, () if name in _OF_NOTHING else ("some_id",))
    mock = MockPlatform()
    mock.answer(method, MockAnswer(content=b"{}", headers={"content-type": "application/json"}))
    with mock.client(response_format="dict") as client:
        assert getattr(getattr(client, service), name)(*given) == {}
    (request,) = mock.requests
    body = next((part for part in given if isinstance(part, dict) and part), None)
    assert request.body == body


def test_the_one_method_of_the_table_that_no_platform_has_says_what_to_use() -> None:
    with (
        MockPlatform().client() as client,
        pytest.raises(UnsupportedByPlatform, match="workflow_policies"),
    ):
        client.workflows.get_policy("wf_1")


async def test_the_async_client_is_made_from_arguments_too() -> None:
    async with AsyncClient(
        base_url="https://api.strait.dev", api_key="your-key", timeout_ms=5000
    ) as client:
        assert client.base_url == "https://api.strait.dev"


# -------------------------------------------------------------------------------------- authoring


def test_a_workflow_is_validated_as_a_graph() -> None:
    for steps in (
        [job_step("a", "x", depends_on=["b"]), job_step("b", "x", depends_on=["a"])],
        [job_step("a", "x", depends_on=["nothing"])],
        [job_step("a", "x"), job_step("a", "y")],
    ):
        with pytest.raises(DagValidationError):
            define_workflow(WorkflowOptions(name="W", slug="w", project_id="p", steps=steps))


async def test_an_agent_is_a_job_whose_handler_gets_the_context_of_an_agent() -> None:
    given: list[Any] = []

    async def handler(payload: Any, ctx: Any) -> None:
        given.append(ctx)

    agent = define_agent(AgentOptions(name="A", slug="a", project_id="p", run=handler))
    ctx, _ = create_test_context()
    await agent.run({}, ctx)
    assert isinstance(agent, JobDefinition)
    assert isinstance(given[0], AgentRunContext)
    assert isinstance(given[0], RunContext)


async def use_everything(payload: Any, ctx: Any) -> dict[str, Any]:
    """Call every method of the table of `RunContext` but those that end the attempt."""
    await ctx.checkpoint({"at": 1})
    await ctx.report_progress(50, "half way")
    await ctx.heartbeat()
    await ctx.report_usage("openai", "gpt-4o", prompt_tokens=1, completion_tokens=2)
    await ctx.log_tool_call("search", {"q": "tea"})
    await ctx.save_output("report", {"pages": 2})
    await ctx.stream_chunk("text", stream_id="s", done=True)
    await ctx.annotate({"colour": "green"})
    await ctx.state.set("a", 1)
    await ctx.state.set("b", 2)
    await ctx.state.delete("b")
    child = await ctx.spawn("child", payload["project_id"], {"n": 1})
    ctx.logger.info("on the way")
    return {
        "a": await ctx.state.get("a"),
        "keys": len(await ctx.state.list()),
        "child": child["id"],
    }


async def ends(payload: Any, ctx: Any) -> None:
    if payload["how"] == "complete":
        await ctx.complete({"by": "hand"})
    elif payload["how"] == "fail":
        await ctx.fail("by hand")
    elif payload.get("again"):
        await ctx.complete({"continued": True})
    else:
        await ctx.continue_run({"how": "continue", "again": True})


def a_job(slug: str, run: Any) -> JobDefinition[Any]:
    return define_job(JobOptions(name=slug, slug=slug, run=run, max_attempts=1))


def test_the_methods_of_a_run_context_reach_a_platform() -> None:
    job = a_job("everything", use_everything)
    child = a_job("child", lambda payload, ctx: payload)
    with platform(job, child) as p:
        run = p.run(job, {"project_id": p.client.project_id})
        assert run.status == "completed", run.error
        assert (run.result["a"], run.result["keys"]) == (1, 1)
        assert p.client.runs.get(run.result["child"]).parent_run_id == run.id
        runs = p.client.runs
        assert [kept.state for kept in runs.list_checkpoints(run.id)] == [{"at": 1}]
        assert [(out.output_key, out.value) for out in runs.list_outputs(run.id)] == [
            ("report", {"pages": 2})
        ]
        told = " ".join(event.message for event in runs.list_events(run.id))
        assert "half way" in told
        assert "on the way" in told
        assert [call["tool_name"] for call in runs.list_tool_calls(run.id)] == ["search"]
        assert [used["model"] for used in runs.get_usage(run.id)] == ["gpt-4o"]


@pytest.mark.parametrize(
    ("how", "status"), [("complete", "completed"), ("fail", "failed"), ("continue", "completed")]
)
def test_a_run_context_ends_a_run(how: str, status: str) -> None:
    job = a_job("ends", ends)
    with platform(job) as p:
        run = p.run(job, {"how": how})
        assert run.status == status
        assert run.error == ("by hand" if how == "fail" else None)
        if how == "continue":
            p.advance(seconds=1)
            assert {"continued": True} in [found.result for found in p.client.runs.list()]


def test_a_run_context_pauses_until_an_event_fires() -> None:
    async def waits(payload: Any, ctx: Any) -> Any:
        return await ctx.wait_for_event("approval:1")

    job = a_job("waits", waits)
    with platform(job) as p:
        handle = p.client.jobs.start(job.id, payload={})
        p.advance(seconds=1)
        assert handle.status() == "waiting"
        p.client.event_triggers.send("approval:1", payload={"by": "Ada"})
        p.advance(seconds=1)
        assert handle.get().result == {"by": "Ada"}


# ------------------------------------------------------------------------------------ composition


async def test_long_work_resumes_from_a_checkpoint_that_is_given() -> None:
    done: list[int] = []

    async def process(state: Any, update: Any) -> str:
        for i in range(state.get("next_index", 0), 100):
            done.append(i)
            update({"next_index": i + 1})
        return "all done"

    ctx, record = create_test_context()
    result = await with_checkpoint_resume(
        ctx, {"next_index": 97}, process, {"next_index": 0}, checkpoint_interval=5
    )
    assert (result, done) == ("all done", [97, 98, 99])
    assert record.checkpoints[-1] == {"next_index": 100}


# ------------------------------------------------------------------------------------------ errors


def test_every_error_inherits_from_the_one() -> None:
    found = [getattr(errors, name) for name in errors.__all__]
    raised = [cls for cls in found if isinstance(cls, type) and issubclass(cls, Exception)]
    # A handler raises these two to say how its attempt ended; the SDK does not; the others warn.
    verdicts = {errors.NonRetryable, errors.RetryAfter}
    assert {cls for cls in raised if not issubclass(cls, StraitError | Warning)} == verdicts


@by_first_cell("Error Handling")
def test_what_the_table_describes_raises_its_error(row: list[str]) -> None:
    cls = getattr(strait, row[0])
    with MockPlatform().client(retry=None) as client:
        if row[1] == "—":
            with pytest.raises(cls):
                WITHOUT_STATUS[row[0]](client)
            return
    for status in [402, 500] if row[1] == "other" else [int(s) for s in row[1].split(", ")]:
        mock = MockPlatform()
        mock.answer("jobs.get", MockAnswer.error(status, "told"))
        with mock.client(retry=None) as client, pytest.raises(cls) as caught:
            client.jobs.get("job_1")
        assert (type(caught.value), caught.value.status) == (cls, status)
        assert caught.value.body["error"]["message"] == "told"


def answered(answer: Any) -> Any:
    def call(_: Client) -> None:
        mock = MockPlatform()
        mock.answer("jobs.get", answer)
        with mock.client(retry=None) as client:
            client.jobs.get("job_1")

    return call


def _spends(_: Client) -> None:
    create_cost_tracker(CostBudgetOptions(max_cost_microusd=1)).add(1)


WITHOUT_STATUS: dict[str, Any] = {
    "TransportError": answered(httpx.ConnectError("refused")),
    "DecodeError": answered(MockAnswer(content=b"<html>", status=200)),
    "ValidationError": lambda _: Client(base_url="nowhere", api_key="k"),
    "StraitTimeoutError": lambda _: wait_for_run(
        lambda run_id: {"status": "queued"},
        lambda run: run["status"],
        "run-1",
        WaitForRunOptions(timeout_ms=1, initial_delay_ms=1),
    ),
    "DagValidationError": lambda _: define_workflow(
        WorkflowOptions(
            name="W", slug="w", project_id="p", steps=[job_step("a", "x", depends_on=["a"])]
        )
    ),
    "CostBudgetExceededError": _spends,
}


def test_the_budget_error_says_how_much() -> None:
    with pytest.raises(CostBudgetExceededError) as caught:
        create_cost_tracker(CostBudgetOptions(max_cost_microusd=10)).add(12)
    assert (caught.value.current_cost_microusd, caught.value.max_cost_microusd) == (12, 10)
