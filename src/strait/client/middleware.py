"""Middleware: hooks that watch every attempt, and layers around it that may change it.

A layer is a function `layer(request, call_next)` that returns an answer, most often the one of
`call_next(request)`; for an `AsyncClient` it is a coroutine function. The first in the list is the
outermost. What a layer raises goes to the caller as it is, and its request has the real tokens.

`on_request` hooks are called in the order of the list, the other two in the reverse order. A hook
that raises is logged and passed over: it neither fails the call nor causes another attempt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import TypeAlias

from strait.client.effects import Request, Response


@dataclass(slots=True)
class MiddlewareRequestContext:
    """A request that is about to be sent.

    Attributes:
        method: the HTTP method.
        url: the whole address with its query.
        headers: the headers, by names of any case. What a hook sets here is sent; tokens are
            shown redacted.
        body: the bytes of the body, or None.
    """

    method: str
    url: str
    headers: MutableMapping[str, str]
    body: bytes | None = None


@dataclass(slots=True)
class MiddlewareResponseContext:
    """An answer that came, of whatever status.

    Attributes:
        method: the HTTP method.
        url: the whole address with its query.
        status: the HTTP status.
        duration_ms: milliseconds from sending to the whole answer; of a stream, to its head.
    """

    method: str
    url: str
    status: int
    duration_ms: int


@dataclass(slots=True)
class MiddlewareErrorContext:
    """An attempt that failed: no answer, a status other than success, or a wrong body.

    Attributes:
        method: the HTTP method.
        url: the whole address with its query.
        error: what the call raises, unless it is tried again.
    """

    method: str
    url: str
    error: BaseException


RequestHook: TypeAlias = Callable[[MiddlewareRequestContext], Awaitable[None] | None]
ResponseHook: TypeAlias = Callable[[MiddlewareResponseContext], Awaitable[None] | None]
ErrorHook: TypeAlias = Callable[[MiddlewareErrorContext], Awaitable[None] | None]


@dataclass(frozen=True, slots=True)
class Middleware:
    """Up to three hooks; with an `AsyncClient` they may be coroutine functions.

    Attributes:
        on_request: called before an attempt is sent.
        on_response: called when an answer came.
        on_error: called when an attempt failed.
    """

    on_request: RequestHook | None = None
    on_response: ResponseHook | None = None
    on_error: ErrorHook | None = None


SyncNext: TypeAlias = Callable[[Request], Response]
SyncLayer: TypeAlias = Callable[[Request, SyncNext], Response]
AsyncNext: TypeAlias = Callable[[Request], Awaitable[Response]]
AsyncLayer: TypeAlias = Callable[[Request, AsyncNext], Awaitable[Response]]
AnyMiddleware: TypeAlias = Middleware | SyncLayer | AsyncLayer
