"""The simulated machine: a disk, a platform on it, and a switch that cuts the power.

The platform is the real one, from its API down to SQLite; only sockets, the wait for the disk,
chance and time are simulated.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from simulation.time import SimulatedClock
from simulation.wires import Wire
from strait.clock import SECOND
from strait.server.app import App
from strait.server.outbound import Answer, Header, Outbound
from strait.server.outside import Outside
from strait.server.platform import Platform
from strait.server.settings import Settings
from strait.server.workers.service import WorkerService
from support.disks import Disk

T = TypeVar("T")

# How long a commit takes in seconds; a disk that is full takes its time to say so.
_QUICK, _SLOW = (0.0, 0.0, 0.0002, 0.002, 0.02), (0.0, 0.02, 0.5)
# How long a handler may go on when the platform stops in order, and a request when it has.
_DRAINS, _GRACE_SECS, _HANG_UP_SECS = (0.0, 1.0, 30.0), 1.0, 0.5
# A request that was refused because the disk was full may be answered so much later.
_LATE_US = 1_000_000
# No instant is so late.
_FAR = 2**62

Post = Callable[[str, dict[str, str], bytes], Awaitable[Answer]]
# Which start of the platform a task belongs to; 0 is the world around it.
_start: ContextVar[int] = ContextVar("start", default=0)


class LostError(Exception):
    """No answer came: the platform died, or the network lost it."""


@dataclass(frozen=True)
class Said:
    """An answer of the API."""

    status: int
    body: Any


class _Wire(Outbound):
    """Endpoints, as the platform sees them."""

    def __init__(self, post: Post) -> None:
        super().__init__(max_body_bytes=2**20)
        self._post = post

    async def post(self, url: str, headers: Any, body: bytes) -> Answer:
        named: dict[str, str] = {
            name.decode().lower(): value.decode() for name, value in _pairs(headers)
        }
        return await self._post(url, named, body)


def _pairs(headers: Any) -> list[Header]:
    return list(headers)


class _Disk(Executor):
    """Commits take their time, and none is made once the power is off."""

    def __init__(self, machine: Machine, start: int) -> None:
        self._machine = machine
        self._start = start

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        delay = self._machine.chance.choice(_SLOW if self._machine.is_full else _QUICK)
        loop = asyncio.get_running_loop()
        loop.call_later(delay, self._commit, fn, args, done)
        return done

    def _commit(self, fn: Callable[..., T], args: tuple[Any, ...], done: Future[T]) -> None:
        if self._start == self._machine.starts and self._machine.platform is not None:
            done.set_result(fn(*args))


class _Pace:
    """The loop waits for some commits itself: none, about half of them, or all."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._share = chance.choice((0.0, 0.5, 1.0))

    def is_quick(self, operations: int) -> bool:
        return self._chance.random() < self._share

    def took(self, seconds: float, operations: int) -> None:
        """Learn nothing: seconds of a simulation are not those of a disk."""


