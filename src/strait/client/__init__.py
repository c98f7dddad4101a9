"""Clients of a platform: `Client` and `AsyncClient` over one core without I/O.

`flows` and `streams` decide, as generators that yield the effects of `effects`; `sync` and `aio`
carry them out; `transports` alone knows HTTP libraries. `pages`, `results` and `body` give values
their shape. The services stand above this room and are imported by name when they are used.
"""

from strait.client.aio import AsyncClient
from strait.client.aio_calls import AsyncEventStream
from strait.client.effects import Request, Response
from strait.client.middleware import (
    Middleware,
    MiddlewareErrorContext,
    MiddlewareRequestContext,
    MiddlewareResponseContext,
)
from strait.client.operation import RequestOptions
from strait.client.pages import AsyncPage, AsyncPager, Page
from strait.client.sse import ServerEvent
from strait.client.sync import Client
from strait.client.sync_calls import EventStream
from strait.client.transports.protocol import AsyncBody, AsyncTransport, Body, Transport
from strait.client.unset import UNSET

__all__ = [
    "UNSET",
    "AsyncBody",
    "AsyncClient",
    "AsyncEventStream",
    "AsyncPage",
    "AsyncPager",
    "AsyncTransport",
    "Body",
    "Client",
    "EventStream",
    "Middleware",
    "MiddlewareErrorContext",
    "MiddlewareRequestContext",
    "MiddlewareResponseContext",
    "Page",
    "Request",
    "RequestOptions",
    "Response",
    "ServerEvent",
    "Transport",
]
