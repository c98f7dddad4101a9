"""What a type checker must refuse: each line that ends in `# no` and no other."""

from __future__ import annotations

from strait import AsyncClient, Client
from strait.authoring import RunContext, SyncRunContext
from strait.composition import (
    CostBudgetOptions,
    DurableCostBudget,
    Err,
    Ok,
    RetryOptions,
    paginate,
    wait_for_run,
    with_checkpoint_resume_sync,
    with_retry,
)


def use(*things: object) -> None:
    assert things


def parsed(text: str) -> Ok[int] | Err:
    return Ok(int(text)) if text.isdigit() else Err(ValueError(text))


def results() -> None:
    made = parsed("5")
    use(made.value)  # no
    if made.is_err:
        use(made.value)  # no
        text: str = made.error  # no
    else:
        use(made.error)  # no
        text = made.value  # no
    use(text, Err("text"))  # no


def calls(client: Client) -> None:
    number: int = with_retry(lambda: client.jobs.get("j"))  # no
    with_retry(lambda: 5, attempts=5)  # no
    with_retry(lambda: 5, RetryOptions(atempts=5))  # no
    wait_for_run(client.runs.get, lambda run: run.no_status, "r")  # no
    for job in paginate(lambda q: client.jobs.list(cursor=q.cursor)):
        use(job.of_tomorrow, number)  # no
    use(CostBudgetOptions())  # no


async def budgets(client: AsyncClient, ctx: RunContext, plain: SyncRunContext) -> None:
    await DurableCostBudget.open(plain.state, CostBudgetOptions(1))  # no
    with_checkpoint_resume_sync(ctx, [], lambda state, update: 5, {})  # no
    use(client)
