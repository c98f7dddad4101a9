"""An embedded server in the loop of the test, with a project, a key, and handlers to call."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from strait.clock import VirtualClock
from strait.server.outside import Outside
from strait.server.run import Server
from strait.server.settings import Settings
from strait.server.unit import Unit
from strait.server.work import api_keys
from strait.store import meta, runs
from support.description import problems
from support.handlers import PATIENCE_SECS, Handlers

PROJECT = "proj-1"
SECRET = "internal-secret-0123456789"
_numbers = itertools.count(1)
# Nothing here is encrypted, and making one for each client takes longer than most tests.
_TLS = ssl.create_default_context()


class World:
    """The server, a client that checks every answer, and what tests do over and over.

    Attributes:
        server: the server under test.
        api: a client with a key for everything in `PROJECT`.
        handlers: where jobs of `job()` are dispatched to.
        unlawful: answers that the description does not allow; the fixture asserts it is empty.
    """

    def __init__(self, server: Server, handlers: Handlers, key: str) -> None:
        self.server = server
        self.platform = server.platform
        self.handlers = handlers
        self.key = key
        self.unlawful: list[str] = []
        self.api = self.client(key)
        self._clients = [self.api]

    # ------------------------------------------------------------------------------------ clients

    def client(self, key: str = "", **headers: str) -> httpx.AsyncClient:
        """Return a client whose answers are checked against the description."""
        if key:
            headers["Authorization"] = f"Bearer {key}"
        made = httpx.AsyncClient(
            base_url=self.server.base_url,
            headers=headers,
            timeout=PATIENCE_SECS,
            verify=_TLS,
            event_hooks={"response": [self._check]},
        )
        if hasattr(self, "_clients"):
            self._clients.append(made)
        return made

    def internal(self, project: str = "") -> httpx.AsyncClient:
        """Return a client with the internal secret."""
        headers = {"X-Internal-Secret": SECRET}
        if project:
            headers["X-Project-Id"] = project
        return self.client(**headers)

    def handler(self, token: str) -> httpx.AsyncClient:
        """Return a client that speaks for a run."""
        return self.client(token)

    async def key_for(self, *scopes: str, project: str = PROJECT, days: int | None = None) -> str:
        """Make a key with scopes."""
        _, key = await self.platform.write(
            lambda unit: api_keys.make(
                unit, project_id=project, name="test", scopes=list(scopes), lifetime_days=days
            )
        )
        return key

    async def _check(self, response: httpx.Response) -> None:
        kind = response.headers.get("content-type", "")
        request = response.request
        path = request.url.raw_path.decode().partition("?")[0]
        if kind.startswith("text/event-stream"):
            return
        body = await response.aread()
        self.unlawful += problems(request.method, path, response.status_code, body, kind)
        if response.status_code >= 400 and kind.startswith("application/json"):
            assert b"Traceback" not in body

    # --------------------------------------------------------------------------------------- jobs

    async def job(self, path: str = "", **fields: Any) -> dict[str, Any]:
        """Make a job whose endpoint is the scripted handler server."""
        number = next(_numbers)
        body = {
            "project_id": PROJECT,
            "name": f"Job {number}",
            "slug": f"job-{number}",
            "endpoint_url": self.handlers.url + path,
            **fields,
        }
        answer = await self.api.post("/v1/jobs", json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def trigger(
        self, job: dict[str, Any], payload: object = None, *, key: str = "", **fields: Any
    ) -> str:
        """Trigger a job and return the id of the run."""
        body = {**fields} if payload is None else {"payload": payload, **fields}
        headers = {"Idempotency-Key": key} if key else {}
        answer = await self.api.post(f"/v1/jobs/{job['id']}/trigger", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def executing(
        self, job: dict[str, Any], payload: object = None
    ) -> tuple[str, httpx.AsyncClient]:
        """Trigger a job whose handler is held back; return the run and a client of its handler."""
        run_id = await self.trigger(job, payload)
        (call, *_) = await self.handlers.wait(1, run_id)
        # The first dispatch of a run goes out before its start is on disk.
        await self.until(run_id, "executing")
        return run_id, self.handler(call.token)

    async def run(self, run_id: str) -> dict[str, Any]:
        """Return a run as the API shows it."""
        answer = await self.api.get(f"/v1/runs/{run_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def until(self, run_id: str, *statuses: str, attempt: int = 0) -> dict[str, Any]:
        """Return a run once it has one of the statuses (in an attempt)."""
        subscription = self.platform.hub.subscribe(run_id)
        try:
            async with asyncio.timeout(PATIENCE_SECS):
                while not self._is(run_id, statuses, attempt):
                    await subscription.get(PATIENCE_SECS)
        except TimeoutError:
            raise AssertionError(
                f"waited for {statuses}, the run is {await self.run(run_id)}"
            ) from None
        finally:
            self.platform.hub.unsubscribe(run_id, subscription)
        return await self.run(run_id)

    def _is(self, run_id: str, statuses: tuple[str, ...], attempt: int) -> bool:
        stored = runs.load(self.platform.reader, run_id)
        assert stored is not None
        return stored.run.status in statuses and attempt in {0, stored.run.attempt}

    # --------------------------------------------------------------------------------------- time

    @property
    def clock(self) -> VirtualClock:
        """The clock of a world whose time stands still."""
        assert isinstance(self.platform.clock, VirtualClock)
        return self.platform.clock

    async def pass_time(self, seconds: float) -> None:
        """Move the virtual clock on, stopping at everything that is due, as real time would."""
        await self.settled()
        end = self.clock.now() + round(seconds * 1_000_000)
        while (due := self.clock.next_due()) is not None and due <= end:
            self.clock.advance(max(0, due - self.clock.now()) / 1_000_000)
            await self.settled()
        self.clock.advance((end - self.clock.now()) / 1_000_000)
        await self.settled()

    async def settled(self) -> None:
        """Return when the writer has nothing left, and the loop has run what was ready."""
        for _ in range(5):
            await self.platform.writer.drain()
            for _ in range(5):
                await asyncio.sleep(0)

    async def aclose(self) -> None:
        """Close the clients."""
        for client in self._clients:
            await client.aclose()


@asynccontextmanager
async def world(
    handlers: Handlers,
    database: Path | None = None,
    *,
    clock: VirtualClock | None = None,
    outside: Outside | None = None,
    **changes: Any,
) -> AsyncIterator[World]:
    """Start a server with a project and a key, and stop it in the end."""
    settings = Settings(port=0, database=database, internal_secret=SECRET, drain_secs=0.0)
    async with Server(replace(settings, **changes), clock=clock, outside=outside) as server:
        made = World(server, handlers, await server.platform.write(_project_and_key))
        try:
            yield made
        finally:
            await made.aclose()
    assert not made.unlawful, "not as described: " + "; ".join(made.unlawful)


def _project_and_key(unit: Unit) -> str:
    project = meta.Project(
        id=PROJECT, org_id="org-1", name="Test", created_at=unit.stamp, updated_at=unit.stamp
    )
    meta.put_project(unit.db, project)
    return api_keys.make(unit, project_id=PROJECT, name="all", scopes=["*"], lifetime_days=None)[1]
