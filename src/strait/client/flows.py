"""The flow of a call: send, judge, wait, and send again."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from strait.client import logs
from strait.client.effects import (
    Authorize,
    Close,
    Flow,
    Notify,
    Open,
    Read,
    Request,
    Response,
    Send,
    Sleep,
)
from strait.client.headers import HookHeaders, redacted, without_secrets
from strait.client.logs import path_of
from strait.client.middleware import (
    Middleware,
    MiddlewareErrorContext,
    MiddlewareRequestContext,
    MiddlewareResponseContext,
)
from strait.client.notices import tell
from strait.client.operation import Operation
from strait.client.policy import Policy, is_ambiguous
from strait.errors import (
    DecodeError,
    HttpError,
    Json,
    RequestSummary,
    StraitError,
    map_http_error,
)

T = TypeVar("T")

_REDIRECTS = frozenset({301, 302, 307, 308})


class Hooks:
    """The hooks of a client's middleware, each kind in its order."""

    __slots__ = ("error", "present", "request", "response")

    def __init__(self, middleware: list[Middleware]) -> None:
        self.request = [m.on_request for m in middleware if m.on_request]
        self.response = [m.on_response for m in reversed(middleware) if m.on_response]
        self.error = [m.on_error for m in reversed(middleware) if m.on_error]
        self.present = bool(middleware)

    def before(self, request: Request) -> Generator[Notify, Any, None]:
        """Call the hooks of a request that is about to be sent."""
        if not self.request:
            return
        context = MiddlewareRequestContext(
            request.method, request.url, HookHeaders(request.headers), request.content
        )
        for hook in self.request:
            yield Notify(hook, context)

    def answered(
        self, request: Request, status: int, seconds: float
    ) -> Generator[Notify, Any, None]:
        """Call the hooks of an answer."""
        if not self.response:
            return
        context = MiddlewareResponseContext(
            request.method, request.url, status, round(seconds * 1000)
        )
        for hook in self.response:
            yield Notify(hook, context)

    def failed(self, request: Request, error: StraitError) -> Generator[Notify, Any, None]:
        """Call the hooks of an attempt that failed."""
        for hook in self.error:
            yield Notify(hook, MiddlewareErrorContext(request.method, request.url, error))


def call(
    operation: Operation[T],
    request: Request,
    policy: Policy,
    hooks: Hooks,
    *,
    streamed: bool = False,
) -> Flow[T]:
    """Send `request` until it succeeds or the policy gives up, and return the result.

    With `streamed`, a successful answer is decoded by its head alone, and its body left unread.
    """
    attempt = 0
    lost = False  # an earlier attempt may have done it, and its answer did not come
    history: list[str] = []
    timeout = request.timeout
    began = policy.clock()
    while True:
        attempt += 1
        request.timeout = policy.timeout(timeout)
        request.attempt = attempt
        if attempt > 1:
            request.headers["x-strait-retry-count"] = str(attempt - 1)
        started = policy.clock()
        try:
            response = yield from authorized(request, policy, hooks, streamed=streamed)
            response.attempts, response.elapsed = attempt, policy.clock() - began
            if lost and response.status == operation.settled:
                return operation.decode(Response(200, response.headers))
            if response.status >= 300:
                raise error_of(request, response)
            tell(operation.id, request, response)
            logs.done(request, response)
            return operation.decode(response)
        except StraitError as error:
            error.request = error.request or summary(request)
            if isinstance(error, DecodeError):
                error.args = (f"{error.args[0]} ({_place(request)}: {error.status})",)
            if hooks.present:
                yield from hooks.failed(request, error)
            history.append(f"attempt {attempt}: {error} after {policy.clock() - started:.2f} s")
            wait = None if isinstance(error, DecodeError) else policy.delay(error, attempt)
            if wait is None:
                if attempt > 1:
                    error.add_note("\n".join(history))
                logs.failed(request, error, policy.clock() - began, attempt)
                raise
            lost = lost or is_ambiguous(error)
        logs.logger.debug("retry %d of %s in %.2f s", attempt, operation.id, wait)
        yield Sleep(wait)


def authorized(
    request: Request, policy: Policy, hooks: Hooks, *, streamed: bool = False
) -> Flow[Response]:
    """Make one attempt; with a token that changes, once more with a new one after a 401.

    What was refused with 401 was not done, so it is sent again whatever it is.
    """
    credential = policy.credential
    if credential is None:
        return (yield from _attempt(request, policy, hooks, streamed=streamed))
    token: str = yield Authorize(credential)
    request.headers["authorization"] = f"Bearer {token}"
    response = yield from _attempt(request, policy, hooks, streamed=streamed)
    if response.status != 401:
        return response
    fresh: str = yield Authorize(credential, token)
    if fresh == token:
        return response
    request.headers["authorization"] = f"Bearer {fresh}"
    return (yield from _attempt(request, policy, hooks, streamed=streamed))


def _attempt(request: Request, policy: Policy, hooks: Hooks, *, streamed: bool) -> Flow[Response]:
    if hooks.present:
        yield from hooks.before(request)
    logs.sent(request)
    started = policy.clock()
    response = yield from _sent(request, policy, streamed=streamed)
    if response.status in _REDIRECTS and (url := _redirected(request, response)):
        response = yield from _sent(replace(request, url=url), policy, streamed=streamed)
    logs.came(request, response)
    if hooks.present:
        yield from hooks.answered(request, response.status, policy.clock() - started)
    return response


def _sent(request: Request, policy: Policy, *, streamed: bool) -> Flow[Response]:
    if not streamed:
        whole: Response = yield Send(request, policy.deadline)
        return whole
    response: Response = yield Open(request)
    if response.status >= 300:
        response.content = yield from rest()
        yield Close()
    return response


def rest() -> Generator[Read, bytes, bytes]:
    """Return what is left of the opened body."""
    parts = []
    while chunk := (yield Read()):
        parts.append(chunk)
    return b"".join(parts)


def summary(request: Request) -> RequestSummary:
    """Return what an error tells of its request: all but the tokens."""
    headers = redacted(request.headers)
    return RequestSummary(request.method, request.url, headers, request.content)


def _redirected(request: Request, response: Response) -> str:
    """Return the address to read instead; none that would carry the token to another host."""
    if request.method != "GET":
        return ""
    try:
        url = urljoin(request.url, response.headers.get("location", ""))
        same = urlsplit(url)[:2] == urlsplit(request.url)[:2]
    except ValueError:  # it is no address
        return ""
    return url if same and url != request.url else ""


def error_of(request: Request, response: Response) -> HttpError:
    """Return the error for an answer other than success."""
    return map_http_error(
        response.status,
        body=_body(request, response),
        headers=response.headers,
        request=_place(request),
    )


def _place(request: Request) -> str:
    return f"{request.method} {path_of(request.url)}"


def _body(request: Request, response: Response) -> Json:
    if not response.content:
        return None
    shown = replace(response, content=without_secrets(response.content, request.headers))
    try:
        return json.loads(shown.content)
    except (ValueError, RecursionError):
        return shown.text()
