"""Letting a run wait: for a time, an event or a child, one of them or several at once.

A wait ends the attempt, and the handler is called again from its beginning when something has
come. Inside of `ctx.gather` a branch that waits is parked until the other branches have ended or
wait, too; then the run waits for all of it at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from strait.errors import Json

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Waits:
    """What a run waits for: the first of it ends the wait.

    Attributes:
        events: `event_key`, `occurrence`, and `timeout_secs` and `notify_url` where given.
        wake_at: a time, RFC 3339; empty for none.
        children: child runs.
    """

    events: tuple[dict[str, Json], ...] = ()
    wake_at: str = ""
    children: tuple[str, ...] = ()

    def __or__(self, other: Waits) -> Waits:
        """Return both together."""
        times = [at for at in (self.wake_at, other.wake_at) if at]
        return Waits(
            self.events + other.events, min(times, default=""), self.children + other.children
        )

    def __str__(self) -> str:
        events = [f"for event {wait['event_key']}" for wait in self.events]
        children = [f"for child run {child}" for child in self.children]
        return " and ".join([*events, *children, *([f"until {self.wake_at}"] * bool(self.wake_at))])

    def to_json(self) -> dict[str, Json]:
        """Return the body of `suspend_run`."""
        body: dict[str, Json] = {}
        if self.events:
            body["waits"] = list(self.events)
        if self.wake_at:
            body["wake_at"] = self.wake_at
        if self.children:
            body["children"] = list(self.children)
        return body


@dataclass(slots=True)
class Gathering:
    """Branches that run together, and those of them that wait.

    Attributes:
        suspend: lets the run wait; returns if something has come already.
        busy: how many branches neither ended nor wait.
        failed: whether one has raised an error, which is not to wait for what the others wait for.
    """

    suspend: Callable[[Waits], Awaitable[None]]
    busy: int
    failed: bool = False
    _parked: list[tuple[Waits, asyncio.Future[None]]] = field(default_factory=list)
    _asking: asyncio.Task[None] | None = None

    async def park(self, waits: Waits) -> None:
        """Wait with this branch; returns when it should look again whether its wait is over.

        Raises:
            AttemptSuspended: the whole run waits now.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        parked = (waits, future)
        self._parked.append(parked)
        self.leave()
        try:
            await future
        except asyncio.CancelledError:
            # It works again, if only to end. Where the run is being asked for already, it counts
            # as one that goes on.
            if parked in self._parked:
                self._parked.remove(parked)
                self.busy += 1
            raise

    def leave(self) -> None:
        """Note that a branch ended or waits; the last one lets the run wait."""
        self.busy -= 1
        if self.busy == 0 and self._parked:
            parked, self._parked = self._parked, []
            if self.failed:
                self.busy += len(parked)
                for _, future in parked:
                    future.cancel()
                return
            self._asking = asyncio.ensure_future(self._ask(parked))

    async def _ask(self, parked: list[tuple[Waits, asyncio.Future[None]]]) -> None:
        together = Waits()
        for waits, _ in parked:
            together |= waits
        failure: BaseException | None = None
        try:
            await self.suspend(together)
        except BaseException as error:  # noqa: BLE001 - it is handed to the branches
            failure = error
        # All of them go on, before the first one may wait again.
        self.busy += len(parked)
        for _, future in parked:
            if future.done():  # the branch was cancelled
                continue
            if failure is None:
                future.set_result(None)
            else:
                future.set_exception(failure)


gathering: ContextVar[Gathering | None] = ContextVar("strait_gathering", default=None)


async def together(
    branches: tuple[Awaitable[Any], ...], suspend: Callable[[Waits], Awaitable[None]]
) -> list[Any]:
    """Run branches together and return their results in their order.

    The first error of a branch, once all have ended or wait, is raised; those that wait are
    cancelled then.
    """
    outer = gathering.get()
    own = Gathering(outer.park if outer is not None else suspend, len(branches))
    if not branches:
        return []

    async def branch(work: Awaitable[T]) -> T:
        gathering.set(own)
        try:
            return await work
        except Exception:
            own.failed = True
            raise
        finally:
            own.leave()

    tasks = [asyncio.ensure_future(branch(work)) for work in branches]
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        raise
    return _results(tasks)


def _results(tasks: Sequence[asyncio.Future[Any]]) -> list[Any]:
    errors = [error for task in tasks if (error := _error(task)) is not None]
    # A branch that failed tells more than one that waits.
    for error in sorted(errors, key=lambda error: not isinstance(error, Exception)):
        raise error
    return [task.result() for task in tasks]


def _error(task: asyncio.Future[Any]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()
