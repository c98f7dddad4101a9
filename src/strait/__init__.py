"""Durable jobs and workflows: a client, an authoring kit, hosts for handlers, and a platform.

    from strait import Client

    client = Client(base_url="https://api.strait.dev", api_key="strait_…")
    run = client.jobs.trigger(job_id, payload={"key": "value"})

Names are imported when they are first used, so that `import strait` costs next to nothing.
"""

from __future__ import annotations

from strait._version import __version__

# The constant of `typing` would cost most of the time of this import; checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from strait.client.aio import AsyncClient
    from strait.client.aio_calls import AsyncEventStream
    from strait.client.handles import AsyncRunHandle, RunHandle
    from strait.client.middleware import (
        Middleware,
        MiddlewareErrorContext,
        MiddlewareRequestContext,
        MiddlewareResponseContext,
    )
    from strait.client.operation import RequestOptions, StreamOptions
    from strait.client.pages import AsyncPage, AsyncPager, Page
    from strait.client.preload import preload
    from strait.client.responses import APIResponse, ResponseInfo, response_info
    from strait.client.sync import Client
    from strait.client.sync_calls import EventStream
    from strait.client.unset import UNSET
    from strait.composition import (
        RESUME,
        CostBudgetOptions,
        CostTracker,
        Err,
        Ok,
        Result,
        RunNotStartedError,
        WaitForRunOptions,
        collect_all,
        create_cost_tracker,
        paginate,
        paginate_async,
        trigger_and_wait,
        trigger_and_wait_async,
        wait_for_run,
        wait_for_run_async,
        with_checkpoint_resume,
        with_cost_budget,
        with_retry,
        with_retry_async,
    )
    from strait.config import (
        AuthMode,
        AuthType,
        Config,
        Headers,
        JsonDict,
        config_from_env,
        config_from_file,
    )
    from strait.errors import (
        ApiError,
        ConfigurationError,
        ConflictError,
        CostBudgetExceededError,
        DagValidationError,
        DecodeError,
        HttpError,
        IdempotencyWarning,
        MisplacedPayloadWarning,
        NonRetryable,
        NotFoundError,
        PaginationError,
        RateLimitedError,
        RequestSummary,
        ResponseValidationError,
        RetryAfter,
        RunFailedError,
        StraitDeprecationWarning,
        StraitError,
        StraitTimeoutError,
        StreamError,
        TransportError,
        TransportTimeoutError,
        UnauthorizedError,
        UnsupportedByPlatform,
        ValidationError,
        map_http_error,
    )
    from strait.models import DeploymentVersion as Deployment
    from strait.models import Job, JobVersion, RunUsage, StraitModel, WorkflowRun, WorkflowStep
    from strait.models import JobRun as Run
    from strait.models import WorkflowResponse as Workflow
    from strait.models import WorkflowStepRun as WorkflowRunStep
    from strait.rate_limit import RateLimit
    from strait.retry import JitterStrategy, RetryOptions, RetryPolicy

