"""The durable methods of `SyncRunContext`, which return when they are done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from strait.authoring.recorded import calls
from strait.authoring.recorded.arguments import place
from strait.authoring.recorded.carrying import drive_in_thread
from strait.authoring.recorded.decorator import unwrapped
from strait.authoring.recorded.face import Undo
from strait.authoring.recorded.step import StepOptions, course, running
from strait.authoring.validation import Checks

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from strait.authoring.flow import Call
    from strait.authoring.recorded.values import Codec
    from strait.authoring.session import RunSession
    from strait.retry import RetryOptions

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - an item


class SyncDurableMethods:
    """What `SyncRunContext` can do that outlives an attempt; see `DurableMethods`."""

    _session: RunSession
    _portal: Callable[[Coroutine[Any, Any, Any]], Any]

    def step(
        self,
        name: str,
        function: Callable[..., T],
        /,
        *args: object,
        retry: RetryOptions | None = None,
        timeout_secs: float | None = None,
        undo: Undo | None = None,
        redact: Sequence[str] = (),
        codec: Codec | None = None,
        **kwargs: object,
    ) -> T:
        """See `RunContext.step`; the function is called in the handler's own thread.

        It cannot be stopped there: one that takes over `timeout_secs` has failed once it returns.
        """
        options = StepOptions(retry, timeout_secs, undo, redact, codec)
        result: T = self.carry_out(name, function, args, kwargs, options, place())
        return result

    def carry_out(
        self,
        name: str,
        function: Callable[..., Any],
        args: Sequence[object],
        kwargs: dict[str, object],
        options: StepOptions,
        at: str,
    ) -> Any:
        """Call a function as a step."""
        if (outer := running()) is not None:
            raise Checks("step").refuse(
                f"`{name}` is called inside of step `{outer.name}`; a step holds no other steps"
            )
        calls.check_function(name, function)
        function, options = unwrapped(function, options)
        ledger = self._session.recorded.ledger
        steps = course(ledger, ledger.journal.next_place(name, at), function, args, kwargs, options)
        return drive_in_thread(steps, partial(function, *args, **kwargs), self._ask)

    def _ask(self, call: Call) -> object:
        answer: object = self._portal(self._session.ask(call))
        return answer

    def map(
        self,
        function: Callable[[I], T],
        items: Iterable[I],
        *,
        key: Callable[[I], object] | None = None,
        name: str = "",
        retry: RetryOptions | None = None,
        timeout_secs: float | None = None,
        undo: Undo | None = None,
        redact: Sequence[str] = (),
        codec: Codec | None = None,
    ) -> list[T]:
        """See `RunContext.map`; a plain handler takes one item after the other."""
        options = StepOptions(retry, timeout_secs, undo, redact, codec)
        at = place()
        named = calls.keyed(items, key, calls.name_of(function, name))
        return [self.carry_out(step, function, (item,), {}, options, at) for step, item in named]

    def sleep(self, span: float | timedelta, *, name: str = "sleep") -> None:
        """See `RunContext.sleep`."""
        self._portal(self._session.recorded.sleep(span, name))

    def sleep_until(self, instant: datetime, *, name: str = "sleep") -> None:
        """See `RunContext.sleep_until`."""
        self._portal(self._session.recorded.sleep(instant, name))

    def version(self, change_id: str, *, latest: int = 1) -> int:
        """See `RunContext.version`."""
        version: int = self._portal(self._session.recorded.version(change_id, latest))
        return version
