"""`grpc.health.v1.Health`, which load balancers and orchestrators ask.

Its two messages have one field each: a text in the request, a number in the answer. The well-known
wrappers of protobuf have the same bytes, so that no further package is needed for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import StringValue, UInt32Value

# `HealthCheckResponse.ServingStatus`.
_SERVING = 1
_NOT_SERVING = 2
_SERVICE_UNKNOWN = 3
_NAME = "grpc.health.v1.Health"
_SERVICES = frozenset({"", "strait.worker.v1.WorkerService"})


class Health:
    """Whether the server takes workers."""

    def __init__(self) -> None:
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Say from now on that it takes none."""
        self._stopped.set()

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what serves the methods."""
        return grpc.method_handlers_generic_handler(
            _NAME,
            {
                "Check": grpc.unary_unary_rpc_method_handler(
                    self._check, StringValue.FromString, UInt32Value.SerializeToString
                ),
                "Watch": grpc.unary_stream_rpc_method_handler(
                    self._watch, StringValue.FromString, UInt32Value.SerializeToString
                ),
            },
        )

    async def _check(self, request: StringValue, context: Any) -> UInt32Value:
        if request.value not in _SERVICES:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"unknown service {request.value!r}")
        return self._now()

    async def _watch(self, request: StringValue, _: Any) -> AsyncIterator[UInt32Value]:
        if request.value not in _SERVICES:
            yield UInt32Value(value=_SERVICE_UNKNOWN)
        else:
            yield self._now()
        if not self._stopped.is_set():
            await self._stopped.wait()
            yield UInt32Value(value=_NOT_SERVING)

    def _now(self) -> UInt32Value:
        return UInt32Value(value=_NOT_SERVING if self._stopped.is_set() else _SERVING)
