"""Agents: jobs whose handler works in iterations, within a budget of cost and of iterations."""

from __future__ import annotations

import contextlib
import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from strait.authoring.context import RunContext
from strait.authoring.handlers import is_async_handler
from strait.authoring.jobs import Handler, JobDefinition, JobOptions
from strait.authoring.sync_context import SyncRunContext
from strait.authoring.validation import Checks
from strait.errors import NonRetryable, StraitError

if TYPE_CHECKING:
    from strait.errors import Json

# Where a checkpoint keeps what an attempt that failed had spent.
_ACCOUNT = "strait.agent"


class IterationLimitExceeded(NonRetryable):
    """An agent began more iterations than its `max_iterations`; another attempt would too."""


@dataclass(slots=True)
class AgentOptions:
    """What can be said about an agent; the fields that jobs have mean the same there.

    Attributes:
        name: its name for people.
        slug: its name in the project.
        endpoint_url: where its runs are sent.
        project_id: the project that it belongs to.
        description: at most 2,000 characters.
        tags: at most 19; `strait.kind=agent` is added.
        max_iterations: how many iterations it may do, counted by `checkpoint`; the checkpoint of
            one more is persisted and then fails the run with `IterationLimitExceeded`.
        max_cost_microusd: its budget in millionths of a US dollar, for `is_budget_exceeded`.
        auto_checkpoint: when an attempt fails, checkpoint the last state once more together with
            what was spent, so that the next attempt goes on counting from there. Explicit
            checkpoints are always persisted.
        timeout_secs: seconds for one attempt; 600 by default.
        max_attempts: attempts in all; 5 by default.
        retry_strategy: `exponential` by default.
        run: the handler, called with the payload and an `AgentRunContext`.
        on_success: see `JobOptions`.
        on_failure: see `JobOptions`.
        on_start: see `JobOptions`.
    """

    name: str = ""
    slug: str = ""
    endpoint_url: str = ""
    project_id: str = ""
    description: str = ""
    tags: dict[str, str] | None = None
    max_iterations: int | None = None
    max_cost_microusd: int | None = None
    auto_checkpoint: bool = True
    timeout_secs: int | None = None
    max_attempts: int | None = None
    retry_strategy: str = ""
    run: Handler | None = None
    on_success: Handler | None = None
    on_failure: Handler | None = None
    on_start: Handler | None = None


class _Account:
    """What an agent has done and spent, and how much it may."""

    __slots__ = ("cost", "iteration", "last_state", "max_cost", "max_iterations")

    def __init__(self, opts: AgentOptions) -> None:
        self.iteration = 0
        self.cost = 0
        self.last_state: Json = None
        self.max_iterations = opts.max_iterations
        self.max_cost = math.inf if opts.max_cost_microusd is None else opts.max_cost_microusd

    def iterated(self, state: Json) -> None:
        self.iteration += 1
        self.last_state = state
        if self.max_iterations is not None and self.iteration > self.max_iterations:
            raise IterationLimitExceeded(
                f"the agent began iteration {self.iteration}; "
                f"its `max_iterations` is {self.max_iterations}"
            )

    def spent(self, cost_microusd: int | None) -> None:
        Checks("report_usage").number("cost_microusd", cost_microusd)
        self.cost += cost_microusd or 0

    def saved(self) -> Json:
        """Return the state to checkpoint when an attempt fails; None if there is nothing in it."""
        if not (self.iteration or self.cost) or not isinstance(self.last_state, dict | None):
            return None
        spent = {"iteration": self.iteration, "accumulated_cost_microusd": self.cost}
        return {**(self.last_state or {}), _ACCOUNT: spent}

    def restore(self, checkpoint: Json) -> None:
        """Go on counting from what an earlier attempt saved."""
        saved = checkpoint.get(_ACCOUNT) if isinstance(checkpoint, dict) else None
        if isinstance(saved, dict):
            self.iteration = int(saved.get("iteration", 0))
            self.cost = int(saved.get("accumulated_cost_microusd", 0))
            self.last_state = _without_account(checkpoint)


class _Agent:
    """What both agent contexts can say about themselves."""

    _account: _Account

    @property
    def iteration(self) -> int:
        """How often `checkpoint` was called."""
        return self._account.iteration

    def accumulated_cost_microusd(self) -> int:
        """Return what was reported with `report_usage`, in millionths of a US dollar.

        Each report counts once, when it is made, even if it cannot be sent: what was spent is
        spent.
        """
        return self._account.cost

    def is_budget_exceeded(self) -> bool:
        """Say whether the accumulated cost has reached `max_cost_microusd`."""
        return self._account.cost >= self._account.max_cost


