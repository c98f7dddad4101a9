"""No exception of an HTTP library reaches a user, and only what was not sent is said to be so."""

from __future__ import annotations

import asyncio
import ssl
from types import ModuleType
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from strait import AsyncClient, Client, TransportError, TransportTimeoutError

from .conftest import KEY

_KEY = ConnectionKey("platform.test", 443, *(True, True), *(None, None, None))
_ABOUT = aiohttp.RequestInfo(URL("http://platform.test"), "GET", None, URL("http://platform.test"))  # type: ignore[arg-type] # headers do not matter here
# What classes are made with, from the one that is most demanding.
_ARGUMENTS: tuple[tuple[Any, ...], ...] = (
    (_KEY, ssl.SSLCertVerificationError(1, "no")),
    (_KEY, OSError(111, "refused")),
    (b"a", b"b", "platform.test", 443),
    (_ABOUT, ()),
    ("it failed",),
    (),
)
_UNSENT_HTTPX = {
    "ConnectError",
    "ConnectTimeout",
    "PoolTimeout",
    "UnsupportedProtocol",
    "ProxyError",
}
_UNSENT_AIOHTTP = {
    "ClientConnectorError",
    "ClientConnectorDNSError",
    "ClientConnectorSSLError",
    "ClientConnectorCertificateError",
    "ClientHttpProxyError",
    "ClientProxyConnectionError",
    "ClientSSLError",
    "ConnectionTimeoutError",
    "InvalidURL",
    "InvalidUrlClientError",
    "InvalidUrlRedirectClientError",
    "NonHttpUrlClientError",
    "NonHttpUrlRedirectClientError",
    "ServerFingerprintMismatch",
    "UnixClientConnectorError",
}


def exceptions_of(library: ModuleType) -> list[type[Exception]]:
    found = {
        thing
        for name in dir(library)
        if isinstance(thing := getattr(library, name), type)
        and issubclass(thing, Exception)
        and not issubclass(thing, Warning)
    }
    return sorted(found, key=lambda cls: cls.__name__)


def instance_of(cls: type[Exception], library: ModuleType) -> Exception:
    if cls.__name__ == "HTTPStatusError":
        request = library.Request("GET", "http://platform.test")
        return cls("it failed", request=request, response=library.Response(500))  # type: ignore[call-arg] # this one takes them
    if cls.__name__ == "UnixClientConnectorError":
        return cls("/socket", _KEY, OSError(111, "refused"))
    for arguments in _ARGUMENTS:
        try:
            made = cls(*arguments)
            str(made)
        except (TypeError, AttributeError):
            continue
        return made
    raise AssertionError(f"nobody knows how to make a {cls.__name__}")


FAMILY = [(library, cls) for library in (httpx, httpx2) for cls in exceptions_of(library)]


def names(value: object) -> str:
    return str(getattr(value, "__name__", value))


@pytest.mark.parametrize("given", [True, False], ids=["given", "own"])
@pytest.mark.parametrize(("library", "cls"), FAMILY, ids=names)
def test_every_exception_of_the_httpx_family_is_mapped(
    library: Any, cls: type[Exception], given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(*_: object) -> Any:
        raise instance_of(cls, library)

    async def raises_async(*_: object) -> Any:
        raise instance_of(cls, library)

    monkeypatch.setattr(library.HTTPTransport, "handle_request", raises)
    monkeypatch.setattr(library.AsyncHTTPTransport, "handle_async_request", raises_async)
    http = {"http_client": library.Client()} if given else {"transport": library.__name__}
    with (
        Client(base_url="http://platform.test", api_key=KEY, retry=None, **http) as client,
        pytest.raises(TransportError) as caught,
    ):
        client.jobs.get("job_1")

    async def call() -> None:
        http = {"http_client": library.AsyncClient()} if given else {"transport": library.__name__}
        options: Any = {"base_url": "http://platform.test", "api_key": KEY, "retry": None, **http}
        async with AsyncClient(**options) as client:
            await client.jobs.get("job_1")

    with pytest.raises(TransportError) as caught_async:
        asyncio.run(call())
    for error in (caught.value, caught_async.value):
        assert error.sent == (cls.__name__ not in _UNSENT_HTTPX)
        assert isinstance(error, TransportTimeoutError) == issubclass(cls, library.TimeoutException)
        assert isinstance(error.__cause__, cls)


@pytest.mark.parametrize("cls", exceptions_of(aiohttp), ids=names)
def test_every_exception_of_aiohttp_is_mapped(
    cls: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def raises(*_: object, **__: object) -> Any:
        raise instance_of(cls, aiohttp)

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", raises)

    async def call() -> None:
        options: Any = {"base_url": "http://platform.test", "api_key": KEY, "retry": None}
        async with AsyncClient(transport="aiohttp", **options) as client:
            await client.jobs.get("job_1")

    with pytest.raises(TransportError) as caught:
        asyncio.run(call())
    # What connects raises a timeout only while nothing was sent.
    is_timeout = issubclass(cls, TimeoutError)
    assert caught.value.sent == (cls.__name__ not in _UNSENT_AIOHTTP and not is_timeout)
    assert isinstance(caught.value, TransportTimeoutError) == is_timeout


@pytest.mark.parametrize("cls", exceptions_of(aiohttp), ids=names)
def test_every_exception_of_aiohttp_in_a_body_is_mapped_as_sent(
    cls: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    from strait.client.effects import Request
    from strait.client.transports.aio_aiohttp import AiohttpBody

    class Broken:
        @property
        def content(self) -> Any:
            return self

        async def readany(self) -> bytes:
            raise instance_of(cls, aiohttp)

    broken: Any = Broken()
    body = AiohttpBody(broken, Request("GET", "http://platform.test/x", {}))
    with pytest.raises(TransportError):
        asyncio.run(body.read())