# Where a name comes from, and what it is called there when that differs.
_SOURCES: dict[str, tuple[str, ...]] = {
    "strait.client.aio": ("AsyncClient",),
    "strait.client.aio_calls": ("AsyncEventStream",),
    "strait.client.handles": ("AsyncRunHandle", "RunHandle"),
    "strait.client.middleware": (
        "Middleware",
        "MiddlewareErrorContext",
        "MiddlewareRequestContext",
        "MiddlewareResponseContext",
        "MisplacedPayloadWarning",
    ),
    "strait.client.operation": ("RequestOptions", "StreamOptions"),
    "strait.client.pages": ("AsyncPage", "AsyncPager", "Page"),
    "strait.client.preload": ("preload",),
    "strait.client.responses": ("APIResponse", "ResponseInfo", "response_info"),
    "strait.rate_limit": ("RateLimit",),
    "strait.client.sync": ("Client",),
    "strait.client.sync_calls": ("EventStream",),
    "strait.client.unset": ("UNSET",),
    "strait.composition": (
        "RESUME",
        "CostBudgetOptions",
        "CostTracker",
        "Err",
        "Ok",
        "Result",
        "RunNotStartedError",
        "WaitForRunOptions",
        "collect_all",
        "create_cost_tracker",
        "paginate",
        "paginate_async",
        "trigger_and_wait",
        "trigger_and_wait_async",
        "wait_for_run",
        "wait_for_run_async",
        "with_checkpoint_resume",
        "with_cost_budget",
        "with_retry",
        "with_retry_async",
    ),
    "strait.config": (
        "AuthMode",
        "AuthType",
        "Config",
        "Headers",
        "JsonDict",
        "config_from_env",
        "config_from_file",
    ),
    "strait.errors": (
        "ApiError",
        "ConfigurationError",
        "ConflictError",
        "CostBudgetExceededError",
        "DagValidationError",
        "DecodeError",
        "HttpError",
        "IdempotencyWarning",
        "MisplacedPayloadWarning",
        "NonRetryable",
        "NotFoundError",
        "PaginationError",
        "RateLimitedError",
        "RequestSummary",
        "ResponseValidationError",
        "RetryAfter",
        "RunFailedError",
        "StraitDeprecationWarning",
        "StraitError",
        "StraitTimeoutError",
        "StreamError",
        "TransportError",
        "TransportTimeoutError",
        "UnauthorizedError",
        "UnsupportedByPlatform",
        "ValidationError",
        "map_http_error",
    ),
    "strait.models": (
        "Deployment=DeploymentVersion",
        "Job",
        "JobVersion",
        "Run=JobRun",
        "RunUsage",
        "StraitModel",
        "Workflow=WorkflowResponse",
        "WorkflowRun",
        "WorkflowRunStep=WorkflowStepRun",
        "WorkflowStep",
    ),
    "strait.retry": ("JitterStrategy", "RetryOptions", "RetryPolicy"),
}
_EXPORTS = {
    name.partition("=")[0]: (module, name.rpartition("=")[2])
    for module, names in _SOURCES.items()
    for name in names
}

__all__ = [
    "RESUME",
    "UNSET",
    "APIResponse",
    "ApiError",
    "AsyncClient",
    "AsyncEventStream",
    "AsyncPage",
    "AsyncPager",
    "AsyncRunHandle",
    "AuthMode",
    "AuthType",
    "Client",
    "Config",
    "ConfigurationError",
    "ConflictError",
    "CostBudgetExceededError",
    "CostBudgetOptions",
    "CostTracker",
    "DagValidationError",
    "DecodeError",
    "Deployment",
    "Err",
    "EventStream",
    "Headers",
    "HttpError",
    "IdempotencyWarning",
    "JitterStrategy",
    "Job",
    "JobVersion",
    "JsonDict",
    "Middleware",
    "MiddlewareErrorContext",
    "MiddlewareRequestContext",
    "MiddlewareResponseContext",
    "MisplacedPayloadWarning",
    "NonRetryable",
    "NotFoundError",
    "Ok",
    "Page",
    "PaginationError",
    "RateLimit",
    "RateLimitedError",
    "RequestOptions",
    "RequestSummary",
    "ResponseInfo",
    "ResponseValidationError",
    "Result",
    "RetryAfter",
    "RetryOptions",
    "RetryPolicy",
    "Run",
    "RunFailedError",
    "RunHandle",
    "RunNotStartedError",
    "RunUsage",
    "StraitDeprecationWarning",
    "StraitError",
    "StraitModel",
    "StraitTimeoutError",
    "StreamError",
    "StreamOptions",
    "TransportError",
    "TransportTimeoutError",
    "UnauthorizedError",
    "UnsupportedByPlatform",
    "ValidationError",
    "WaitForRunOptions",
    "Workflow",
    "WorkflowRun",
    "WorkflowRunStep",
    "WorkflowStep",
    "__version__",
    "collect_all",
    "config_from_env",
    "config_from_file",
    "create_cost_tracker",
    "map_http_error",
    "paginate",
    "paginate_async",
    "preload",
    "response_info",
    "trigger_and_wait",
    "trigger_and_wait_async",
    "wait_for_run",
    "wait_for_run_async",
    "with_checkpoint_resume",
    "with_cost_budget",
    "with_retry",
    "with_retry_async",
]


def __getattr__(name: str) -> Any:
    try:
        module, source = _EXPORTS[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    # Here, because most programs that import `strait` use few of its names.
    from importlib import import_module  # noqa: PLC0415 - only when a name is used

    value = getattr(import_module(module), source)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
