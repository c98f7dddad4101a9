"""The ASGI application that hosts handlers: one address a job, and `GET /health`.

It is plain ASGI 3 and needs no framework, so it runs under any ASGI server and can be mounted in
any application.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from strait.authoring.definitions import Definition
from strait.authoring.jobs import JobDefinition
from strait.authoring.validation import DefinitionError
from strait.config import Layer
from strait.serve import answers, inbound
from strait.serve.answers import Answer
from strait.serve.attempts import CANCEL_GRACE_SECS, HEARTBEAT_SECS, Rules
from strait.serve.discovery import definitions_in
from strait.serve.execution import Executor, HostedJob
from strait.serve.guard import Guard
from strait.serve.platform import PlatformPool
from strait.signing import TOLERANCE_SECS

if TYPE_CHECKING:
    import httpx

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

log = logging.getLogger("strait.serve")

MAX_BODY_BYTES = 10 * 1024 * 1024
_PREFIX = "/jobs/"


class Host:
    """An ASGI application; `asgi` makes it.

    Attributes:
        jobs: the jobs that are hosted, by slug.
        active: how many dispatches are being worked on.
    """

    def __init__(
        self,
        jobs: Iterable[JobDefinition[Any]],
        platform: PlatformPool,
        *,
        signing_secrets: tuple[str, ...] = (),
        project_id: str = "",
        max_threads: int = 64,
        max_body_bytes: int = MAX_BODY_BYTES,
        tolerance_secs: int = TOLERANCE_SECS,
        now: Callable[[], float] = time.time,
        rules: Rules | None = None,
    ) -> None:
        self.jobs = _by_slug(jobs)
        self.active = 0
        self._platform = platform
        self._max_body_bytes = max_body_bytes
        self._guard = Guard(now, tolerance_secs)
        self._executor = Executor(platform, project_id, max_threads, now, rules)
        self._hosted = {
            _PREFIX + slug: HostedJob(job, job.run, _secrets(job, signing_secrets))
            for slug, job in self.jobs.items()
            if job.run is not None
        }

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

    def hold_deadlines(self, *, hold: bool) -> None:
        """Time out no attempt while this holds; for a debugger. Call it on the loop."""
        self._executor.hold_deadlines(hold=hold)

    async def close(self) -> None:
        """Give connections and threads back; a server does so with the lifespan's end."""
        self._executor.close()
        await self._platform.close()

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.active += 1
        try:
            answer = await self._answer(scope, receive)
        except Exception:  # whatever it is, the caller gets JSON and no traceback
            log.exception("the host failed at %s", scope["path"])
            answer = answers.error(500, "HostError", "the host failed; its log says how")
        finally:
            self.active -= 1
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

    async def _answer(self, scope: Scope, receive: Receive) -> Answer | None:
        path = scope["path"]
        root = scope.get("root_path", "")
        if root and path.startswith(root):
            path = path[len(root) :]
        job = self._hosted.get(path)
        if job is None:
            return self._other(scope["method"], path)
        if scope["method"] != "POST":
            return _method_not_allowed("POST")
        headers = dict(scope["headers"])
        body = await self._body(headers, receive)
        if not isinstance(body, bytes):
            return body
        if job.secrets:
            refusal = self._guard.refusal(headers, body, job.secrets)
            if refusal:
                return answers.error(401, "Unauthorized", refusal)
            if self._guard.is_replay(headers):
                return answers.error(
                    409, "ReplayedDispatch", "this assignment of the run was dispatched before"
                )
        if inbound.is_endpoint_test(headers, body):
            return answers.NOTHING
        try:
            dispatch = inbound.parse(headers, body)
        except inbound.BadDispatchError as error:
            return answers.error(400, "BadDispatch", str(error))
        return await self._executor.run(job, dispatch, partial(_left, receive))

    def _other(self, method: str, path: str) -> Answer:
        """Answer what is no dispatch to a job that is hosted here."""
        if path == "/health":
            if method not in ("GET", "HEAD"):
                return _method_not_allowed("GET")
            said = {"status": "ok", "jobs": sorted(self.jobs), "active": self.active - 1}
            return Answer(200, json.dumps(said).encode())
        slug = path.removeprefix(_PREFIX)
        if path.startswith(_PREFIX) and slug in self.jobs:
            return answers.error(404, "NotFound", f"job `{slug}` has no handler here")
        return answers.error(404, "NotFound", f"there is no job at `{path}` on this host")

    async def _body(self, headers: inbound.Headers, receive: Receive) -> bytes | Answer | None:
        """Return the body, or the refusal of one that is too large; None if the caller left."""
        too_large = answers.error(
            413, "BodyTooLarge", f"the body has more than {self._max_body_bytes} bytes"
        )
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._max_body_bytes:
            return too_large
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part: bytes = message.get("body", b"")
            if not message.get("more_body", False):
                if size + len(part) > self._max_body_bytes:
                    return too_large
                return b"".join((*parts, part)) if parts else part
            size += len(part)
            if size > self._max_body_bytes:
                return too_large
            parts.append(part)

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
    source: Definition | ModuleType | Iterable[Definition],
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

    Raises:
        DefinitionError: two jobs have the same slug.
    """
    secrets = (signing_secret,) if isinstance(signing_secret, str) else tuple(signing_secret)
    address = base_url or Layer.of_environment().config().base_url
    return Host(
        [found for found in _definitions(source) if isinstance(found, JobDefinition)],
        PlatformPool(address, http_client),
        signing_secrets=tuple(secret for secret in secrets if secret),
        project_id=project_id,
        max_threads=max_threads,
        max_body_bytes=max_body_bytes,
        tolerance_secs=tolerance_secs,
        rules=Rules(heartbeat_secs, cancel_grace_secs),
    )


def job_url(base: str, slug: str) -> str:
    """Return the address of a job on a host that is reached at `base`."""
    return f"{base.rstrip('/')}{_PREFIX}{quote(slug, safe='')}"


async def _left(receive: Receive) -> None:
    """Return once the client of a request whose body is read has closed its connection."""
    if (await receive())["type"] != "http.disconnect":
        # It is none of ASGI's; what else it would say would not be that.
        await asyncio.Event().wait()


def _definitions(
    source: Definition | ModuleType | Iterable[Definition],
) -> Iterable[Definition]:
    if isinstance(source, Definition):
        return [source]
    return definitions_in(source) if isinstance(source, ModuleType) else source


def _by_slug(jobs: Iterable[JobDefinition[Any]]) -> dict[str, JobDefinition[Any]]:
    found: dict[str, JobDefinition[Any]] = {}
    for job in jobs:
        if found.setdefault(job.slug, job) is not job:
            raise DefinitionError(
                f"two jobs have the slug `{job.slug}`; a host needs one address each"
            )
    return found


def _secrets(job: JobDefinition[Any], of_host: tuple[str, ...]) -> tuple[str, ...]:
    own = job.options.endpoint_signing_secret or job.options.webhook_secret
    return (own, *of_host) if own else of_host


def _method_not_allowed(method: str) -> Answer:
    refused = answers.error(405, "MethodNotAllowed", f"this address takes {method}")
    return Answer(refused.status, refused.body, ((b"allow", method.encode()),))
