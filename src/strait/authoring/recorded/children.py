"""What `ctx.spawn(…)` returns: a child run, and how to wait for its result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strait.errors import Json


class Spawn(Awaitable["Json"]):
    """A child run that is not started yet.

    `await` starts it and returns it as the platform answers; `await spawn.result()` starts it,
    waits until it has ended, and returns its result.
    """

    __slots__ = ("_result", "_start")

    def __init__(
        self,
        start: Callable[[], Awaitable[Json]],
        result: Callable[[int | None], Awaitable[Json]],
    ) -> None:
        self._start = start
        self._result = result

    def __await__(self) -> Generator[Any, Any, Json]:
        """Start the child, and return it."""
        return self._start().__await__()

    async def result(self, *, timeout_secs: int | None = None) -> Json:
        """Start the child if it is not there, wait for its end, and return its result.

        Args:
            timeout_secs: how long the run waits for it; an hour by default.

        Raises:
            ChildFailed: it did not complete.
        """
        return await self._result(timeout_secs)


class SpawnedRun(dict[str, "Json"]):
    """A child run that was started, as the platform answered.

    Args:
        child: the answer.
        wait: waits for its end and returns its result.
    """

    def __init__(self, child: Mapping[str, Json], wait: Callable[[], Json]) -> None:
        super().__init__(child)
        self._wait = wait

    def result(self) -> Json:
        """Wait until the child has ended, and return its result.

        Raises:
            ChildFailed: it did not complete.
            UnsupportedByPlatform: it is not the embedded platform; give `await_completion` there.
        """
        return self._wait()
