"""An embedded platform under a virtual clock, with the handlers of definitions in one loop."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import uvicorn

from strait.authoring.jobs import JobDefinition
from strait.authoring.steps import held_by
from strait.authoring.workflows import WorkflowDefinition
from strait.clock import SECOND, VirtualClock
from strait.fsm import is_terminal_run_status, is_terminal_workflow_run_status
from strait.in_loop import InLoopServer
from strait.serve.application import Host
from strait.serve.manifest import Manifest
from strait.serve.platform import PlatformPool
from strait.serve.registration import RegistrationReport
from strait.server import bootstrap
from strait.server.run import Server, bind
from strait.server.settings import Settings
from strait.store import runs, workflow_runs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from strait.authoring.definitions import Definition
    from strait.serve.application import Receive, Scope, Send

# Between two looks at whether handlers are still running; nothing tells when the last has ended.
_LOOK_SECS = 0.001
# Each commit may make more work ready, which again may write.
_ROUNDS = 5


class EmbeddedPlatform:
    """The platform, its clock and its handlers; everything here runs in one event loop.

    Args:
        start: where the clock starts.
        patience_secs: real seconds that running handlers get before time goes on without them.
        project_id: the project.
    """

    def __init__(self, start: datetime, patience_secs: float, project_id: str) -> None:
        self.clock = VirtualClock(round(start.timestamp()) * SECOND)
        self.base_url = ""
        self.api_key = ""
        self.project_id = project_id
        self.signing_secret = secrets.token_hex(16)
        self._patience_secs = patience_secs
        self._definitions: dict[tuple[str, str], Definition] = {}
        self._handlers: _Handlers | None = None
        self._server = Server(Settings(port=0, drain_secs=0.0), clock=self.clock)
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Start the platform, without handlers."""
        await self._stack.enter_async_context(self._server)
        platform = self._server.platform
        credentials = await bootstrap.ensure(platform, project_id=self.project_id)
        self.base_url = self._server.base_url
        self.project_id, self.api_key = credentials.project_id, credentials.api_key

    async def stop(self) -> None:
        """Stop everything; handlers that still run are cut off."""
        await self._stack.aclose()

    # --------------------------------------------------------------------------------- handlers

    async def host(self, definitions: Iterable[Definition]) -> tuple[Manifest, str]:
        """Serve the handlers of definitions, beside those that are served already.

        Returns:
            What is to be registered, and the address that the handlers are reached at.
        """
        added = [found for one in definitions for found in _with_held(one)]
        for definition in added:
            self._definitions[definition.kind, definition.slug] = definition
        if self._handlers is None:
            self._handlers = await self._stack.enter_async_context(_handlers())
        jobs = [one for one in self._definitions.values() if isinstance(one, JobDefinition)]
        self._handlers.serve(
            Host(
                jobs,
                PlatformPool(self.base_url),
                signing_secrets=(self.signing_secret,),
                project_id=self.project_id,
                now=lambda: self.clock.now() / SECOND,
            )
        )
        return Manifest.of(_unique(added)), self._handlers.url

    def knows(self, definition: Definition) -> bool:
        """Say whether a definition was registered here; one of its slug is not enough."""
        return self._definitions.get((definition.kind, definition.slug)) is definition

    def registered(self, report: RegistrationReport) -> None:
        """Give the definitions the ids that they have here."""
        ids = {"job": report.jobs, "workflow": report.workflows}
        for (kind, slug), definition in self._definitions.items():
            definition.id = ids[kind].get(slug, definition.id)

    # ------------------------------------------------------------------------------------- time

    async def settle(self) -> None:
        """Return when nothing is under way at this instant."""
        patience = time.monotonic() + self._patience_secs
        await self._written()
        while self._busy() and time.monotonic() < patience:
            await asyncio.sleep(_LOOK_SECS)
            await self._written()

    async def advance(self, span: timedelta) -> None:
        """Move the clock on, stopping at everything that is due on the way."""
        if span < timedelta(0):
            raise ValueError(f"time goes on, not back: {span}")
        end = self.clock.now() + round(span.total_seconds() * SECOND)
        await self.settle()
        while await self._to_next_due(end):
            pass
        self._move_to(end)
        await self.settle()

    async def until_ended(self, run_id: str, *, workflow: bool, within: timedelta) -> None:
        """Move the clock on to the end of a run, or to where nothing more would come of it."""
        end = self.clock.now() + round(within.total_seconds() * SECOND)
        await self.settle()
        while not self._has_ended(run_id, workflow=workflow) and await self._to_next_due(end):
            pass

    async def _to_next_due(self, end: int) -> bool:
        """Move to the next instant at which something is due; False if that is after `end`."""
        due = self.clock.next_due()
        if due is None or due > end:
            return False
        self._move_to(due)
        await self.settle()
        return True

    def _move_to(self, instant: int) -> None:
        self.clock.advance(max(0, instant - self.clock.now()) / SECOND)

    async def _written(self) -> None:
        for _ in range(_ROUNDS):
            await self._server.platform.writer.drain()
            for _ in range(_ROUNDS):
                await asyncio.sleep(0)

    def _busy(self) -> bool:
        in_handlers = self._handlers is not None and self._handlers.active > 0
        return in_handlers or self._server.platform.scheduler.executing > 0

    def _has_ended(self, run_id: str, *, workflow: bool) -> bool:
        reader = self._server.platform.reader
        if workflow:
            found = workflow_runs.load(reader, run_id)
            return found is None or is_terminal_workflow_run_status(found.run.status)
        stored = runs.load(reader, run_id)
        return stored is None or is_terminal_run_status(stored.run.status)


class _Handlers:
    """An address on loopback and the host behind it, which changes as definitions are added."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._hosts: list[Host] = []

    @property
    def active(self) -> int:
        """How many dispatches are being worked on."""
        return sum(host.active for host in self._hosts)

    def serve(self, host: Host) -> None:
        """Send what comes from now on to this host; what runs in an older one goes on there."""
        self._hosts.append(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._hosts[-1](scope, receive, send)

    async def close(self) -> None:
        for host in self._hosts:
            await host.close()


@contextlib.asynccontextmanager
async def _handlers() -> AsyncIterator[_Handlers]:
    """Serve handlers on a loopback port."""
    with contextlib.closing(bind("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()[:2]
        handlers = _Handlers(f"http://{host}:{port}")
        config = uvicorn.Config(
            handlers,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        server = InLoopServer(config)
        await server.begin(listener)
        try:
            yield handlers
        finally:
            await server.end()
            await handlers.close()


def _with_held(definition: Definition) -> list[Definition]:
    """Return a definition after those that its steps hold, directly or not."""
    if not isinstance(definition, WorkflowDefinition):
        return [definition]
    held = [found for one in held_by(definition.steps) for found in _with_held(one)]
    return [*held, definition]


def _unique(definitions: Iterable[Definition]) -> list[Definition]:
    return list({id(one): one for one in definitions}.values())
