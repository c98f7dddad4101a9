"""What a type checker must accept of a user of `strait.composition`; it is checked, not run."""

from __future__ import annotations

from typing import Any, assert_never, assert_type

from strait import AsyncClient, Client, Job
from strait.authoring import RunContext, SyncRunContext
from strait.composition import (
    RESUME,
    CostBudgetOptions,
    CostTracker,
    DurableCostBudget,
    Err,
    Ok,
    PaginatedQuery,
    PaginatedResponse,
    Result,
    RetryOptions,
    SyncDurableCostBudget,
    collect_all,
    collect_all_async,
    create_and_finalize_deployment,
    create_finalize_promote_deployment_async,
    paginate,
    paginate_async,
    trigger_and_wait,
    trigger_and_wait_async,
    wait_for_run,
    wait_for_run_async,
    with_checkpoint_resume,
    with_checkpoint_resume_sync,
    with_cost_budget,
    with_retry,
    with_retry_async,
)
from strait.models import DeploymentVersion, JobRun, TriggerResult


def use(*things: object) -> None:
    assert things


def parsed(text: str) -> Ok[int] | Err:
    return Ok(int(text)) if text.isdigit() else Err(ValueError(text))


def looked_up(text: str) -> Result[int]:
    return parsed(text)


def results() -> None:
    made = parsed("5")
    if made.is_ok is True:
        assert_type(made, Ok[int])
        assert_type(made.value, int)
    else:
        assert_type(made, Err)
        assert_type(made.error, Exception)
    if made.is_err is True:
        assert_type(made.error, Exception)
        return
    assert_type(made.value, int)
    again = parsed("5")
    match again:
        case Ok(value):
            assert_type(value, int)
        case Err(error):
            assert_type(error, Exception)
        case _:
            assert_never(again)
    assert_type(made.unwrap(), int)
    assert_type(Result.from_func(lambda: 5), Ok[int] | Err)
    assert_type(looked_up("5").unwrap(), int)
    either: str | float = looked_up("5").match(lambda value: value / 2, str)
    assert either
    widened: Result[float] = looked_up("5")
    failed: Result[int] = Result.err(ValueError())
    use(widened, failed)


def calls(client: Client) -> None:
    assert_type(with_retry(lambda: client.jobs.get("j")), Job)
    assert_type(with_retry(lambda: client.jobs.trigger("j"), RetryOptions()), TriggerResult)
    assert_type(wait_for_run(client.runs.get, lambda run: run.status, "r"), JobRun)
    run = wait_for_run(
        get_run=lambda rid: client.runs.get(rid, timeout=5),
        get_status=lambda r: r["status"],
        run_id="r",
    )
    assert_type(run, JobRun)
    done = trigger_and_wait(
        lambda body: client.jobs.trigger("j", body),
        client.runs.get,
        lambda triggered: triggered.id,
        lambda run: run.status,
        {"payload": 1},
    )
    assert_type(done, JobRun)
    for job in paginate(lambda q: client.jobs.list(cursor=q.cursor)):
        assert_type(job, Job)

    def numbers(query: PaginatedQuery) -> PaginatedResponse[int]:
        return PaginatedResponse(data=[query.limit])

    assert_type(collect_all(paginate(numbers)), list[int])
    deployed = create_and_finalize_deployment(client.deployments, {"project_id": "p"})
    assert_type(deployed.finalized, DeploymentVersion)


async def async_calls(client: AsyncClient) -> None:
    assert_type(await with_retry_async(lambda: client.jobs.get("j")), Job)
    assert_type(await with_retry_async(lambda: 5), int)
    assert_type(await wait_for_run_async(client.runs.get, lambda run: run.status, "r"), JobRun)
    done = await trigger_and_wait_async(
        lambda body: client.jobs.trigger("j", body),
        client.runs.get,
        lambda triggered: triggered.id,
        lambda run: run.status,
        {"payload": 1},
    )
    assert_type(done, JobRun)
    jobs = await collect_all_async(paginate_async(lambda q: client.jobs.list(cursor=q.cursor)))
    assert_type(jobs, list[Job])
    result = await Result.from_func_async(lambda: client.jobs.get("j"))
    assert_type(result, Ok[Job] | Err)
    deployed = await create_finalize_promote_deployment_async(client.deployments, {})
    assert_type(deployed.promoted, DeploymentVersion)


async def in_a_run(ctx: RunContext, plain: SyncRunContext) -> None:
    async def work(state: dict[str, Any], update: Any) -> str:
        update(state)
        return "done"

    async def spend(tracker: CostTracker) -> int:
        return tracker.remaining()

    assert_type(await with_checkpoint_resume(ctx, RESUME, work, {}), str)
    assert_type(await with_checkpoint_resume(plain, None, work, {}, checkpoint_interval=5), str)
    assert_type(with_checkpoint_resume_sync(plain, {}, lambda state, update: 5, {}), int)
    assert_type(await with_cost_budget(spend, CostBudgetOptions(1)), int)
    budget = await DurableCostBudget.open(ctx.state, CostBudgetOptions(1))
    async with budget.call(1) as call:
        call.cost(1)
    SyncDurableCostBudget.open(plain.state, CostBudgetOptions(1))
