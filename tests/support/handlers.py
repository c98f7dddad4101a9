"""A loopback HTTP server whose answers a test scripts: the user's side of a dispatch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

PATIENCE_SECS = 30


@dataclass(frozen=True, slots=True)
class Received:
    """One dispatch as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def run_id(self) -> str:
        return self.headers["x-run-id"]

    @property
    def token(self) -> str:
        return self.headers["x-run-token"]

    @property
    def attempt(self) -> int:
        return int(self.headers["x-attempt"])


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer; `raw` is sent as it is, and None for a status hangs up."""

    status: int | None = 200
    body: bytes = b'{"ok":true}'
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    hang_up: bool = False

    def wire(self) -> bytes:
        if self.raw is not None:
            return self.raw
        lines = [f"HTTP/1.1 {self.status} Scripted", f"Content-Length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


Script = Callable[[Received], "Answer | Awaitable[Answer]"]


def ok(result: object = None) -> Answer:
    """A 200 with a JSON result."""
    return Answer(200, json.dumps(result).encode())


class Handlers:
    """The server. `script` answers every dispatch, unless `scripts` has one for its path."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.script: Script = lambda call: Answer()
        self.scripts: dict[str, Script] = {}
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=2**20)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.hang_up()
        await self._server.wait_closed()

    def hang_up(self) -> None:
        """Close all connections, as a server does that is restarted."""
        for writer in list(self._writers):
            writer.close()

    def of(self, run_id: str) -> list[Received]:
        """The dispatches of one run so far."""
        return [call for call in self.received if call.run_id == run_id]

    async def wait(self, count: int, run_id: str = "") -> list[Received]:
        """Return the dispatches (of one run) once there are that many."""

        def so_far() -> list[Received]:
            return self.of(run_id) if run_id else self.received

        async with asyncio.timeout(PATIENCE_SECS), self._changed:
            await self._changed.wait_for(lambda: len(so_far()) >= count)
        return list(so_far())

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        number = self._connections
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._serve_one(reader, writer, number):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _serve_one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        call = Received(head[0].split(" ")[1], headers, body, number)
        self.received.append(call)
        async with self._changed:
            self._changed.notify_all()
        answer = self.scripts.get(call.path, self.script)(call)
        if not isinstance(answer, Answer):
            answer = await answer
        if answer.status is None:
            return False
        writer.write(answer.wire())
        await writer.drain()
        return not answer.hang_up


class Gate:
    """Holds handlers back until the test lets them go."""

    def __init__(self, answer: Answer | None = None) -> None:
        self._open = asyncio.Event()
        self._answer = answer or Answer()

    async def __call__(self, call: Received) -> Answer:
        await self._open.wait()
        return self._answer

    def open(self) -> None:
        """Let all of them answer."""
        self._open.set()