class _AtOnce(Executor):
    """Long reads take no time, so that no thread has a say in what comes first."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            done.set_exception(error)
        return done


class Machine:
    """One computer with one database.

    Args:
        seed: everything that is left to chance follows from it.
        directory: where its disk lies.

    Attributes:
        settings: what the platform is set to beside what every story needs.
        calm: from when to when it was up, and nobody set its clock or filled its disk.
    """

    def __init__(self, seed: int, directory: Path) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.clock = SimulatedClock()
        self.database = directory / "strait.db"
        self.platform: Platform | None = None
        self.starts = 0
        self.post: Post = _nobody
        self.faults: list[str] = []
        self.settings: dict[str, Any] = {}
        self.calm: list[tuple[int, int]] = []
        self._calm_since = _FAR
        self._disk = Disk(self._refuses, lambda: self.chance.random() < 0.5)
        self._full_until = -_LATE_US
        self._refusing = (0.0, 0.0)
        self._app: App | None = None
        self._died = asyncio.Event()
        self._answers = asyncio.Event()
        self._calls: set[asyncio.Task[None]] = set()
        self._tasks: list[tuple[int, asyncio.Task[Any]]] = []
        self._asked: set[asyncio.Future[Said]] = set()
        self._trace = sha256()
        self.lines: list[str] = []

    # ---------------------------------------------------------------------------------- switches

    async def boot(self) -> None:
        """Start the platform on what the disk has."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(self._made)
        loop.set_exception_handler(self._unhandled)
        self.starts += 1
        self.free_disk()
        outside = Outside(
            outbound=lambda *, max_body_bytes, reach: _Wire(self._posted),
            executor=_Disk(self, self.starts),
            pace=_Pace(self.chance),
            analysts=_AtOnce(),
            connect=self._disk.connect,
            chance=self.chance.random,
        )
        settings = Settings(
            database=self.database,
            internal_secret="s" * 16,
            encryption_key="k" * 32,
            drain_secs=self.chance.choice(_DRAINS),
            **self.settings,
        )
        platform = Platform(settings, clock=self.clock, outside=outside)
        self.platform = platform
        self._died = asyncio.Event()
        await self._inside(platform.start())
        self._app = App(platform)
        self._answers.set()
        self._tasks = [(start, task) for start, task in self._tasks if not task.done()]
        self.note("boot", self.starts)
        self.calm_down()

    async def cut_power(self) -> None:
        """Kill the platform where it stands: what was not committed is gone."""
        platform = self._running()
        self.upset()
        self.platform = self._app = None
        self._answers.clear()
        self.note("power is cut")
        self._died.set()
        platform.writer.connection.close()
        platform.reader.close()
        platform.owner.release()
        # What dies may start something that dies with it.
        while dead := [task for start, task in self._tasks if start and not task.done()]:
            for task in dead:
                task.cancel()
            await asyncio.gather(*dead, return_exceptions=True)
        self._tasks = [(start, task) for start, task in self._tasks if not task.done()]
        await platform.analyst.close()

    def fill_disk(self, seconds: float, commits: float, statements: float) -> None:
        """Have commits, or statements in the midst of operations, fail for a while, by chance."""
        self.note("the disk is full for", seconds)
        self.upset()
        self._full_until = self.clock.elapsed + round(seconds * SECOND)
        self._refusing = (commits, statements)

    def free_disk(self) -> None:
        """Let there be room on the disk."""
        self._full_until = min(self._full_until, self.clock.elapsed)

    def upset(self) -> None:
        """Take note that from now on instants may pass unseen: no power, a full disk, no clock."""
        self.look_back()
        self._calm_since = _FAR

    def look_back(self) -> None:
        """Take note of how long it has been calm until now."""
        if self._calm_since < (now := self.clock.now()):
            self.calm.append((self._calm_since, now))

    def calm_down(self) -> None:
        """Take note that what comes due from now on is seen in its time."""
        self._calm_since = self.stamp()

    def stamp(self) -> int:
        """Return the instant that a record gets which is made now; not before any other."""
        return max(self.clock.now(), self._running()._last_tick)

    @property
    def is_full(self) -> bool:
        """Whether the disk is full."""
        return self.clock.elapsed < self._full_until

    @property
    def was_full(self) -> bool:
        """Whether something may be refused because the disk is full, or was just now."""
        return self.clock.elapsed < self._full_until + _LATE_US

    def _refuses(self, sql: str) -> bool:
        if not self.is_full:
            return False
        commits, statements = self._refusing
        refused = self.chance.random() < (commits if sql == "COMMIT" else statements)
        if refused:
            self.note("the disk is full for", sql.partition(" (")[0])
        return refused

    async def settle(self) -> None:
        """Wait until the platform has written all that it means to, and has done what follows."""
        await self._inside(self._running().writer.drain())

    async def shut_down(self) -> None:
        """Stop the platform in order, as its server does: it answers until handlers are done."""
        platform = self._running()
        self.note("shuts down")
        self.upset()
        await self._inside(platform.drain())
        self._app = None
        self._answers.clear()
        await self._hang_up()
        if self._asked:
            await asyncio.wait(self._asked, timeout=_GRACE_SECS)
        late = list(self._asked)
        for asked in late:
            asked.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await self._inside(platform.close())
        self.platform = None
        self._died.set()
        left = [task for start, task in self._tasks if start and not task.done()]
        self.faults += [f"the platform is closed, and goes on with {task}" for task in left]
        self.note("is shut down")

    async def _hang_up(self) -> None:
        """End the streams that have not ended by themselves."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=_HANG_UP_SECS)
        late = list(self._calls)
        for call in late:
            call.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    # ------------------------------------------------------------------------------------ requests

    async def answer_call(self, wire: Wire) -> None:
        """Serve a stream of a worker, once there is a platform."""
        await self._answers.wait()
        service = WorkerService(self._running())
        token = _start.set(self.starts)
        try:
            serving = asyncio.ensure_future(service.StreamTasks(_nothing(), wire.context))
        finally:
            _start.reset(token)
        self._calls.add(serving)
        serving.add_done_callback(self._calls.discard)
        wire.serve(serving)

    async def ask(
        self, method: str, path: str, body: object = None, *, token: str, key: str = ""
    ) -> Said:
        """Send one request to the API.

        Raises:
            LostError: the platform died before it answered, or the answer was lost.
        """
        if self._app is None or self.platform is None:
            raise LostError
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        if key:
            headers["idempotency-key"] = key
        died = asyncio.ensure_future(self._died.wait())
        asked = asyncio.ensure_future(
            self._inside(_request(self._app, method, path, body, headers))
        )
        self._asked.add(asked)
        asked.add_done_callback(self._asked.discard)
        await asyncio.wait({died, asked}, return_when=asyncio.FIRST_COMPLETED)
        died.cancel()
        if not asked.done() or asked.cancelled() or self.platform is None:
            raise LostError
        said = asked.result()
        self.note(method, path, said.status)
        if said.status >= 500 and not (said.status == 503 and self.was_full):
            self.faults.append(f"{method} {path} answered {said.status}: {said.body}")
        return said

    # ----------------------------------------------------------------------------------- the trace

    def note(self, *what: object) -> None:
        """Add a line to the trace; two runs of one seed write the same."""
        line = f"{self.clock.elapsed} {' '.join(map(str, what))}"
        self._trace.update(line.encode())
        self.lines.append(line)

    @property
    def digest(self) -> str:
        """What the trace comes to."""
        return self._trace.hexdigest()

    # -------------------------------------------------------------------------------------- inside

    def _running(self) -> Platform:
        if self.platform is None:
            raise RuntimeError("the platform is off")
        return self.platform

    async def _inside(self, work: Awaitable[T]) -> T:
        """Await something as a part of the platform, which dies with it."""
        token = _start.set(self.starts)
        try:
            task = asyncio.ensure_future(work)
        finally:
            _start.reset(token)
        return await task

    async def _posted(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        # What an endpoint does goes on when the platform that asked is gone.
        token = _start.set(0)
        try:
            asked = asyncio.ensure_future(self.post(url, headers, body))
        finally:
            _start.reset(token)
        asked.add_done_callback(_look_at)  # nobody may be left to be told
        return await asyncio.shield(asked)

    def _made(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> Any:
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
        self._tasks.append((_start.get(), task))
        return task

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if self.platform is None or isinstance(error, sqlite3.ProgrammingError):
            return  # a dead platform's last words
        self.faults.append(f"unhandled: {context.get('message')}: {error!r}")


async def _nothing() -> AsyncIterator[Any]:
    """Yield nothing: the service reads what workers say from the call itself."""
    return
    yield


def _look_at(task: asyncio.Future[Answer]) -> None:
    if not task.cancelled():
        task.exception()


async def _nobody(url: str, headers: dict[str, str], body: bytes) -> Answer:
    return Answer(404, {}, b"")


async def _request(app: App, method: str, path: str, body: object, headers: dict[str, str]) -> Said:
    sent: list[dict[str, Any]] = []
    content = b"" if body is None else json.dumps(body).encode()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    address, _, query = path.partition("?")
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": address,
        "raw_path": address.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
    }
    await app(scope, receive, send)
    answer = b"".join(part.get("body", b"") for part in sent[1:])
    return Said(sent[0]["status"], json.loads(answer) if answer else None)


@contextmanager
def seeded(chance: random.Random) -> Iterator[None]:
    """Draw ids, keys, nonces and the spread of pauses from the seed."""
    with (
        patch.object(os, "urandom", chance.randbytes),
        patch("strait.ids.urandom", chance.randbytes),
        patch("strait.ids._tails", []),
        patch.object(secrets, "token_bytes", lambda n=32: chance.randbytes(n)),
        patch.object(secrets, "token_hex", lambda n=32: chance.randbytes(n).hex()),
        patch.object(secrets, "choice", chance.choice),
    ):
        before = random.getstate()
        random.seed(chance.random())
        try:
            yield
        finally:
            random.setstate(before)
