"""Transports: the places where the client touches the network, one room for each HTTP library.

`protocol` says what a transport is, `wiring` how certificates, proxies and limits are given,
`pools` what becomes of connections across threads, forks and event loops, `failures` which of our
errors stands for which of a library's. The rest are adapters: `family` (`httpx`, `httpx2`),
`aio_aiohttp`, and `given` for a client of the user.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeGuard

import httpx

from strait.client.transports.family import AsyncHttpxTransport, HttpxTransport
from strait.client.transports.given import AsyncGivenTransport, GivenTransport, family_of
from strait.client.transports.protocol import AsyncTransport, Transport
from strait.client.transports.wiring import Wiring
from strait.errors import ConfigurationError, ValidationError

if TYPE_CHECKING:
    import httpx2

TransportName: TypeAlias = Literal["httpx", "httpx2"]
AsyncTransportName: TypeAlias = Literal["httpx", "httpx2", "aiohttp"]
AnyTransport: TypeAlias = "TransportName | Transport | httpx.BaseTransport | httpx2.BaseTransport"
AnyAsyncTransport: TypeAlias = (
    "AsyncTransportName | AsyncTransport | httpx.AsyncBaseTransport | httpx2.AsyncBaseTransport"
)


def transport_for(
    transport: AnyTransport | None, http_client: object | None, wiring: Wiring
) -> Transport:
    """Return what sends the requests of a `Client`.

    Raises:
        ConfigurationError: an extra is missing, or the wiring is wrong.
        ValidationError: what was given cannot be a transport of a `Client`.
    """
    _refuse_both(transport, http_client, wiring)
    if http_client is not None:
        return GivenTransport(http_client)
    if transport is None or isinstance(transport, str):
        return HttpxTransport(_library(transport or "httpx", ("httpx", "httpx2")), wiring)
    library = family_of(transport, "BaseTransport")
    if library is not None:
        return GivenTransport(library.Client(transport=transport), owned=True)
    if not _is_transport(transport):
        hint = " (it is for an `AsyncClient`)" if _is_async(transport) else ""
        raise ValidationError(
            '`transport` must be "httpx", "httpx2", a `Transport` or a transport of httpx, '
            f"not `{type(transport).__name__}`{hint}"
        )
    return transport


def async_transport_for(
    transport: AnyAsyncTransport | None, http_client: object | None, wiring: Wiring
) -> AsyncTransport:
    """Return what sends the requests of an `AsyncClient`.

    Raises:
        ConfigurationError: an extra is missing, or the wiring is wrong.
        ValidationError: what was given cannot be a transport of an `AsyncClient`.
    """
    _refuse_both(transport, http_client, wiring)
    if http_client is not None:
        return AsyncGivenTransport(http_client)
    if transport is None or isinstance(transport, str):
        library = _library(transport or "httpx", ("httpx", "httpx2", "aiohttp"))
        if library.__name__ == "aiohttp":
            # Not at the top: it is an extra.
            from strait.client.transports.aio_aiohttp import AiohttpTransport  # noqa: PLC0415

            return AiohttpTransport(wiring)
        return AsyncHttpxTransport(library, wiring)
    found = family_of(transport, "AsyncBaseTransport")
    if found is not None:
        return AsyncGivenTransport(found.AsyncClient(transport=transport), owned=True)
    if not _is_async_transport(transport):
        hint = " (it is for a `Client`)" if _is_sync(transport) else ""
        raise ValidationError(
            '`transport` must be "httpx", "httpx2", "aiohttp", an `AsyncTransport` or a transport '
            f"of httpx, not `{type(transport).__name__}`{hint}"
        )
    return transport


def _is_transport(thing: object) -> TypeGuard[Transport]:
    return _sends(thing) and not inspect.iscoroutinefunction(getattr(thing, "send", None))


def _is_async_transport(thing: object) -> TypeGuard[AsyncTransport]:
    return _sends(thing) and inspect.iscoroutinefunction(getattr(thing, "send", None))


def _sends(thing: object) -> bool:
    return all(callable(getattr(thing, name, None)) for name in ("send", "open", "close"))


def _is_sync(thing: object) -> bool:
    return _is_transport(thing) or hasattr(thing, "handle_request")


def _is_async(thing: object) -> bool:
    return _is_async_transport(thing) or hasattr(thing, "handle_async_request")


def _library(name: str, known: tuple[str, ...]) -> ModuleType:
    if name == "aiohttp" and name not in known:
        raise ConfigurationError('`transport="aiohttp"` is for an `AsyncClient`: it only awaits')
    if name not in known:
        names = ", ".join(f'"{one}"' for one in known)
        raise ConfigurationError(f"`transport` must be one of {names}, not {name!r}")
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"`transport=\"{name}\"` needs an extra: pip install 'strait-python[{name}]'"
        ) from error


def _refuse_both(transport: object, http_client: object, wiring: Wiring) -> None:
    if http_client is not None and transport is not None:
        raise ValidationError("give `http_client` or `transport`, not both")
    own = transport is None or isinstance(transport, str)
    if wiring.is_given and (http_client is not None or not own):
        name = "http_client" if http_client is not None else "transport"
        raise ValidationError(
            f"`verify`, `cert`, `proxy` and `limits` belong to `{name}`: give them to that"
        )
