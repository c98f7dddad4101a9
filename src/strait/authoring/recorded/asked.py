"""The steps that a handler asked for: which of them nobody awaits, and which are under way."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from strait.errors import NonRetryable

if TYPE_CHECKING:
    from types import TracebackType

    from strait.authoring.recorded.journal import Place

T = TypeVar("T")


class StepNotAwaited(NonRetryable):
    """A handler returned, and had called a step without `await`: the step was not done.

    Attributes:
        step: the name of the step.
        at: the file and line that asked for it.
    """

    def __init__(self, step: str, at: str) -> None:
        self.step = step
        self.at = at
        super().__init__(f"{_not_awaited(step, at)}; an `async def` handler awaits its steps")


class Asked:
    """The steps of one handler in one attempt."""

    def __init__(self) -> None:
        self._not_awaited: dict[Place, None] = {}
        self._under_way = 0
        self._idle: asyncio.Future[None] | None = None
        self._over = False

    def for_step(
        self, place: Place, carry: Callable[[], Coroutine[Any, Any, T]]
    ) -> Coroutine[Any, Any, T]:
        """Return the work of a step, which `carry` begins."""
        self._not_awaited[place] = None
        return Step(self, place, carry)

    def note_begun(self, place: Place) -> None:
        """Note that somebody awaits a step, or has given it up."""
        self._not_awaited.pop(place, None)

    async def carry_out(self, carry: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do a step, unless the handler has ended meanwhile."""
        if self._over:
            raise asyncio.CancelledError
        self._under_way += 1
        try:
            return await carry()
        finally:
            self._under_way -= 1
            if self._idle is not None and not self._under_way and not self._idle.done():
                self._idle.set_result(None)

    def check(self) -> None:
        """Check that each step was awaited, now that the handler has returned.

        Raises:
            StepNotAwaited: one was not.
        """
        for place in self._not_awaited:
            raise StepNotAwaited(place.name, place.at)

    async def end(self) -> None:
        """Begin no more steps, and wait for those that are under way.

        `asyncio.gather` raises the first error and leaves the other branches at work. What they do
        belongs to this attempt: it has to be on record before the next one, or an undo, begins.
        """
        self._over = True
        if self._under_way:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle


class Step(Coroutine[Any, Any, T]):
    """The work of a step; unlike the coroutine of a function it says when somebody awaits it."""

    def __init__(
        self, asked: Asked, place: Place, carry: Callable[[], Coroutine[Any, Any, T]]
    ) -> None:
        self._asked = asked
        self._place = place
        self._carry = carry
        self._work: Coroutine[Any, Any, T] | None = None
        self._given_up = False

    def __repr__(self) -> str:
        return f"<step `{self._place.name}` at {self._place.at}>"

    def __await__(self) -> Generator[Any, Any, T]:
        """Do the step."""
        return self._begun().__await__()

    def send(self, value: Any, /) -> Any:
        """Go on."""
        return self._begun().send(value)

    def throw(
        self,
        kind: Any,
        value: BaseException | object = None,
        trace: TracebackType | None = None,
        /,
    ) -> Any:
        """Go on with an error, such as that of a task that is cancelled."""
        work = self._begun()
        return work.throw(kind) if value is None else work.throw(kind, value, trace)

    def close(self) -> None:
        """Give the step up."""
        self._given_up = True
        self._asked.note_begun(self._place)
        if self._work is not None:
            self._work.close()

    def __del__(self) -> None:
        if self._work is None and not self._given_up:
            warnings.warn(
                _not_awaited(self._place.name, self._place.at), RuntimeWarning, stacklevel=1
            )

    def _begun(self) -> Coroutine[Any, Any, T]:
        if self._work is None:
            self._asked.note_begun(self._place)
            self._work = self._asked.carry_out(self._carry)
        return self._work


def _not_awaited(step: str, at: str) -> str:
    return f"step `{step}` at {at} was called without `await`, so that it was not done"
