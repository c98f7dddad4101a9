"""What every service is: a thin face of the caller of its client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strait.client.aio_calls import AsyncRawCaller, AsyncStreamedCaller, AsyncStreamedMethods
from strait.client.sync_calls import SyncRawCaller, SyncStreamedCaller

if TYPE_CHECKING:
    from strait.client.aio_calls import AsyncCaller
    from strait.client.sync_calls import SyncCaller


class SyncService:
    """The operations of one part of the API, for a `Client`."""

    __slots__ = ("_caller",)

    def __init__(self, caller: SyncCaller) -> None:
        self._caller = caller

    @property
    def with_raw_response(self) -> object:
        """The same methods, whose results are whole answers: `APIResponse`."""
        return type(self)(SyncRawCaller(self._caller.settings, self._caller.exchange))

    @property
    def with_streaming_response(self) -> object:
        """The same methods, whose answers are read in a `with` block: `StreamedResponse`."""
        return type(self)(SyncStreamedCaller(self._caller.settings, self._caller.exchange))


class AsyncService:
    """The operations of one part of the API, for an `AsyncClient`."""

    __slots__ = ("_caller",)

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller

    @property
    def with_raw_response(self) -> object:
        """The same methods, whose results are whole answers: `APIResponse`."""
        return type(self)(AsyncRawCaller(self._caller.settings, self._caller.exchange))

    @property
    def with_streaming_response(self) -> object:
        """The same methods, whose answers are read in an `async with` block."""
        caller = AsyncStreamedCaller(self._caller.settings, self._caller.exchange)
        return AsyncStreamedMethods(type(self)(caller))
