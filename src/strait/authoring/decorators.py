"""`@job`, `@agent` and `@workflow`: definitions that stay functions.

    @job(slug="greet", timeout_secs=60)
    async def greet(payload: Greeting, ctx: RunContext) -> str:
        return f"hello {payload.name}"

`greet` is a `JobDefinition`, which `strait dev` finds and a `job_step` takes, and calling it calls
the function. What can be said by keyword is what `JobOptions`, `AgentOptions` and
`WorkflowOptions` have; the name and the slug are by default those of the function.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, Unpack, overload

from strait.authoring.agents import AgentOptions, agent_job_options
from strait.authoring.jobs import JobDefinition, JobOptions
from strait.authoring.validation import Checks
from strait.authoring.workflows import WorkflowDefinition, WorkflowOptions

if TYPE_CHECKING:
    from strait.authoring.keywords import AgentKeywords, JobKeywords, WorkflowKeywords
    from strait.authoring.steps import Step

P = ParamSpec("P")
R = TypeVar("R")
Given = TypeVar("Given")


class JobFunction(JobDefinition[Given], Generic[Given, P, R]):
    """A job that is called as the function that it was made of.

    Attributes:
        function: that function.
    """

    def __init__(
        self, opts: JobOptions[Given], function: Callable[Concatenate[Given, P], R]
    ) -> None:
        super().__init__(opts)
        self.function = function
        functools.update_wrapper(self, function, updated=())

    def __call__(self, payload: Given, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function; nothing is checked or sent."""
        return self.function(payload, *args, **kwargs)


class WorkflowFunction(WorkflowDefinition[Given], Generic[Given, P]):
    """A workflow whose steps a function returned; calling it calls that function.

    Attributes:
        function: that function.
    """

    def __init__(self, opts: WorkflowOptions[Given], function: Callable[P, Sequence[Step]]) -> None:
        super().__init__(opts)
        self.function = function
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Sequence[Step]:
        """Return the steps anew."""
        return self.function(*args, **kwargs)


@overload
def job(function: Callable[Concatenate[Given, P], R], /) -> JobFunction[Given, P, R]: ...


@overload
def job(
    **options: Unpack[JobKeywords],
) -> Callable[[Callable[Concatenate[Given, P], R]], JobFunction[Given, P, R]]: ...


def job(
    function: Callable[Concatenate[Given, P], R] | None = None,
    /,
    **options: Unpack[JobKeywords],
) -> (
    JobFunction[Given, P, R]
    | Callable[[Callable[Concatenate[Given, P], R]], JobFunction[Given, P, R]]
):
    """Define a job whose handler is the decorated function.

    Args:
        function: the handler, where the decorator stands without parentheses.
        **options: what `JobOptions` has, without `run`.

    Raises:
        DefinitionError: an option cannot work; the text names it.
    """

    def define(handler: Callable[Concatenate[Given, P], R]) -> JobFunction[Given, P, R]:
        opts: JobOptions[Given] = JobOptions(**_named(handler, dict(options)), run=handler)
        return JobFunction(opts, handler)

    return define if function is None else define(function)


@overload
def agent(function: Callable[Concatenate[Given, P], R], /) -> JobFunction[Given, P, R]: ...


@overload
def agent(
    **options: Unpack[AgentKeywords],
) -> Callable[[Callable[Concatenate[Given, P], R]], JobFunction[Given, P, R]]: ...


def agent(
    function: Callable[Concatenate[Given, P], R] | None = None,
    /,
    **options: Unpack[AgentKeywords],
) -> (
    JobFunction[Given, P, R]
    | Callable[[Callable[Concatenate[Given, P], R]], JobFunction[Given, P, R]]
):
    """Define an agent whose handler is the decorated function.

    Args:
        function: the handler, where the decorator stands without parentheses.
        **options: what `AgentOptions` has, without `run`.

    Raises:
        DefinitionError: an option cannot work; the text names it.
    """

    def define(handler: Callable[Concatenate[Given, P], R]) -> JobFunction[Given, P, R]:
        opts = AgentOptions(**_named(handler, dict(options)), run=handler)
        return JobFunction(agent_job_options(opts), handler)

    return define if function is None else define(function)


@overload
def workflow(function: Callable[P, Sequence[Step]], /) -> WorkflowFunction[Any, P]: ...


@overload
def workflow(
    *, payload_type: type[Given], **options: Unpack[WorkflowKeywords]
) -> Callable[[Callable[P, Sequence[Step]]], WorkflowFunction[Given, P]]: ...


@overload
def workflow(
    **options: Unpack[WorkflowKeywords],
) -> Callable[[Callable[P, Sequence[Step]]], WorkflowFunction[Any, P]]: ...


def workflow(
    function: Callable[P, Sequence[Step]] | None = None,
    /,
    *,
    payload_type: type[Any] | None = None,
    **options: Unpack[WorkflowKeywords],
) -> WorkflowFunction[Any, P] | Callable[[Callable[P, Sequence[Step]]], WorkflowFunction[Any, P]]:
    """Define a workflow of the steps that the decorated function returns; it is called once, now.

        @workflow(slug="order")
        def order() -> list[Step]:
            return [job_step("check", check), job_step("ship", ship, depends_on=["check"])]

    Args:
        function: the function, where the decorator stands without parentheses.
        payload_type: see `WorkflowOptions`.
        **options: what `WorkflowOptions` has, without `steps`.

    Raises:
        DefinitionError: an option cannot work; the text names it.
        DagValidationError: the steps do not form a directed acyclic graph.
    """

    def define(build: Callable[P, Sequence[Step]]) -> WorkflowFunction[Any, P]:
        named = _named(build, dict(options))
        # It has no parameters that need a value; one that has says so in its own words.
        steps = _steps(named["slug"], build())  # type: ignore[call-arg]  # `P` is for who calls it
        opts: WorkflowOptions[Any] = WorkflowOptions(
            **named, steps=steps, payload_type=payload_type
        )
        return WorkflowFunction(opts, build)

    return define if function is None else define(function)


def _steps(slug: str, returned: object) -> list[Step]:
    """Return the steps of a workflow.

    Raises:
        DefinitionError: its function returned something else.
    """
    if isinstance(returned, Iterable) and not isinstance(returned, str | Mapping):
        return list(returned)
    if inspect.iscoroutine(returned):
        returned.close()
    raise Checks(f"workflow({slug})").refuse(
        f"the function must return a list of steps, not a value of type `{type(returned).__name__}`"
    )


def _named(function: Callable[..., object], options: dict[str, Any]) -> dict[str, Any]:
    """Return the options with a slug, by default that of the function, and a name."""
    own = getattr(function, "__name__", "").strip("_").replace("_", "-")
    slug = options.get("slug") or own
    return {**options, "slug": slug, "name": options.get("name") or slug}
