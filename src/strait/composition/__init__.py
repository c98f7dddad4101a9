"""Helpers that combine calls: retry, wait, paginate, budget, resume.

They work with our clients and with any other functions, because they are given functions. Where
a helper has to wait, there is one that blocks and one that awaits (`..._async`).
"""

from strait.composition.budget import (
    CostBudgetOptions,
    CostTracker,
    create_cost_tracker,
    with_cost_budget,
)
from strait.composition.checkpoints import (
    RESUME,
    with_checkpoint_resume,
    with_checkpoint_resume_sync,
)
from strait.composition.deployments import (
    CreateAndFinalizeOutput,
    CreateFinalizePromoteOutput,
    create_and_finalize_deployment,
    create_and_finalize_deployment_async,
    create_finalize_promote_deployment,
    create_finalize_promote_deployment_async,
)
from strait.composition.durable_budget import (
    Allotment,
    DurableCostBudget,
    SyncDurableCostBudget,
    child_options,
)
from strait.composition.idempotency import with_idempotency, with_idempotency_header
from strait.composition.paging import (
    PaginatedQuery,
    PaginatedResponse,
    collect_all,
    collect_all_async,
    paginate,
    paginate_async,
)
from strait.composition.result import Err, Ok, Result
from strait.composition.retry import with_retry, with_retry_async
from strait.composition.waiting import (
    WaitForRunOptions,
    trigger_and_wait,
    trigger_and_wait_async,
    wait_for_run,
    wait_for_run_async,
)
from strait.errors import RunNotStartedError
from strait.retry import RetryOptions

__all__ = [
    "RESUME",
    "Allotment",
    "CostBudgetOptions",
    "CostTracker",
    "CreateAndFinalizeOutput",
    "CreateFinalizePromoteOutput",
    "DurableCostBudget",
    "Err",
    "Ok",
    "PaginatedQuery",
    "PaginatedResponse",
    "Result",
    "RetryOptions",
    "RunNotStartedError",
    "SyncDurableCostBudget",
    "WaitForRunOptions",
    "child_options",
    "collect_all",
    "collect_all_async",
    "create_and_finalize_deployment",
    "create_and_finalize_deployment_async",
    "create_cost_tracker",
    "create_finalize_promote_deployment",
    "create_finalize_promote_deployment_async",
    "paginate",
    "paginate_async",
    "trigger_and_wait",
    "trigger_and_wait_async",
    "wait_for_run",
    "wait_for_run_async",
    "with_checkpoint_resume",
    "with_checkpoint_resume_sync",
    "with_cost_budget",
    "with_idempotency",
    "with_idempotency_header",
    "with_retry",
    "with_retry_async",
]
