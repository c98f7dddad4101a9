"""A workflow that asks first: it works out a price, waits for an approval, and orders."""

from typing import Any

from strait.authoring import (
    JobOptions,
    SyncRunContext,
    WorkflowOptions,
    approval_step,
    define_job,
    define_workflow,
    job_step,
)

PRICE_CENTS = 450


def quote(payload: dict[str, Any], ctx: SyncRunContext) -> dict[str, int]:
    """Say what the cups cost."""
    return {"cents": PRICE_CENTS * payload["cups"]}


def order(payload: dict[str, Any], ctx: SyncRunContext) -> dict[str, int]:
    """Order them; a step finds the results of the steps that it depends on in its payload."""
    return {"ordered_for": payload["parent_outputs"]["quote"]["cents"]}


quote_job = define_job(JobOptions(name="Quote", slug="quote", run=quote))
order_job = define_job(JobOptions(name="Order", slug="order", run=order))

purchase = define_workflow(
    WorkflowOptions(
        name="Purchase",
        slug="purchase",
        steps=[
            job_step("quote", quote_job),
            approval_step("approve", depends_on=["quote"]),
            job_step("order", order_job, depends_on=["quote", "approve"]),
        ],
    )
)
