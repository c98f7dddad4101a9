"""Simulated streams between workers and the platform, as `grpc.aio` shows them to both sides.

Messages keep their order and take their time. A stream may break, and either side may learn of it
long after the other; until then what it says goes nowhere.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar

import grpc
from grpc import aio

from strait.worker_protocol import worker_pb2 as pb

T = TypeVar("T")

_DELAYS = (0.0, 0.0, 0.001, 0.3)
# Until a ping without an answer has shown that a peer is gone.
_NOTICED = (0.0, 0.0, 1.0, 30.0)
_NO_METADATA = aio.Metadata()
_LOST = (grpc.StatusCode.UNAVAILABLE, "the connection was lost")


def _nothing() -> None:
    """Do nothing."""


class _Pipe(Generic[T]):
    """One direction of a stream."""

    def __init__(self, chance: random.Random, on_end: Callable[[], None] = _nothing) -> None:
        self._delay = chance.choice(_DELAYS)
        self._on_end = on_end
        self._underway: deque[T | None] = deque()
        self._here: deque[T] = deque()
        self._news = asyncio.Event()
        self._is_over = False
        self._held_until = 0.0
        self.broken = False

    def send(self, message: T | None) -> None:
        """Send a message, or with None that none follows."""
        if not self.broken:
            self._underway.append(message)
            asyncio.get_running_loop().call_later(self._delay, self._arrive)

    def hold(self, seconds: float) -> None:
        """Let nothing arrive for a while; it all does afterwards."""
        self._held_until = asyncio.get_running_loop().time() + seconds

    def heal(self) -> None:
        """Let everything arrive that was held."""
        self._held_until = 0.0
        while self._underway and not self.broken:
            self._arrive()

    def _arrive(self) -> None:
        if self.broken or not self._underway:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._held_until:
            loop.call_at(self._held_until, self._arrive)
            return
        message = self._underway.popleft()
        if message is None:
            self.end()
        else:
            self._here.append(message)
            self._news.set()

    def end(self) -> None:
        """Let the reader know that nothing more comes."""
        self._is_over = True
        self._news.set()
        self._on_end()

    async def read(self) -> T | None:
        """Return the next message, or None once there are no more."""
        while not self._here and not self._is_over:
            self._news.clear()
            await self._news.wait()
        return self._here.popleft() if self._here else None


class Wire:
    """One call of `StreamTasks`: what a worker holds of it, and through `context` the platform.

    Args:
        chance: decides how fast it is.
        api_key: what it was opened with.
        heard: told the id of all that the platform says to have, when the worker hears it.
    """

    def __init__(self, chance: random.Random, api_key: str, heard: Callable[[str], None]) -> None:
        self._chance = chance
        self._heard = heard
        self._up: _Pipe[pb.WorkerMessage] = _Pipe(chance)
        self._down: _Pipe[pb.ServerMessage] = _Pipe(chance, self._end)
        self._final = _LOST
        self._status: tuple[grpc.StatusCode, str] | None = None
        self._ended = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self.context = _Context(self._up, self._down, api_key)

    def serve(self, serving: asyncio.Task[None]) -> None:
        """Connect it with what serves it."""
        self._serving = serving
        serving.add_done_callback(self._served)

    def _served(self, serving: asyncio.Task[None]) -> None:
        if serving.cancelled():
            self._end_soon(grpc.StatusCode.UNAVAILABLE, "the platform is gone")
        elif isinstance(error := serving.exception(), aio.AbortError):
            self._end_soon(*self.context.aborted)
        elif error is not None:
            self._end_soon(grpc.StatusCode.UNKNOWN, repr(error))
        else:
            self._end_soon(grpc.StatusCode.OK, "")

    def _end_soon(self, code: grpc.StatusCode, text: str) -> None:
        if not self._down.broken:
            self._final = (code, text)
            self._down.send(None)

    def _end(self) -> None:
        if self._status is None:
            self._status = self._final
            self._ended.set()

    # ------------------------------------------------------------------------------------ accidents

    def cut(self) -> None:
        """Break it; each side learns of it when it does."""
        if self.done():
            return
        self._up.broken = self._down.broken = True
        loop = asyncio.get_running_loop()
        loop.call_later(self._chance.choice(_NOTICED), self._down.end)
        loop.call_later(self._chance.choice(_NOTICED), self._hang_up)

    def hold(self, seconds: float) -> None:
        """Let nothing through for a while, in one direction or in both."""
        for pipe in self._chance.choice(((self._up,), (self._down,), (self._up, self._down))):
            pipe.hold(seconds)

    def heal(self) -> None:
        """Let through what was held, and both sides know if it is broken."""
        self._up.heal()
        self._down.heal()
        if self._up.broken:
            self._down.end()
            self._hang_up()

    def _hang_up(self) -> None:
        """Let the platform know that the worker is gone."""
        # It looks like an end in order at first, and then the call is canceled.
        self._up.end()
        if self._serving is not None and not self._serving.done():
            asyncio.get_running_loop().call_later(0.001, self._serving.cancel)

    # ----------------------------------------------------------------------- as the worker has it

    def done(self) -> bool:
        """Return whether the worker knows that it is over."""
        return self._status is not None

    def cancel(self) -> bool:
        """End it from the worker's side."""
        if self.done():
            return False
        if not self._up.broken:
            self._up.broken = self._down.broken = True
            loop = asyncio.get_running_loop()
            loop.call_later(self._chance.choice(_DELAYS), self._hang_up)
        self._final = (grpc.StatusCode.CANCELLED, "canceled by its worker")
        self._down.end()
        return True

    async def write(self, message: pb.WorkerMessage) -> None:
        """Send a message."""
        if self.done():
            raise asyncio.InvalidStateError("the call is over")
        self._up.send(message)
        await asyncio.sleep(0)

    async def read(self) -> Any:
        """Return the next message, or `aio.EOF` where the call ended well.

        Raises:
            AioRpcError: it did not.
        """
        try:
            message = None if self.done() else await self._down.read()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if message is not None:
            if message.HasField("ack"):
                self._heard(message.ack.id)
            return message
        if await self.code() is not grpc.StatusCode.OK:
            raise aio.AioRpcError(
                await self.code(), _NO_METADATA, _NO_METADATA, details=await self.details()
            )
        return aio.EOF

    async def done_writing(self) -> None:
        """Say that nothing more is sent."""
        if not self.done():
            self._up.send(None)

    async def code(self) -> grpc.StatusCode:
        """Return how it has ended."""
        await self._ended.wait()
        assert self._status is not None
        return self._status[0]

    async def details(self) -> str:
        """Return why it has ended."""
        await self._ended.wait()
        assert self._status is not None
        return self._status[1]


class _Context:
    """A stream as its server has it."""

    def __init__(
        self, up: _Pipe[pb.WorkerMessage], down: _Pipe[pb.ServerMessage], api_key: str
    ) -> None:
        self._up = up
        self._down = down
        self._api_key = api_key
        self.aborted = (grpc.StatusCode.UNKNOWN, "")

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """Return what the call came with."""
        return (("authorization", f"Bearer {self._api_key}"),)

    async def read(self) -> Any:
        """Return the next message, or `aio.EOF`."""
        message = await self._up.read()
        return aio.EOF if message is None else message

    async def write(self, message: pb.ServerMessage) -> None:
        """Send a message."""
        self._down.send(message)
        await asyncio.sleep(0)

    async def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """End the call with a status."""
        self.aborted = (code, details)
        raise aio.AbortError
