"""Failures: from the exceptions of HTTP libraries to ours, and whether the request was sent.

`sent=False` is said only where the platform cannot have seen the request. Everything else is
taken as sent, because a retry of what was done already would do it twice.
"""

from __future__ import annotations

from types import ModuleType
from urllib.parse import urlsplit

from strait.client.effects import Request
from strait.errors import StraitError, TransportError, TransportTimeoutError

# Nothing was sent when one of these is raised; both libraries of the family have them.
_UNSENT = ("ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "ProxyError")


def what(request: Request) -> str:
    """Return how errors name a request; its query may hold a token."""
    return f"{request.method} {request.url.partition('?')[0]}"


def text_of(error: BaseException) -> str:
    """Return what an exception says, or else its name."""
    return str(error) or type(error).__name__


def closed(request: Request, cause: BaseException | None = None) -> TransportError:
    """Return the error of a client that was closed."""
    return TransportError(f"{what(request)}: the client is closed", cause, sent=False)


def late(request: Request) -> TransportTimeoutError:
    """Return the error of a call whose deadline has passed while it was under way."""
    return TransportTimeoutError(f"{what(request)}: the deadline has passed")


def by_way_of(error: StraitError, proxy: str | None) -> StraitError:
    """Name the proxy in an error of connecting: it may be the one that cannot be reached."""
    if proxy is not None and isinstance(error, TransportError) and not error.sent:
        parts = urlsplit(proxy)  # what else stands in it may be a password
        place = f"{parts.hostname}:{parts.port}" if parts.port else f"{parts.hostname}"
        error.args = (f"{error} (through the proxy {place})",)
    return error


class HttpxFailures:
    """Maps the exceptions of `httpx`, or of `httpx2`.

    Attributes:
        caught: what a client of the library may raise. What user code within it raises (hooks,
            scripted transports) is not in it, and goes through.
    """

    def __init__(self, library: ModuleType) -> None:
        self.caught: tuple[type[Exception], ...] = (
            library.HTTPError,
            library.InvalidURL,
            library.CookieConflict,
            RuntimeError,  # a closed client, or a stream that was read already
            OSError,
        )
        self._timeout: type[Exception] = library.TimeoutException
        self._unsent = tuple(getattr(library, name) for name in _UNSENT)

    def mapped(self, error: Exception, request: Request, built: object = None) -> StraitError:
        """Return our error for one of the library; `built` is the library's own request."""
        if "client has been closed" in str(error):
            return closed(request, error)
        # Of a redirect that the user's client follows by itself, the first request was sent.
        hop = getattr(error, "_request", None)
        sent = not isinstance(error, self._unsent) or (hop is not None and hop is not built)
        if isinstance(error, self._timeout | TimeoutError):
            message = f"{what(request)}: timed out: {text_of(error)}"
            return TransportTimeoutError(message, error, sent=sent)
        return TransportError(f"{what(request)}: {text_of(error)}", error, sent=sent)
