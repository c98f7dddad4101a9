"""The durable methods of `RunContext`: steps, sleeps, maps, and waits together."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

from strait.authoring.recorded import calls, waits
from strait.authoring.recorded.arguments import place
from strait.authoring.recorded.asked import Asked
from strait.authoring.recorded.carrying import drive
from strait.authoring.recorded.decorator import unwrapped
from strait.authoring.recorded.step import StepOptions, course, running
from strait.authoring.validation import Checks

if TYPE_CHECKING:
    from strait.authoring.recorded.values import Codec
    from strait.authoring.session import RunSession
    from strait.retry import RetryOptions

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - an item
Undo = Callable[[Any], object]
Key = Callable[[Any], object]


class DurableMethods:
    """What `RunContext` can do that outlives an attempt."""

    _session: RunSession
    asked: Asked

    @overload
    def step(
        self,
        name: str,
        function: Callable[..., Awaitable[T]],
        /,
        *args: object,
        retry: RetryOptions | None = ...,
        timeout_secs: float | None = ...,
        undo: Undo | None = ...,
        redact: Sequence[str] = ...,
        codec: Codec | None = ...,
        **kwargs: object,
    ) -> Coroutine[Any, Any, T]: ...

    @overload
    def step(
        self,
        name: str,
        function: Callable[..., T],
        /,
        *args: object,
        retry: RetryOptions | None = ...,
        timeout_secs: float | None = ...,
        undo: Undo | None = ...,
        redact: Sequence[str] = ...,
        codec: Codec | None = ...,
        **kwargs: object,
    ) -> Coroutine[Any, Any, T]: ...

    def step(
        self,
        name: str,
        function: Callable[..., Any],
        /,
        *args: object,
        retry: RetryOptions | None = None,
        timeout_secs: float | None = None,
        undo: Undo | None = None,
        redact: Sequence[str] = (),
        codec: Codec | None = None,
        **kwargs: object,
    ) -> Coroutine[Any, Any, Any]:
        """Call a function once in the life of the run, and return its result in every attempt.

        The result is recorded in the run's state before it is returned, under the step's name and
        which of that name it is. An attempt that follows a crash, a wait or a failure is called
        from its beginning and finds it there. A step that was begun and not recorded runs again:
        give what it calls `current_step().idempotency_key`.

        Args:
            name: the name; the n-th step of a name is the same one in every attempt.
            function: what to call; a plain function is called in a thread.
            *args: its arguments, which a record is only good for.
            retry: how often it is tried within this attempt; once by default. Every error but
                `NonRetryable` and `DefinitionError` is tried again, unless `should_retry` says
                otherwise.
            timeout_secs: the longest that one try may take.
            undo: called with the result when the run fails for good; see `docs/how-to/steps.md`.
            redact: paths in the result, such as `card.number`, that are shown to nobody.
            codec: seals the result, instead of the job's codec.
            **kwargs: its keyword arguments; one with a name of the above needs a `partial`.

        Raises:
            StepMismatch: it is on record for other arguments.
            StepFailed: it had raised `NonRetryable`, and that is on record.
            StepTimeout: its last try took over `timeout_secs`.
            StepValueTooLarge: its result is larger than a platform keeps.
            StepNotAwaited: the handler returned without having awaited it; the run fails.
        """
        options = StepOptions(retry, timeout_secs, undo, redact, codec)
        return self.carry_out(name, function, args, kwargs, options, place())

    def carry_out(
        self,
        name: str,
        function: Callable[..., Any],
        args: Sequence[object],
        kwargs: dict[str, object],
        options: StepOptions,
        at: str,
    ) -> Coroutine[Any, Any, Any]:
        """Return the work of a step, whose place among those of its name is taken now."""
        if (outer := running()) is not None:
            raise Checks("step").refuse(
                f"`{name}` is called inside of step `{outer.name}`; a step holds no other steps"
            )
        calls.check_function(name, function)
        function, options = unwrapped(function, options)
        ledger = self._session.recorded.ledger
        asked_at = ledger.journal.next_place(name, at)
        steps = course(ledger, asked_at, function, args, kwargs, options)
        call = partial(function, *args, **kwargs)
        is_async = inspect.iscoroutinefunction(function)
        work = partial(drive, steps, call, self._session.ask, is_async=is_async)
        return self.asked.for_step(asked_at, work)

    @overload
    def map(
        self,
        function: Callable[[I], Awaitable[T]],
        items: Iterable[I],
        *,
        key: Callable[[I], object] | None = ...,
        name: str = ...,
        concurrency: int = ...,
        retry: RetryOptions | None = ...,
        timeout_secs: float | None = ...,
        undo: Undo | None = ...,
        redact: Sequence[str] = ...,
        codec: Codec | None = ...,
    ) -> Coroutine[Any, Any, list[T]]: ...

    @overload
    def map(
        self,
        function: Callable[[I], T],
        items: Iterable[I],
        *,
        key: Callable[[I], object] | None = ...,
        name: str = ...,
        concurrency: int = ...,
        retry: RetryOptions | None = ...,
        timeout_secs: float | None = ...,
        undo: Undo | None = ...,
        redact: Sequence[str] = ...,
        codec: Codec | None = ...,
    ) -> Coroutine[Any, Any, list[T]]: ...

    def map(
        self,
        function: Callable[[I], Any],
        items: Iterable[I],
        *,
        key: Callable[[I], object] | None = None,
        name: str = "",
        concurrency: int = 8,
        retry: RetryOptions | None = None,
        timeout_secs: float | None = None,
        undo: Undo | None = None,
        redact: Sequence[str] = (),
        codec: Codec | None = None,
    ) -> Coroutine[Any, Any, list[Any]]:
        """Call a function for each item, each as a step of its own, and return all results.

        Args:
            function: gets an item.
            items: what to call it with.
            key: names the step of an item, as `name[key]`, so that items may come, go and change
                their order; by default the number of the item does, which bears none of that.
            name: the name; by default that of the function.
            concurrency: how many run at once.
            retry: see `step`, as for the others.
            timeout_secs: of one try of one item.
            undo: called with the result of each item.
            redact: paths in the result of each item.
            codec: seals each result.

        Returns:
            In the order of the items.
        """
        if concurrency < 1:
            raise Checks("map").refuse(f"`concurrency` must be at least 1, not {concurrency}")
        options = StepOptions(retry, timeout_secs, undo, redact, codec)
        at = place()
        free = asyncio.Semaphore(concurrency)

        async def one(step: str, item: I) -> Any:
            async with free:
                return await self.carry_out(step, function, (item,), {}, options, at)

        named = calls.keyed(items, key, calls.name_of(function, name))
        return self.gather(*(one(step, item) for step, item in named))

    async def gather(self, *branches: Awaitable[Any]) -> list[Any]:
        """Run branches together, and let the run wait once for all of them that wait.

        Unlike with `asyncio.gather`, a branch that sleeps or waits for an event or a child does
        not end the attempt while others still work.

        Raises:
            Exception: the first error of a branch, once all of them have ended or wait. Those that
                wait are cancelled, and the run does not wait.
        """
        return await waits.together(branches, self._session.recorded.suspend)

    async def sleep(self, span: float | timedelta, *, name: str = "sleep") -> None:
        """Sleep; the attempt ends, and the handler is called again when it is over.

        Args:
            span: seconds, or a `timedelta`.
            name: tells sleeps apart; the n-th sleep of a name is the same one in every attempt.

        Raises:
            UnsupportedByPlatform: it is not the embedded platform.
        """
        await self._session.recorded.sleep(span, name)

    async def sleep_until(self, instant: datetime, *, name: str = "sleep") -> None:
        """Sleep until an instant, which must have a time zone; see `sleep`."""
        await self._session.recorded.sleep(instant, name)

    async def version(self, change_id: str, *, latest: int = 1) -> int:
        """Return which version of a change this run follows: `latest`, or 0 if it is older.

        A run follows the old code if steps are on record that it has not come to yet when it asks
        for the first time; what it is told then it is told in every attempt.

            if await ctx.version("screen-payments"):
                await ctx.step("screen", screen, order)
        """
        return await self._session.recorded.version(change_id, latest)
