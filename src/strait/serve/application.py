"""The ASGI application that hosts handlers: one address a job, and `GET /health`.

It is plain ASGI 3 and needs no framework, so it runs under any ASGI server and can be mounted in
any application.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from strait.serve.attempts import CANCEL_GRACE_SECS, HEARTBEAT_SECS
from strait.serve.core import MAX_BODY_BYTES, Core, Settings, Source, job_url
from strait.serve.isolation import MAX_PROCESSES
from strait.signing import TOLERANCE_SECS

if TYPE_CHECKING:
    import httpx

__all__ = ["MAX_BODY_BYTES", "Host", "asgi", "job_url"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class Host(Core):
    """An ASGI application; `asgi` makes it.

    Attributes:
        jobs: the jobs that are hosted, by slug.
        active: how many dispatches are being worked on.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            # A websocket is closed before it was accepted, which servers answer with 403.
            await receive()
            await send({"type": "websocket.close", "code": 1000})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self.handle(
            scope["method"],
            _path(scope),
            dict(scope["headers"]),
            partial(_body, receive),
            partial(_left, receive),
        )
        if answer is None:
            return
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": answer.raw_headers(),
            }
        )
        await send({"type": "http.response.body", "body": answer.body})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def asgi(
    source: Source,
    *,
    base_url: str = "",
    signing_secret: str | Iterable[str] = (),
    project_id: str = "",
    max_threads: int = 64,
    max_body_bytes: int = MAX_BODY_BYTES,
    tolerance_secs: int = TOLERANCE_SECS,
    http_client: httpx.AsyncClient | None = None,
    heartbeat_secs: float = HEARTBEAT_SECS,
    cancel_grace_secs: float = CANCEL_GRACE_SECS,
    max_processes: int = MAX_PROCESSES,
) -> Host:
    """Return an ASGI application that hosts the handlers of jobs.

    Each job that has a handler gets the address `POST /jobs/{slug}`, which is what its
    `endpoint_url` has to end with.

    Args:
        source: definitions, one definition, or a module that has some.
        base_url: the address of the platform that handlers report to; by default that of the
            environment (`STRAIT_BASE_URL`). It is never taken from a dispatch.
        signing_secret: the secret that dispatches are signed with, or several while one is being
            rotated; the one that a job was defined with is good for it, too. Without any,
            dispatches are not checked, which is for a loopback address only.
        project_id: the project that `ctx.spawn` uses by default.
        max_threads: how many plain (not `async`) handlers run at once.
        max_body_bytes: the largest payload that is taken; more is answered with 413.
        tolerance_secs: how far the time of a signature may be from this host's clock.
        http_client: the HTTP client that contexts use; closing it stays with the caller.
        heartbeat_secs: how often the host says that a run is alive, and asks thereby whether it
            still is; 0 for never. Attempts that are over sooner send none.
        cancel_grace_secs: how long an attempt whose run was canceled, has ended or was dispatched
            again may go on after `ctx.cancelled` says so; then an `async` handler is cancelled.
        max_processes: how many handlers with `isolation="process"` run at once. They speak to the
            platform over connections of their own, not by `http_client`.

    Raises:
        DefinitionError: two jobs have the same slug, one is no job, or an option is wrong.
    """
    settings = Settings(
        source,
        base_url=base_url,
        signing_secret=signing_secret,
        project_id=project_id,
        max_threads=max_threads,
        max_body_bytes=max_body_bytes,
        tolerance_secs=tolerance_secs,
        http_client=http_client,
        heartbeat_secs=heartbeat_secs,
        cancel_grace_secs=cancel_grace_secs,
        max_processes=max_processes,
    )
    return settings.core(Host)


def _path(scope: Scope) -> str:
    """Return the path of a request below the address that the host is mounted at."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    # The root has the whole address. Where a proxy cuts its own part off and the application adds
    # that to the root alone (`FastAPI(root_path="/api")`), the path begins with the rest of it.
    while root:
        if path.startswith(f"{root}/") or path == root:
            return path[len(root) :]
        following = root.find("/", 1)
        root = root[following:] if following > 0 else ""
    return path


async def _body(receive: Receive, most_bytes: int) -> bytes | None:
    """Read a body until it has more than `most_bytes`; None if the client has left."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part: bytes = message.get("body", b"")
        size += len(part)
        if not message.get("more_body", False) or size > most_bytes:
            return b"".join((*parts, part)) if parts else part
        parts.append(part)


async def _left(receive: Receive) -> None:
    """Return once the client of a request whose body is read has closed its connection."""
    if (await receive())["type"] != "http.disconnect":
        # It is none of ASGI's; what else it would say would not be that.
        await asyncio.Event().wait()
