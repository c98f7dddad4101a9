"""`@step`: a function that is a durable step whenever a handler calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from strait.authoring.recorded.arguments import place
from strait.authoring.recorded.calls import name_of
from strait.authoring.recorded.step import StepOptions, running

if TYPE_CHECKING:
    from strait.authoring.recorded.values import Codec
    from strait.retry import RetryOptions

P = ParamSpec("P")
R = TypeVar("R")


class StepCaller(Protocol):
    """What a context does with a function that is a step."""

    def carry_out(
        self,
        name: str,
        function: Callable[..., Any],
        args: Sequence[object],
        kwargs: dict[str, object],
        options: StepOptions,
        at: str,
    ) -> Any:
        """Call it as a step."""
        ...


active: ContextVar[StepCaller | None] = ContextVar("strait_context", default=None)
"""The context of the handler that runs here."""


@contextmanager
def acting(context: StepCaller) -> Iterator[None]:
    """Let steps that are called inside of the block be those of a context."""
    token = active.set(context)
    try:
        yield
    finally:
        active.reset(token)


class StepFunction(Generic[P, R]):
    """A function that a handler's calls make a step of; anywhere else it is the plain function.

    Attributes:
        name: the name of its steps.
        options: how they are carried out.
    """

    def __init__(self, function: Callable[P, R], name: str, options: StepOptions) -> None:
        self._function = function
        self.name = name_of(function, name)
        self.options = options
        update_wrapper(self, function)

    @property
    def function(self) -> Callable[P, R]:
        """The plain function."""
        return self._function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function: as a step inside of a handler, plainly outside and in other steps."""
        context = active.get()
        if context is None or running() is not None:
            return self._function(*args, **kwargs)
        return cast(
            "R",
            context.carry_out(self.name, self._function, args, dict(kwargs), self.options, place()),
        )


def unwrapped(
    function: Callable[..., Any], options: StepOptions
) -> tuple[Callable[..., Any], StepOptions]:
    """Return the plain function of a step, and its options with those of a call over them."""
    if not isinstance(function, StepFunction):
        return function, options
    return function.function, options.over(function.options)


@overload
def step(function: Callable[P, R], /) -> StepFunction[P, R]: ...


@overload
def step(
    *,
    name: str = ...,
    retry: RetryOptions | None = ...,
    timeout_secs: float | None = ...,
    undo: Callable[[Any], object] | None = ...,
    redact: Sequence[str] = ...,
    codec: Codec | None = ...,
) -> Callable[[Callable[P, R]], StepFunction[P, R]]: ...


def step(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str = "",
    retry: RetryOptions | None = None,
    timeout_secs: float | None = None,
    undo: Callable[[Any], object] | None = None,
    redact: Sequence[str] = (),
    codec: Codec | None = None,
) -> StepFunction[P, R] | Callable[[Callable[P, R]], StepFunction[P, R]]:
    """Make a function a durable step: `ctx.step` without the context in one's hands.

        @step
        async def charge(order_id: str, cents: int) -> str: ...

        async def fulfil(order: Order, ctx: RunContext) -> None:
            await charge(order["id"], 450)

    `async def` functions are for `async def` handlers, and plain functions for plain ones. Called
    outside of a handler, or inside of another step, it is the plain function.

    Args:
        function: the function, where the decorator has no parentheses.
        name: the name of its steps; by default that of the function.
        retry: see `RunContext.step`, as for the others.
        timeout_secs: of one try.
        undo: called with the result when the run fails for good.
        redact: paths in the result that are shown to nobody.
        codec: seals the result.
    """
    options = StepOptions(retry, timeout_secs, undo, redact, codec)
    if function is not None:
        return StepFunction(function, name, options)
    return lambda decorated: StepFunction(decorated, name, options)
