"""uvicorn in the event loop of a program that does more than serve: it ends when it is told to.

By itself uvicorn takes the signals of its process, looks ten times a second whether it shall end,
and waits a tenth of a second for connections, also where there are none.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

import uvicorn

# How often the `Date` of answers is written anew; it has whole seconds.
_DATE_SECS = 1


class InLoopServer(uvicorn.Server):
    """A server that leaves signals to its program, and sleeps while nobody asks for anything."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ending = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    async def begin(self, listener: socket.socket) -> None:
        """Return when requests that come in at a bound socket are answered."""
        self._serving = asyncio.create_task(self.serve(sockets=[listener]))
        while not self.started and not self._serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0)

    async def end(self) -> None:
        """Answer no more, and return when all that was asked for is answered."""
        self.should_exit = True
        self._ending.set()
        if self._serving is not None:
            await asyncio.gather(self._serving, return_exceptions=True)

    async def main_loop(self) -> None:
        """Keep the date of answers true, until the end."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DATE_SECS):
                    await self._ending.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let connections end; without any, at once."""
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
            return
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        await self.lifespan.shutdown()

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]  # uvicorn's own is typed as a generator's
        """Capture none."""
        return contextlib.nullcontext()
