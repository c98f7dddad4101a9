"""What the published client gets wrong in authoring, named for what is right here.

The numbers are those of its list of defects; a defect of another room has its test there.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging

import pytest

from strait.authoring import (
    AgentOptions,
    DefinitionError,
    IterationLimitExceeded,
    JobOptions,
    OnFailureAction,
    WorkflowOptions,
    approval_step,
    create_run_context,
    create_test_context,
    define_agent,
    define_event,
    define_job,
    define_workflow,
    job_step,
    sleep_step,
    step_to_api,
    validate_dag,
)
from strait.composition import create_finalize_promote_deployment
from strait.errors import DagValidationError
from strait.fsm import (
    RunEvent,
    RunStatus,
    WorkflowRunStatus,
    is_terminal_run_status,
    transition_run,
)
from strait.testing import MockAnswer, MockPlatform

from .fakes import AsyncRuns, SyncRuns

STAMP = "2026-01-01T00:00:00Z"
JOB = {
    "id": "job_1",
    "project_id": "p",
    "name": "J",
    "slug": "j",
    "enabled": True,
    "paused": False,
    "version": 1,
    "max_attempts": 3,
    "timeout_secs": 300,
    "created_at": STAMP,
    "updated_at": STAMP,
}
WORKFLOW = {
    "id": "wf_1",
    "project_id": "p",
    "name": "W",
    "slug": "w",
    "enabled": True,
    "version": 1,
    "steps": [],
    "created_at": STAMP,
    "updated_at": STAMP,
}


@pytest.fixture
def mock():
    made = MockPlatform()
    made.answer("jobs.list", {"data": [], "has_more": False})
    made.answer("workflows.list", {"data": [], "has_more": False})
    made.answer("jobs.create", JOB)
    made.answer("workflows.create", WORKFLOW)
    return made


@pytest.fixture(params=["client", "async_client"])
async def client(request, mock):
    made = getattr(mock, request.param)(project_id="p")
    yield made
    closed = made.close()
    if inspect.isawaitable(closed):
        await closed


async def settled(answer):
    return await answer if inspect.isawaitable(answer) else answer


def job(run=None, **options):
    return define_job(
        JobOptions(name="J", slug="j", endpoint_url="https://w.test", run=run, **options)
    )


def workflow(*steps):
    return define_workflow(WorkflowOptions(name="W", slug="w", steps=list(steps)))


def agent(run, **options):
    return define_agent(AgentOptions(name="A", slug="a", run=run, **options))


# -------------------------------------------------------------------------------- B72 to B79


async def test_b72_a_job_registers_with_the_clients_of_this_package(mock, client):
    assert (await settled(job().register(client))).id == "job_1"
    assert mock.requests_of("jobs.create")[0].body["slug"] == "j"


async def test_b73_a_workflow_registers_with_the_clients_of_this_package(mock, client):
    assert (await settled(workflow(sleep_step("s", 1)).register(client))).id == "wf_1"
    (step,) = mock.requests_of("workflows.create")[0].body["steps"]
    assert step == {"step_ref": "s", "step_type": "sleep", "sleep_duration_secs": 1}


async def test_b75_an_agent_does_no_more_iterations_than_it_may():
    async def loop(payload, ctx):
        for i in range(5):
            await ctx.checkpoint({"i": i})

    context, record = create_test_context()
    with pytest.raises(IterationLimitExceeded):
        await agent(loop, max_iterations=2).run({}, context)
    assert len(record.checkpoints) == 3


async def test_b76_a_checkpoint_that_is_asked_for_is_persisted_without_auto_checkpoint():
    async def save(payload, ctx):
        await ctx.checkpoint({"i": 1})

    context, record = create_test_context()
    await agent(save, auto_checkpoint=False).run({}, context)
    assert record.checkpoints == [{"i": 1}]


async def test_b77_a_cost_counts_once_also_when_it_could_not_be_reported():
    async def spend(payload, ctx):
        with pytest.raises(ConnectionError):
            await ctx.report_usage("p", "m", cost_microusd=5)
        return ctx.accumulated_cost_microusd()

    context = create_run_context(AsyncRuns(usage_run=ConnectionError("gone")), "r")
    assert await agent(spend).run({}, context) == 5


def test_b78_a_timeout_of_zero_is_refused_and_not_replaced():
    with pytest.raises(DefinitionError, match="timeout_secs"):
        agent(None, timeout_secs=0)


@pytest.mark.parametrize("make", [SyncRuns, AsyncRuns])
async def test_b79_a_context_takes_the_service_of_either_client(make):
    runs = make()
    await create_run_context(runs, "r").checkpoint({"i": 1})
    assert [body["state"] for body in runs.bodies("checkpoint_run")] == [{"i": 1}]


# -------------------------------------------------------------------------------- B81 to B88


async def test_b81_every_level_of_the_log_is_recorded():
    context, record = create_test_context()
    context.logger.debug("d")
    context.logger.info("i")
    assert [line["message"] for line in record.logs] == ["d", "i"]


async def test_b82_a_line_of_a_thread_is_sent():
    runs = AsyncRuns()
    context = create_run_context(runs, "r")
    await asyncio.to_thread(context.logger.warning, "from a thread")
    await context.flush()
    assert [body["message"] for body in runs.bodies("log_run")] == ["from a thread"]


def test_b83_two_contexts_of_one_run_do_not_share_their_lines():
    first, first_record = create_test_context("same")
    second, second_record = create_test_context("same")
    second.logger.warning("once")
    assert (len(first_record.logs), len(second_record.logs)) == (0, 1)
    assert first.run_id == second.run_id


def test_b84_contexts_leave_no_loggers_behind():
    before = len(logging.Logger.manager.loggerDict)
    for i in range(50):
        context, _ = create_test_context(f"run-{i}")
        context.logger.info("x")
    del context
    gc.collect()
    assert len(logging.Logger.manager.loggerDict) <= before + 1


def test_b85_a_logged_exception_keeps_its_traceback():
    context, record = create_test_context()
    try:
        raise KeyError("lost")
    except KeyError:
        context.logger.exception("failed")
    assert "KeyError: 'lost'" in record.logs[0]["data"]["traceback"]


@pytest.mark.parametrize("value", [{}, 0, False, "", []])
async def test_b86_a_result_and_a_payload_that_are_empty_are_sent(value):
    runs = AsyncRuns(continue_run={"id": "r2"})
    await create_run_context(runs, "r").continue_run(value)
    await create_run_context(runs, "r").complete(value)
    assert runs.bodies("continue_run") == [{"payload": value}]
    assert runs.bodies("complete_run") == [{"result": value}]


async def test_b87_a_record_does_not_change_with_what_it_was_made_of():
    context, record = create_test_context()
    state = {"items": [1]}
    await context.checkpoint(state)
    state["items"].append(2)
    assert record.checkpoints == [{"items": [1]}]


async def test_b88_the_harness_and_the_platform_give_the_same_for_a_state_key():
    tested, _ = create_test_context(state={"k": 5})
    mock = MockPlatform()
    row = {"run_id": "r", "state_key": "k", "value": 5, "updated_at": STAMP}
    mock.answer(
        "sdk_runs.get_state",
        lambda request: (
            row
            if request.path.endswith("/k")
            else MockAnswer.error(404, "state key not found", code="not_found")
        ),
    )
    async with mock.async_client(run_token="t") as client:
        real = create_run_context(client.sdk_runs, "r")
        for context in (tested, real):
            assert (await context.state.get("k"), await context.state.get("missing")) == (5, None)


# ------------------------------------------------------------------------------ B97 to B107


def test_b97_a_cycle_is_told_without_the_steps_that_hang_on_it():
    steps = [
        sleep_step("a", 1, depends_on=["b"]),
        sleep_step("b", 1, depends_on=["a"]),
        sleep_step("c", 1, depends_on=["b"]),
    ]
    with pytest.raises(DagValidationError) as refusal:
        validate_dag(steps)
    assert sorted(refusal.value.cycles) == ["a", "b"]
    assert "`c`" not in str(refusal.value)


def test_b98_a_cycle_is_refused_where_the_workflow_is_defined():
    with pytest.raises(DagValidationError):
        workflow(sleep_step("a", 1, depends_on=["b"]), sleep_step("b", 1, depends_on=["a"]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: sleep_step("s", -5),
        lambda: job_step("x", ""),
        lambda: job_step("", "j"),
        lambda: sleep_step("s", 1, depends_on="ab"),
        lambda: job_step("x", "j", on_failure="bogus"),
    ],
)
def test_b99_a_step_that_no_platform_takes_is_refused_where_it_is_made(make):
    with pytest.raises(DefinitionError):
        make()


def test_b99_an_approval_without_approvers_says_that_anybody_may():
    assert step_to_api(approval_step("ok"))["approval_approvers"] == []
    kept = job_step("x", "j", on_failure="continue").base_options().on_failure
    assert kept is OnFailureAction.CONTINUE


def test_b100_a_run_that_has_ended_is_said_to_have_ended():
    with pytest.raises(ValueError, match="the run has ended"):
        transition_run(RunStatus.COMPLETED, RunEvent.CANCEL)


def test_b101_the_statuses_of_the_server_are_members():
    assert RunStatus("paused") == "paused"
    assert WorkflowRunStatus("compensating") == "compensating"


def test_b102_a_dead_letter_has_ended():
    assert is_terminal_run_status("dead_letter") is True


def test_b103_an_empty_body_is_sent_as_it_is_given():
    sent = []

    class Deployments:
        def create(self, body):
            return {"id": "dep_1"}

        def finalize(self, id, body):
            sent.append(("finalize", body))
            return {"id": id}

        def promote(self, id, body):
            sent.append(("promote", body))
            return {"id": id}

    body = {"project_id": "p", "environment": "production"}
    create_finalize_promote_deployment(Deployments(), body, finalize_body={}, promote_body={})
    assert sent == [("finalize", {}), ("promote", {})]


def test_b107_a_validator_that_would_return_a_coroutine_is_refused():
    async def validate(payload):
        return payload

    with pytest.raises(DefinitionError, match="must not be `async`"):
        define_event("k", validate)
