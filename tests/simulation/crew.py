"""Simulated worker processes: real workers on simulated streams, that break, die and come back."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import httpx

from simulation.machine import LostError, Machine
from simulation.setting import HANG_SECS, PROJECT, WORKER_QUEUES
from simulation.wires import Wire
from strait.authoring import JobOptions, RunContext, define_job
from strait.clock import SECOND
from strait.errors import NonRetryable, RetryAfter
from strait.worker import Worker
from strait.worker import connection as connections
from strait.worker.connection import Connection, Identity
from strait.worker.tasks import Tasks

if TYPE_CHECKING:
    from simulation.handlers import Handlers

_SLOTS = (1, 2, 8)
_WORKED = partial(JobOptions, name="worked", slug="worked", execution_mode="worker")


class Crew:
    """All workers of the simulated world.

    Attributes:
        taken: what the platform said to have: results by their assignments, and registrations.
    """

    def __init__(self, machine: Machine, handlers: Handlers) -> None:
        self._machine = machine
        self._handlers = handlers
        self._working: dict[str, tuple[Worker, asyncio.Future[None]]] = {}
        self._wires: list[Wire] = []
        self._calm = asyncio.Event()
        self._processes = 0
        self._http = httpx.AsyncClient(transport=_Api(machine, handlers))
        self.taken: set[str] = set()

    # ------------------------------------------------------------------------- coming and going

    def work(self) -> None:
        """Start the processes that do not run."""
        for name in WORKER_QUEUES:
            if name not in self._working:
                self._start(name)

    def _start(self, name: str) -> None:
        chance = self._machine.chance
        self._processes += 1
        # By default each process is a worker of its own, and its last one never comes back.
        worker_id = name if chance.random() < 0.5 else f"{name}-{self._processes}"
        worker = Worker(
            define_job(_WORKED(run=self._carry_out)),
            addr="127.0.0.1:9",
            queues=WORKER_QUEUES[name],
            slots=chance.choice(_SLOTS),
            name=name,
            worker_id=worker_id,
            api_key=self._handlers.users_token,
            base_url="http://127.0.0.1:9",
            project_id=PROJECT,
            drain_secs=chance.choice((0.0, 1.0, 30.0)),
            http_client=self._http,
        )
        self._machine.note("worker", worker_id, "starts")
        self._working[name] = (worker, asyncio.ensure_future(worker.run()))

    async def rest(self) -> None:
        """End all processes in order."""
        for name in list(self._working):
            await self._leave(name)

    async def _leave(self, name: str) -> None:
        if name not in self._working:
            return
        worker, running = self._working.pop(name)
        self._machine.note("worker", name, "leaves")
        worker.stop()
        await self._ended(running)

    async def _die(self, name: str) -> None:
        if name not in self._working:
            return
        _, running = self._working.pop(name)
        self._machine.note("worker", name, "dies")
        running.cancel()
        await self._ended(running)

    async def _ended(self, running: asyncio.Future[None]) -> None:
        await asyncio.wait({running})
        if not running.cancelled() and (error := running.exception()) is not None:
            self._machine.faults.append(f"a worker ended with {error!r}")

    async def have_an_accident(self) -> None:
        """Have something happen to a worker or to its stream; it comes back, now or later."""
        chance = self._machine.chance
        name = chance.choice(list(WORKER_QUEUES))
        accidents = (self._cut, self._cut, self._hold, self._disconnect, self._leave, self._die)
        await chance.choice(accidents)(name)
        await self._machine.clock.sleep(chance.choice((0.0, 0.001, 1.0, 40.0)))
        self.work()

    def recover(self) -> None:
        """Have all streams and handlers in good health, from now on."""
        self._calm.set()
        for wire in self._wires:
            wire.heal()

    async def _cut(self, _: str) -> None:
        for wire in self._wires:
            if self._machine.chance.random() < 0.7:
                wire.cut()

    async def _hold(self, _: str) -> None:
        for wire in self._wires:
            wire.hold(self._machine.chance.choice((0.5, 20.0, 45.0)))

    async def _disconnect(self, name: str) -> None:
        """Have somebody close its stream through the API."""
        if name not in self._working:
            return
        token = self._handlers.users_token
        name = self._working[name][0].worker_id
        with suppress(LostError):
            await self._machine.ask("DELETE", f"/v1/workers/{name}", token=token)

    # ---------------------------------------------------------------------------------- streams

    @asynccontextmanager
    async def connected(self, identity: Identity, tasks: Tasks) -> AsyncIterator[Connection]:
        """Open a stream to the platform, as `strait.worker.connection` does."""
        wire = Wire(self._machine.chance, identity.api_key, self.taken.add)
        await self._machine.answer_call(wire)
        self._wires = [other for other in self._wires if not other.done()] + [wire]
        try:
            yield Connection(wire, identity, tasks)
        finally:
            wire.cancel()

    # --------------------------------------------------------------------------------- handlers

    async def _carry_out(self, payload: Any, ctx: RunContext) -> Any:
        """Do what this run is for; how it goes is chance."""
        chance, clock = self._machine.chance, self._machine.clock
        healthy = self._handlers.healthy
        self._handlers.dispatched.add(ctx.run_id)
        self._machine.note("worker has", ctx.run_id, ctx.attempt)
        await clock.sleep(0.001 if healthy else chance.choice((0.0, 0.001, 0.05, 2.0, 20.0)))
        if not healthy and chance.random() < 0.06:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._calm.wait(), HANG_SECS)
        # Every attempt of a run does the same.
        what = random.Random(ctx.run_id).choice(("plain", "reports", "waits", "spawns", "says"))
        await _DEEDS[what](self, ctx)
        if not self._handlers.healthy and chance.random() < 0.2:
            raise chance.choice((ValueError("no"), RetryAfter(5.0), NonRetryable("never")))
        return self._result(ctx)

    def _result(self, ctx: RunContext) -> object:
        return self._handlers.result_of(ctx.run_id, ctx.attempt)

    async def _reports(self, ctx: RunContext) -> None:
        for number in range(self._machine.chance.randint(1, 3)):
            await ctx.report_progress(25 * number, "on it")
            await ctx.checkpoint({"number": number})
            await ctx.state.set("n", number)
        await ctx.annotate({"said": str(ctx.attempt)})

    async def _waits(self, ctx: RunContext) -> None:
        key = f"event:{ctx.run_id}"
        if key not in self._handlers.events:
            self._handlers.events.append(key)
        await ctx.wait_for_event(key, timeout_secs=3600)

    async def _spawns(self, ctx: RunContext) -> None:
        waits = random.Random(ctx.run_id).random() < 0.5
        await ctx.spawn("plain", payload={"from": ctx.run_id}, await_completion=waits)

    async def _says(self, ctx: RunContext) -> None:
        await ctx.complete(self._result(ctx))

    async def _nothing(self, ctx: RunContext) -> None:
        """Do nothing else."""


_DEEDS: dict[str, Callable[[Crew, RunContext], Awaitable[None]]] = {
    "plain": Crew._nothing,
    "reports": Crew._reports,
    "waits": Crew._waits,
    "spawns": Crew._spawns,
    "says": Crew._says,
}


class _Api(httpx.AsyncBaseTransport):
    """The platform's API, as the contexts of handlers reach it."""

    def __init__(self, machine: Machine, handlers: Handlers) -> None:
        self._machine = machine
        self._handlers = handlers

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask the simulated platform; some answers are lost."""
        try:
            said = await self._machine.ask(
                request.method,
                request.url.raw_path.decode(),
                json.loads(request.content) if request.content else None,
                token=request.headers["authorization"].removeprefix("Bearer "),
                key=request.headers.get("idempotency-key", ""),
            )
        except LostError:
            raise httpx.ReadError("no answer", request=request) from None
        if not self._handlers.healthy and self._machine.chance.random() < 0.05:
            raise httpx.ReadError("the answer was lost", request=request)
        return httpx.Response(said.status, json=said.body, request=request)


@contextmanager
def simulated(crew: Crew, machine: Machine) -> Iterator[None]:
    """Have workers live in simulated time, on simulated streams."""
    clock = machine.clock
    time = SimpleNamespace(
        monotonic=lambda: clock.elapsed / SECOND, time=lambda: clock.now() / SECOND
    )
    with ExitStack() as stack:
        for module in ("worker.connection", "worker.worker", "worker.tasks"):
            stack.enter_context(patch(f"strait.{module}.time", time))
        stack.enter_context(patch.object(connections, "connected", crew.connected))
        yield
