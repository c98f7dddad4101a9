"""Handles: a run that was started, to be waited for, looked at, followed and canceled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack

from strait.client.operation import (
    RequestOptions,
    StreamOptions,
    Tracked,
    WaitOptions,
    of_each_request,
)
from strait.client.waiting import status_of
from strait.errors import Json, RunFailedError, RunNotStartedError, UnsupportedByPlatform

if TYPE_CHECKING:
    from strait.client.aio_calls import AsyncCaller, AsyncEventStream
    from strait.client.sync_calls import EventStream, SyncCaller

T = TypeVar("T")
_GOOD = "completed"


def new_run_id(triggered: object) -> str:
    """Return the id of the run that a trigger started.

    Raises:
        RunNotStartedError: it started none.
    """
    dump = getattr(triggered, "to_dict", None)
    fields = dump() if dump is not None else triggered
    answer: Mapping[str, Any] = fields if isinstance(fields, Mapping) else {}
    run_id = answer.get("id")
    if isinstance(run_id, str) and run_id:
        return run_id
    if answer.get("debounced"):
        why = f"it was debounced until {answer.get('fire_at')}"
    elif answer.get("buffered") or answer.get("batch"):
        why = "it was buffered for a batch"
    elif "job" in answer:
        why = "it was a dry run"
    else:
        why = f"it answered {triggered!r}, which has no id"
    raise RunNotStartedError(f"the trigger started no run to wait for: {why}", answer)


def result_of(kind: Tracked[T], run: Json) -> Json:
    """Return what a run left.

    Raises:
        RunFailedError: it did not end well.
    """
    status = status_of(run)
    if status == _GOOD:
        return run.get(kind.result) if kind.result else run
    reason = run.get("error")
    text = f"{kind.name} `{run['id']}` ended as `{status}`" + (f": {reason}" if reason else "")
    raise RunFailedError(text, run, run["id"], status)


class _Handle(Generic[T]):
    """What the handles of both clients have.

    Attributes:
        id: the id of the run.
    """

    __slots__ = ("_kind", "id")

    def __init__(self, kind: Tracked[T], run_id: str) -> None:
        self._kind = kind
        self.id = run_id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._kind.name} {self.id!r})"

    def _no_stream(self) -> UnsupportedByPlatform:
        return UnsupportedByPlatform(f"stream of a {self._kind.name}", "use `wait()` or `get()`")


class RunHandle(_Handle[T]):
    """A run that was started: `client.jobs.start(...)`, `client.runs.handle(run_id)`.

    It holds the id alone, so that it can be made anew at any time; each method asks the platform.
    """

    __slots__ = ("_caller",)

    def __init__(self, caller: SyncCaller, kind: Tracked[T], run_id: str) -> None:
        super().__init__(kind, run_id)
        self._caller = caller

    def get(self, **options: Unpack[RequestOptions]) -> T:
        """Return the run as it stands."""
        return self._caller.call(self._kind.get, options, (self.id,))

    def status(self, **options: Unpack[RequestOptions]) -> str:
        """Return the status of the run as it stands."""
        return status_of(self.get(**options))

    def wait(self, *, timeout: float | None = None, **options: Unpack[WaitOptions]) -> T:
        """Wait until the run has ended, well or not, and return it.

        Args:
            timeout: seconds to wait; None for as long as it takes.
            **options: options of every request, see `WaitOptions`.

        Raises:
            StraitTimeoutError: it has not ended in time. It goes on, and can be waited for again.
        """
        return self._caller.wait(self._kind, self.id, of_each_request(options), timeout)

    def result(self, *, timeout: float | None = None, **options: Unpack[WaitOptions]) -> Json:
        """Wait until the run has ended, and return what it left.

        Raises:
            RunFailedError: it did not end well; the error has the run.
            StraitTimeoutError: it has not ended in time.
        """
        return result_of(self._kind, self.wait(timeout=timeout, **options))

    def cancel(self, **options: Unpack[RequestOptions]) -> T:
        """Cancel the run and return it.

        Raises:
            ConflictError: it has ended already.
        """
        return self._caller.call(self._kind.cancel, options, (self.id,))

    def stream(self, **options: Unpack[StreamOptions]) -> EventStream[Any]:
        """Follow the run until it ends; use the stream in a `with` block.

        Raises:
            UnsupportedByPlatform: there is no stream of this kind of run.
        """
        if self._kind.stream is None:
            raise self._no_stream()
        return self._caller.stream(self._kind.stream, options, (self.id,))


class AsyncRunHandle(_Handle[T]):
    """A run that was started: `await client.jobs.start(...)`, `client.runs.handle(run_id)`.

    It holds the id alone, so that it can be made anew at any time; each method asks the platform.
    """

    __slots__ = ("_caller",)

    def __init__(self, caller: AsyncCaller, kind: Tracked[T], run_id: str) -> None:
        super().__init__(kind, run_id)
        self._caller = caller

    async def get(self, **options: Unpack[RequestOptions]) -> T:
        """Return the run as it stands."""
        return await self._caller.call(self._kind.get, options, (self.id,))

    async def status(self, **options: Unpack[RequestOptions]) -> str:
        """Return the status of the run as it stands."""
        return status_of(await self.get(**options))

    async def wait(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it is named like its sync twin
        **options: Unpack[WaitOptions],
    ) -> T:
        """Wait until the run has ended, well or not, and return it.

        Args:
            timeout: seconds to wait; None for as long as it takes.
            **options: options of every request, see `WaitOptions`.

        Raises:
            StraitTimeoutError: it has not ended in time. It goes on, and can be waited for again.
        """
        return await self._caller.wait(self._kind, self.id, of_each_request(options), timeout)

    async def result(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it is named like its sync twin
        **options: Unpack[WaitOptions],
    ) -> Json:
        """Wait until the run has ended, and return what it left.

        Raises:
            RunFailedError: it did not end well; the error has the run.
            StraitTimeoutError: it has not ended in time.
        """
        return result_of(self._kind, await self.wait(timeout=timeout, **options))

    async def cancel(self, **options: Unpack[RequestOptions]) -> T:
        """Cancel the run and return it.

        Raises:
            ConflictError: it has ended already.
        """
        return await self._caller.call(self._kind.cancel, options, (self.id,))

    def stream(self, **options: Unpack[StreamOptions]) -> AsyncEventStream[Any]:
        """Follow the run until it ends; use the stream in an `async with` block.

        Raises:
            UnsupportedByPlatform: there is no stream of this kind of run.
        """
        if self._kind.stream is None:
            raise self._no_stream()
        return self._caller.stream(self._kind.stream, options, (self.id,))
