"""The ASGI application: from the bytes of a request to the function that answers it.

A request's way: route → caller → scope → headers → (transaction) → answer. The body is read here
and decoded by the function that answers, because the order of checks is part of the contract.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import time
from functools import cache
from urllib.parse import parse_qsl

from msgspec.structs import replace

from strait import ids
from strait.clock import to_timestamp
from strait.engine.refusal import Refused
from strait.server import access, auth, idempotency, sdk_version, sse
from strait.server._generated.routes import ROUTES
from strait.server.audit_actions import SELF_RECORDED, is_recorded
from strait.server.auth import Principal
from strait.server.connections import WHOLE
from strait.server.dashboard.pages import Dashboard
from strait.server.doors import Doors
from strait.server.errors import ApiError
from strait.server.http import EVENT_STREAM, Call, Reply, StreamReply, encode, sse_token_of
from strait.server.limits import RateLimits
from strait.server.lockouts import Lockouts
from strait.server.platform import Platform
from strait.server.refusals import REASONS
from strait.server.router import MethodNotAllowed, Router
from strait.server.routes import registry
from strait.server.schema import Route
from strait.server.streaming import Receive, Scope, Send, read_body, send_stream
from strait.server.unit import Unit
from strait.server.work import audit
from strait.store import meta
from strait.store.runs import StaleWrite
from strait.store.writer import StoreUnavailable, is_about_the_disk, reason

logger = logging.getLogger("strait.server")

_STANDARD_HEADERS = (
    (b"x-api-version", b"v1"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_JSON_PLANES = frozenset({"v1"})
# Operations that begin a trace, or go on with that of their caller.
_STARTS = frozenset({"trigger-job", "bulk-trigger-job", "trigger-workflow"})
# Operations that keep their own record of idempotency keys, in the run that a key has made.
_OWN_IDEMPOTENCY = frozenset({"trigger-job"})


class App:
    """Serves the platform's API over ASGI."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._router = _router()
        self._request_prefix = f"{socket.gethostname()}/{ids.uuid7(platform.clock.now())[-8:]}"
        self._numbers = itertools.count(1)
        self._doors = Doors(platform.settings)
        self._limits = RateLimits(platform.settings.limits)
        self._lockouts = Lockouts(platform.settings.limits)
        self._dashboard = Dashboard(platform, self._lockouts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the server of the application takes care of its lifespan."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1003})
            return
        began = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = self._request_id(headers)
        try:
            answer = await self._answer(scope, headers, receive, request_id)
        except Exception as error:  # noqa: BLE001 - no traceback may reach a client
            answer = self._failure(error, request_id)
        route: Route | None = scope.get("strait.route")
        if route is not None and route.plane == "sdk" and isinstance(answer, Reply):
            told = sdk_version.headers(headers.get(b"x-sdk-version", b""))
            answer = answer._replace(headers=(*answer.headers, *told))
        self._count(scope, answer, request_id, began)
        cors = self._doors.cors(headers)
        if cors:
            answer = answer._replace(headers=(*answer.headers, *cors))
        try:
            if isinstance(answer, Reply):
                await _send_reply(scope, send, answer, request_id)
            else:
                await self._send_stream(scope, receive, send, answer, request_id)
        except OSError:
            logger.debug("the client of request %s went away", request_id)

    async def _send_stream(
        self, scope: Scope, receive: Receive, send: Send, answer: StreamReply, request_id: str
    ) -> None:
        headers = [*_STANDARD_HEADERS, (b"x-request-id", request_id.encode("latin-1", "replace"))]
        stall_secs = self._platform.settings.stream_stall_secs
        with self._platform.streams.one_more(answer.project_id):
            await send_stream(scope, receive, send, answer, headers, stall_secs)

    def _count(
        self, scope: Scope, answer: Reply | StreamReply, request_id: str, began: float
    ) -> None:
        route: Route | None = scope.get("strait.route")
        status = answer.status if isinstance(answer, Reply) else 200
        operation = "unknown" if route is None else route.id
        self._platform.figures.requests[operation, status] += 1
        if logger.isEnabledFor(logging.DEBUG):
            fields = {
                "request_id": request_id,
                "operation": operation,
                "method": scope["method"],
                # Without its query string, which may hold a token.
                "path": scope["path"],
                "status": status,
                "ms": round((time.perf_counter() - began) * 1000, 2),
            }
            logger.debug("request", extra=fields)

    # -------------------------------------------------------------------------------- one request

    async def _answer(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, request_id: str
    ) -> Reply | StreamReply:
        self._doors.check(scope["method"], headers)
        preflight = self._doors.preflight(scope["method"], headers)
        if preflight is not None:
            return preflight
        path = scope.get("raw_path", b"").decode("latin-1") or scope["path"]
        path = _below(self._dashboard.root(headers), path.partition("?")[0])
        page = await self._dashboard.answer(scope, path, headers, receive)
        if page is not None:
            return page
        try:
            found = self._router.match(scope["method"], path)
        except MethodNotAllowed:
            return Reply(405)
        if found is None:
            return Reply(404, b"404 page not found\n", content_type=b"text/plain; charset=utf-8")
        route, params = found
        scope["strait.route"] = route
        now = self._platform.clock.now()
        remote_ip = (scope.get("client") or ("",))[0]
        call = Call(route, params, headers, scope["query_string"], request_id, now, remote_ip)
        self._limits.check_address(route, remote_ip, now)
        open_metrics = self._platform.settings.open_metrics and route.id == "metrics"
        if route.auth not in {"none", "run_token", "signature"} and not open_metrics:
            call.principal = self._known_caller(call)
            if route.plane in _JSON_PLANES:
                _check_media_types(scope["method"], headers)
            access.check(call, self._platform.reader)
        if scope["method"] not in {"GET", "HEAD"}:
            limit = self._platform.settings.max_body_bytes
            call.body_bytes = await read_body(receive, headers, limit)
        answer = await self._traced(call)
        if isinstance(answer, StreamReply):
            if answer.content_type == EVENT_STREAM:
                self._platform.streams.check(call.project_id)
                frames = sse.while_allowed(answer.frames, lambda: self._problem(call.principal))
                return answer._replace(project_id=call.project_id, frames=frames)
            return answer
        if call.rate is not None:
            return answer._replace(headers=(*answer.headers, *call.rate.headers()))
        return answer

    def _problem(self, principal: Principal) -> str:
        """Return why a caller who was let in would be refused by now, or ""."""
        now = self._platform.clock.now()
        return self._platform.keys.problem_of(self._platform.reader, principal, now)

    async def _traced(self, call: Call) -> Reply | StreamReply:
        tracing = self._platform.tracing
        if tracing is None or call.route.id not in _STARTS:
            return await self._run(call)
        with tracing.trigger(call) as span:
            answer = await self._run(call)
            span.answered(answer)
            return answer

    async def _run(self, call: Call) -> Reply | StreamReply:
        operation = call.route.id
        read = registry.reads.get(operation)
        if read is not None:
            return read(call, self._platform.reader)
        write = registry.writes.get(operation)
        if write is not None:
            if call.route.idempotent and call.idempotency_key:
                idempotency.check_key(call.idempotency_key)
                if operation not in _OWN_IDEMPOTENCY:
                    return await self._platform.write(
                        lambda unit: idempotency.once(call, unit, lambda: _recorded(call, unit))
                    )
            return await self._platform.write(lambda unit: _recorded(call, unit))
        analysis = registry.analyses.get(operation)
        if analysis is not None:
            return await self._platform.analyst.ask(lambda db: analysis(call, db))
        other = registry.others.get(operation)
        if other is not None:
            return await self._follow_up(call, await other(call, self._platform))
        reason = REASONS.get(operation) or call.route.instead
        raise ApiError(
            501,
            f"operation `{operation}` is not served by the embedded server"
            + (f": {reason}" if reason else ""),
        )

    async def _follow_up(self, call: Call, answer: Reply | StreamReply) -> Reply | StreamReply:
        """Record what a coroutine has done, once it is done: it spoke to the outside first."""
        is_left = is_recorded(call.route) and call.route.id not in SELF_RECORDED
        if isinstance(answer, Reply) and is_left:
            await self._platform.write(lambda unit: audit.record(call, unit, answer))
        return answer

    def _known_caller(self, call: Call) -> Principal:
        token = call.header(b"authorization")
        bearer = token[7:].strip() if token[:7].lower() == "bearer " else ""
        if not token and (session := self._dashboard.caller(call)) is not None:
            key_hash, record = session
            return self._caller_with_key(call, key_hash, record)
        kind = "api key" if bearer.startswith(auth.KEY_PREFIX) else "internal secret"
        self._lockouts.check(kind, call.remote_ip, call.now)
        try:
            return self._caller(call, bearer)
        except ApiError as error:
            if error.status == 401:
                self._lockouts.failed(kind, call.remote_ip, call.now)
            raise

    def _caller(self, call: Call, bearer: str) -> Principal:
        now = call.now
        if bearer.startswith(auth.KEY_PREFIX):
            key_hash, record = self._platform.keys.find(self._platform.reader, bearer)
            return self._caller_with_key(call, key_hash, record)
        if "sse_token" in call.route.auth and not bearer and (given := sse_token_of(call)):
            principal = auth.authenticate_sse(self._platform.token_key, given, now)
            if why := self._problem(principal):
                raise ApiError(401, why)  # a token opens no more than its maker may
            return principal
        return auth.authenticate_internal(
            self._platform.settings.internal_secret,
            call.header(b"x-internal-secret") or bearer,
            project_id=call.header(b"x-project-id") or _project_asked_for(call),
            actor=call.header(b"x-actor-id"),
        )

    def _caller_with_key(self, call: Call, key_hash: str, record: meta.ApiKey | None) -> Principal:
        principal = auth.authenticate_key(record, call.now)
        if record is not None:
            call.rate = self._limits.check_key(record, call.now)
        if record is not None and auth.is_stale(record.last_used_at, call.now):
            self._touch(key_hash, record, call.now)
        return principal

    def _touch(self, key_hash: str, record: meta.ApiKey, now: int) -> None:
        """Write when a key was last used; nobody waits for it."""

        def work(unit: Unit) -> None:
            present = meta.key_by_hash(unit.db, key_hash)
            if present is None:
                return
            used = replace(present, last_used_at=unit.stamp)
            meta.update_key(unit.db, used)
            self._platform.keys.touch(key_hash, used)

        # Mark it at once, so that the requests of this moment write it only once.
        stamped = replace(record, last_used_at=to_timestamp(now))
        self._platform.keys.touch(key_hash, stamped)
        self._platform.write(work).add_done_callback(_ignore_failure)

    # ------------------------------------------------------------------------------------ answers

    def _failure(self, error: Exception, request_id: str) -> Reply:
        fields = {"request_id": request_id}
        match error:
            case ApiError():
                failure = error
            case Refused():
                failure = ApiError(error.status, error.message, code=error.code)
            case StaleWrite():
                failure = ApiError(409, "it was changed by another request; try again")
            case StoreUnavailable():
                logger.error("request %s: %s", request_id, error, extra=fields)
                why = reason(error.__cause__ or error)
                failure = ApiError(
                    503, f"the database cannot be written; nothing was changed: {why}"
                )
            case _ if is_about_the_disk(error):
                logger.error("request %s: %s", request_id, error, extra=fields)
                failure = ApiError(503, f"the database cannot be read: {reason(error)}")
            case _:
                logger.error("request %s failed", request_id, exc_info=error, extra=fields)
                failure = ApiError(500, "internal server error")
        headers = tuple((k.lower().encode(), v.encode()) for k, v in failure.headers.items())
        return Reply(failure.status, encode(failure.envelope(request_id)), headers)

    def _request_id(self, headers: dict[bytes, bytes]) -> str:
        given = headers.get(b"x-request-id", b"")
        if given and len(given) <= 128 and given.isascii() and given.decode().isprintable():
            return given.decode()
        return f"{self._request_prefix}-{next(self._numbers):06d}"


@cache
def _router() -> Router:
    return Router(route for route in ROUTES if route.method)


def _project_asked_for(call: Call) -> str:
    """Return the project that an internal caller names in its query; there is none of its own."""
    return dict(parse_qsl(call.raw_query.decode("latin-1"))).get("project_id", "")


def _recorded(call: Call, unit: Unit) -> Reply:
    """Do what a request asks for, and write it into the audit log in the same transaction."""
    answer = registry.writes[call.route.id](call, unit)
    audit.record(call, unit, answer)
    return answer


# ----------------------------------------------------------------------------------------- wire


def _check_media_types(method: str, headers: dict[bytes, bytes]) -> None:
    accept = headers.get(b"accept", b"").lower()
    if accept and not any(kind in accept for kind in _ACCEPTED):
        raise ApiError(406, "this API only serves application/json")
    has_body = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
    if method in {"POST", "PUT", "PATCH"} and has_body:
        content_type = headers.get(b"content-type", b"").lower()
        if content_type and not content_type.startswith(b"application/json"):
            raise ApiError(415, "Content-Type must be application/json")


_ACCEPTED = (b"json", b"*/*", b"application/*", b"x-ndjson", b"text/csv", b"text/event-stream")


async def _send_reply(scope: Scope, send: Send, answer: Reply, request_id: str) -> None:
    headers = [*_STANDARD_HEADERS, (b"x-request-id", request_id.encode("latin-1", "replace"))]
    if answer.headers:
        # What an answer says itself stands in place of what all of them say.
        said = {name for name, _ in answer.headers}
        headers = [pair for pair in headers if pair[0] not in said]
        headers += answer.headers
    # An export without a line is still an export in its own format.
    if answer.body or answer.content_type != b"application/json":
        headers.append((b"content-type", answer.content_type))
    if answer.status != 204:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    whole = scope.get("extensions", {}).get(WHOLE)
    if whole is not None:
        await whole["send"](answer.status, headers, answer.body)
        return
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _below(root: str, path: str) -> str:
    """Return a path without the prefix of the proxy, which may have taken it off already."""
    path = path[len(root) :] if root and path.startswith(f"{root}/") else path
    return "/health" if path == "/health/live" else path


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return


def _ignore_failure(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()