class AgentRunContext(_Agent, RunContext):
    """The context of an `async def` agent: `RunContext` and its account."""

    def __init__(self, context: RunContext, account: _Account) -> None:
        super().__init__(context._session)  # noqa: SLF001 - the same attempt, seen as an agent's
        self.asked = context.asked
        self._account = account

    @property
    def last_checkpoint(self) -> Json:
        """The state that an earlier attempt checkpointed; None if there is none."""
        return _without_account(super().last_checkpoint)

    async def checkpoint(self, state: Json) -> None:
        """Persist a state and count an iteration.

        Raises:
            IterationLimitExceeded: this was one more than `max_iterations`.
        """
        await super().checkpoint(state)
        self._account.iterated(state)

    async def report_usage(
        self,
        provider: str,
        model: str,
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
        total_tokens: int | None = None,
        cost_microusd: int | None = None,
    ) -> None:
        """Report the usage of a language model and count its cost."""
        self._account.spent(cost_microusd)
        await super().report_usage(
            provider, model, prompt_tokens, completion_tokens, total_tokens, cost_microusd
        )


class SyncAgentRunContext(_Agent, SyncRunContext):
    """`AgentRunContext` for plain functions."""

    def __init__(self, context: SyncRunContext, account: _Account) -> None:
        super().__init__(context._session, context._portal)  # noqa: SLF001 - as above
        self._account = account

    @property
    def last_checkpoint(self) -> Json:
        """The state that an earlier attempt checkpointed; None if there is none."""
        return _without_account(super().last_checkpoint)

    def checkpoint(self, state: Json) -> None:
        """See `AgentRunContext.checkpoint`."""
        super().checkpoint(state)
        self._account.iterated(state)

    def report_usage(
        self,
        provider: str,
        model: str,
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
        total_tokens: int | None = None,
        cost_microusd: int | None = None,
    ) -> None:
        """See `AgentRunContext.report_usage`."""
        self._account.spent(cost_microusd)
        super().report_usage(
            provider, model, prompt_tokens, completion_tokens, total_tokens, cost_microusd
        )


def define_agent(opts: AgentOptions) -> JobDefinition[Any]:
    """Define an agent: a job with the tag `strait.kind=agent` and an agent's defaults.

    Raises:
        DefinitionError: an option cannot work; the text names it.
    """
    return JobDefinition(agent_job_options(opts))


def agent_job_options(opts: AgentOptions) -> JobOptions[Any]:
    """Return the options of the job that an agent is.

    Raises:
        DefinitionError: an option cannot work; the text names it.
    """
    checks = Checks(f"define_agent({opts.slug})")
    checks.number("max_iterations", opts.max_iterations, least=1)
    checks.number("max_cost_microusd", opts.max_cost_microusd)
    checks.texts("tags", opts.tags)
    return JobOptions(
        name=opts.name,
        slug=opts.slug,
        endpoint_url=opts.endpoint_url,
        project_id=opts.project_id,
        description=opts.description,
        tags={**(opts.tags or {}), "strait.kind": "agent"},
        timeout_secs=600 if opts.timeout_secs is None else opts.timeout_secs,
        max_attempts=5 if opts.max_attempts is None else opts.max_attempts,
        retry_strategy=opts.retry_strategy or "exponential",
        run=None if opts.run is None else _agent_handler(opts, opts.run),
        on_success=opts.on_success,
        on_failure=opts.on_failure,
        on_start=opts.on_start,
    )


def _agent_handler(opts: AgentOptions, handler: Handler) -> Handler:
    """Wrap a handler so that it gets an agent's context; async stays async, plain stays plain."""
    if is_async_handler(handler):

        @functools.wraps(handler)
        async def run_async(payload: Json, context: RunContext) -> Json:
            account = _account(opts, context)
            try:
                return await handler(payload, AgentRunContext(context, account))
            except Exception as error:
                state = _to_save(opts, account, error)
                if state is not None:
                    # A checkpoint that fails must not hide why the attempt did.
                    with contextlib.suppress(StraitError):
                        await context.checkpoint(state)
                raise

        return run_async

    @functools.wraps(handler)
    def run(payload: Json, context: SyncRunContext) -> Json:
        account = _account(opts, context)
        try:
            return handler(payload, SyncAgentRunContext(context, account))
        except Exception as error:
            state = _to_save(opts, account, error)
            if state is not None:
                with contextlib.suppress(StraitError):
                    context.checkpoint(state)
            raise

    return run


def _account(opts: AgentOptions, context: RunContext | SyncRunContext) -> _Account:
    account = _Account(opts)
    account.restore(context.last_checkpoint)
    return account


def _to_save(opts: AgentOptions, account: _Account, error: Exception) -> Json:
    """Return the state to checkpoint after a failed attempt; None if no attempt follows it."""
    if not opts.auto_checkpoint or isinstance(error, NonRetryable):
        return None
    return account.saved()


def _without_account(checkpoint: Json) -> Json:
    if not isinstance(checkpoint, dict):
        return checkpoint
    return {key: value for key, value in checkpoint.items() if key != _ACCOUNT}
