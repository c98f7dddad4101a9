"""Calls of a client while things go wrong, and what became of them on the platform.

A worker makes one call after another through a proxy of its own, so that the same seed gives the
same calls and the same faults. A caller who has an idempotency key goes on until the call
succeeds, as a careful program would; without one it tries once.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from strait import AsyncClient, Client
from strait.client import pace
from strait.errors import StraitError
from strait.server import bootstrap
from strait.server.run import Server
from strait.server.settings import Settings

from . import faults
from .proxy import Fault, Proxy

FAULTED = 0.2
# Of the attempts that follow one that was faulted: troubles seldom come alone.
_FAULTED_AGAIN = 0.4
_SILENCE_SECS = 0.2
_MOST_TRIES = 60
_JOBS = 5
# Whether it is asynchronous, and what it sends with.
_CLIENTS = [
    (False, "httpx"),
    (True, "httpx"),
    (False, "httpx2"),
    (True, "httpx2"),
    (True, "aiohttp"),
]

# (weight, name, whether a key makes it safe to repeat, whether it may be repeated at all)
_OPERATIONS = {"trigger": 8, "bulk_trigger": 1, "start": 1, "get": 5, "list": 3, "make_key": 3}
_KEYED = frozenset({"trigger", "bulk_trigger", "start"})
_ONCE_ONLY = frozenset({"make_key"})


@dataclass
class Figures:
    """What happened.

    Attributes:
        calls: logical calls by their operation.
        tries: how often a client was asked; a keyed call is asked again until it succeeds.
        attempts: requests that the proxies saw.
        faulted: calls that met a fault.
        faults: how often each fault was met.
        errors: the errors that were raised, by class.
        may_exist: calls without a key that failed, though the platform got the request.
        wrong: what must not happen.
        effects: what the platform has, by operation.
    """

    calls: Counter[str] = field(default_factory=Counter)
    tries: int = 0
    attempts: int = 0
    faulted: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    may_exist: int = 0
    wrong: list[str] = field(default_factory=list)
    effects: Counter[str] = field(default_factory=Counter)

    @property
    def expected(self) -> Counter[str]:
        """What the platform must have."""
        return Counter(
            trigger=self.calls["trigger"],
            bulk_trigger=2 * self.calls["bulk_trigger"],
            start=self.calls["start"],
            make_key=self.calls["make_key"],
        )

    def __iadd__(self, other: Figures) -> Figures:
        self.tries += other.tries
        self.attempts += other.attempts
        self.faulted += other.faulted
        self.may_exist += other.may_exist
        self.wrong += other.wrong
        for name in ("calls", "faults", "errors", "effects"):
            getattr(self, name).update(getattr(other, name))
        return self


@dataclass(frozen=True)
class Scene:
    """The platform that all workers call."""

    server: Server
    api_key: str
    project_id: str
    jobs: list[str]
    workflow: str


class Worker:
    """Makes calls, one after the other.

    Args:
        scene: the platform.
        seed: what calls and faults follow from.
        is_async: which client it uses.
        transport: what that client sends with.
    """

    def __init__(self, scene: Scene, seed: str, *, is_async: bool, transport: str) -> None:
        self.figures = Figures()
        self._scene = scene
        self._name = seed
        self._random = random.Random(seed)
        self._is_async = is_async
        self._transport = transport
        self._loop = asyncio.get_running_loop()

    async def work(self, calls: int) -> Figures:
        """Make so many calls and return what happened."""
        options: dict[str, Any] = {
            "api_key": self._scene.api_key,
            "timeout_ms": 20_000,
            "transport": self._transport,
        }
        async with Proxy(self._scene.server.base_url) as self._proxy:
            options["base_url"] = self._proxy.base_url
            if self._is_async:
                async with AsyncClient(**options) as client:
                    for number in range(calls):
                        await self._call(client, number)
            else:
                with Client(**options) as client:
                    for number in range(calls):
                        await self._call(client, number)
            self.figures.faults = self._proxy.faults
        return self.figures

    async def paused(self) -> None:
        """Hear that the client waits, and so that its next attempt comes."""
        await self._proxy.next_attempt()

    def paused_elsewhere(self) -> None:
        """Hear it in a thread."""
        asyncio.run_coroutine_threadsafe(self.paused(), self._loop).result()

    async def _call(self, client: Any, number: int) -> None:
        (operation,) = self._random.choices(list(_OPERATIONS), list(_OPERATIONS.values()))
        self.figures.calls[operation] += 1
        key = f"{self._name}.{number}"
        call = self._operation(client, operation, key)
        script = self._script()
        self.figures.faulted += bool(script)
        for _ in range(_MOST_TRIES):
            done = await self._try(operation, call, script)
            if done or operation not in _KEYED:
                return
            script = self._script()
        self.figures.wrong.append(f"{self._name}: {operation} {number} never succeeded")

    def _script(self) -> list[Fault | None]:
        script: list[Fault | None] = []
        chance = FAULTED
        while self._random.random() < chance and len(script) < 6:
            script.append(faults.draw(self._random))
            chance = _FAULTED_AGAIN
        return script

    async def _try(
        self, operation: str, call: Callable[..., Any], script: list[Fault | None]
    ) -> bool:
        self.figures.tries += 1
        slow = any(fault is not None and fault.is_slow for fault in script)
        options = {"timeout": _SILENCE_SECS} if slow else {}
        await self._proxy.begin(script)
        try:
            await self._made(lambda: call(**options))
        except StraitError as error:
            self.figures.errors[type(error).__name__] += 1
            if _is_refusal(error) and not any(one.fault for one in self._proxy.attempts):
                self.figures.wrong.append(f"{self._name}: {operation} was refused: {error}")
            done = False
        except Exception as error:  # noqa: BLE001 - that there is none is what is tested
            self.figures.wrong.append(f"{self._name}: {operation} raised {error!r} in {script}")
            done = False
        else:
            done = True
        self._judge(operation, done=done)
        return done

    async def _made(self, call: Callable[[], Any]) -> None:
        token = _present.set(self)
        try:
            if self._is_async:
                answer = await call()
            else:
                answer = await asyncio.to_thread(call)
            # The pages of a list are asked for while it is gone through.
            if self._is_async and hasattr(answer, "__aiter__"):
                async for _ in answer:
                    pass
            elif not self._is_async and hasattr(answer, "next_page"):
                await asyncio.to_thread(list, answer)
        finally:
            _present.reset(token)

    def _judge(self, operation: str, *, done: bool) -> None:
        attempts = self._proxy.attempts
        self.figures.attempts += len(attempts)
        if operation not in _ONCE_ONLY:
            return
        for attempt in attempts[:-1]:
            if attempt.fault is None or not attempt.fault.tells_nothing_was_done:
                name = attempt.fault.name if attempt.fault else "an answer"
                self.figures.wrong.append(f"{self._name}: {operation} was repeated after {name}")
        reached = any(attempt.forwarded for attempt in attempts)
        # A call that never came to the platform is none that can have an effect.
        self.figures.calls[operation] -= not reached
        self.figures.calls[f"{operation}, never sent"] += not reached
        self.figures.may_exist += reached and not done

    def _operation(self, client: Any, name: str, key: str) -> Callable[..., Any]:
        job = self._random.choice(self._scene.jobs)
        payload = {"key": key, "text": "x" * self._random.randrange(200)}
        match name:
            case "trigger":
                return lambda **o: client.jobs.trigger(
                    job, payload=payload, idempotency_key=key, **o
                )
            case "bulk_trigger":
                items = [{"payload": payload, "idempotency_key": f"{key}.{n}"} for n in range(2)]
                return lambda **o: client.jobs.bulk_trigger(job, items=items, **o)
            case "start":
                return lambda **o: client.workflows.trigger(
                    self._scene.workflow, payload=payload, idempotency_key=key, **o
                )
            case "get":
                return lambda **o: client.jobs.get(job, **o)
            case "list":
                return lambda **o: client.jobs.list(limit=2, **o)
        return lambda **o: client.api_keys.create(
            project_id=self._scene.project_id,
            name=key,
            scopes=["jobs:read"],
            expires_in_days=30,
            **o,
        )


def _is_refusal(error: StraitError) -> bool:
    """Tell whether the platform itself did not like a call; 409 is one that is still under way."""
    return error.status is not None and error.status != 409


_present: ContextVar[Worker] = ContextVar("worker")


@contextmanager
def virtual_sleep() -> Iterator[None]:
    """Let the waits of clients take no time, and tell the worker of each."""

    async def sleep_async(_: float) -> None:
        await _present.get().paused()

    with (
        patch.object(pace, "sleep", lambda _: _present.get().paused_elsewhere()),
        patch.object(pace, "sleep_async", sleep_async),
    ):
        yield


async def run(calls: int, seed: int, directory: Path, rounds: int = 1) -> Figures:
    """Make calls with a worker for each kind of client, `rounds` times over."""
    total = Figures()
    async with _scene(directory / "faults.db") as scene:
        crew = [
            Worker(scene, f"{seed}-{number}", is_async=is_async, transport=transport)
            for number, (is_async, transport) in enumerate(_CLIENTS * rounds)
        ]
        share = calls // len(crew)
        with virtual_sleep():
            async with asyncio.TaskGroup() as tasks:
                working = [tasks.create_task(one.work(share)) for one in crew]
        for task in working:
            total += task.result()
        total.effects = _effects(scene)
    return total


@asynccontextmanager
async def _scene(database: Path) -> AsyncIterator[Scene]:
    """Start a platform that accepts runs and starts none."""
    settings = Settings(port=0, database=database, hold=True, drain_secs=0.0)
    async with Server(settings) as server:
        found = await bootstrap.ensure(server.platform)
        async with AsyncClient(base_url=server.base_url, api_key=found.api_key) as client:
            jobs = [await _job(client, found.project_id, number) for number in range(_JOBS)]
            workflow = await client.workflows.create(
                project_id=found.project_id,
                name="Wait",
                slug="wait",
                steps=[
                    {
                        "step_ref": "wait",
                        "step_type": "sleep",
                        "sleep_duration_secs": 86_400,
                    }
                ],
            )
        yield Scene(server, found.api_key, found.project_id, jobs, workflow.id)


def _job(client: AsyncClient, project_id: str, number: int) -> Awaitable[str]:
    async def made() -> str:
        job = await client.jobs.create(
            project_id=project_id,
            name=f"Job {number}",
            slug=f"job-{number}",
            endpoint_url="http://127.0.0.1:9/",
        )
        return job.id

    return made()


def _effects(scene: Scene) -> Counter[str]:
    db = scene.server.platform.reader
    (bulk,) = db.execute("SELECT count(*) FROM runs WHERE idempotency_key LIKE '%.%.%'").fetchone()
    (every,) = db.execute("SELECT count(*) FROM runs").fetchone()
    (started,) = db.execute("SELECT count(*) FROM workflow_runs").fetchone()
    (keys,) = db.execute("SELECT count(*) FROM api_keys").fetchone()
    # One key is the worker's own. A run without any key would be one too many.
    return Counter(trigger=every - bulk, bulk_trigger=bulk, start=started, make_key=keys - 1)
