"""What every service is: a thin face of the caller of its client."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strait.client.aio_calls import AsyncCaller
    from strait.client.sync_calls import SyncCaller


class SyncService:
    """The operations of one part of the API, for a `Client`."""

    __slots__ = ("_caller",)

    def __init__(self, caller: SyncCaller) -> None:
        self._caller = caller


class AsyncService:
    """The operations of one part of the API, for an `AsyncClient`."""

    __slots__ = ("_caller",)

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller
