"""Who may knock: the `Host` and the `Origin` of requests, before anything else of them is read.

A page on the web can have its own name stand for 127.0.0.1 (DNS rebinding), and any page can make a
browser send requests to loopback. A server on loopback therefore answers only to names of loopback,
and none answers what a page of another site sends to change something, unless it was told to.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from strait.server.errors import ApiError
from strait.server.http import Reply
from strait.server.settings import Settings, is_loopback_address

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_ANY = "*"
_REMEMBERED = 256
_SENT = (
    b"authorization", b"content-type", b"idempotency-key", b"x-idempotency-key", b"x-request-id",
    b"last-event-id", b"traceparent", b"tracestate",
)  # fmt: skip
_PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
    (b"access-control-allow-headers", b", ".join(_SENT)),
    (b"access-control-max-age", b"600"),
)
_EXPOSED = (
    b"x-request-id, retry-after, idempotency-replayed, idempotency-body-differs, "
    b"x-ratelimit-limit, x-ratelimit-remaining"
)

Headers = tuple[tuple[bytes, bytes], ...]


class Doors:
    """Decides by the names in a request whether it is read at all."""

    def __init__(self, settings: Settings) -> None:
        self._hosts = frozenset(name.lower() for name in settings.allowed_hosts)
        self._origins = frozenset(origin.rstrip("/").lower() for origin in settings.allow_origin)
        # Who is open to the network and names no hosts is reached under names that nobody knows.
        self._any_host = not self._hosts and not settings.is_local
        self._known: set[bytes] = set()

    def check(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        """Check the names of a request.

        Raises:
            ApiError: 421 for a name that is not of this server, 403 for a page of another site.
        """
        host = headers.get(b"host", b"")
        if not self._any_host and host not in self._known:
            self._check_host(host)
        origin = headers.get(b"origin")
        if origin is not None and method not in _SAFE:
            self._check_origin(origin.decode("latin-1"), host.decode("latin-1"))

    def preflight(self, method: str, headers: Mapping[bytes, bytes]) -> Reply | None:
        """Return the answer to a browser that asks whether a page may send a request."""
        if method != "OPTIONS" or b"access-control-request-method" not in headers:
            return None
        return Reply(204, b"", _PREFLIGHT) if self.cors(headers) else None

    def cors(self, headers: Mapping[bytes, bytes]) -> Headers:
        """Return what lets a page read an answer; nothing unless its site was named."""
        origin = headers.get(b"origin")
        if not self._origins or origin is None or not self._is_named(origin.decode("latin-1")):
            return ()
        return (
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"Origin"),
        )

    def _check_host(self, host: bytes) -> None:
        name = name_in(host.decode("latin-1"))
        # Browsers always say where they go; only programs leave it out.
        if host and not is_loopback(name) and name not in self._hosts:
            raise ApiError(
                421,
                "this server does not answer under the name in `Host`; "
                "allow a name with `--allowed-hosts`",
            )
        if len(self._known) < _REMEMBERED:
            self._known.add(host)

    def _check_origin(self, origin: str, host: str) -> None:
        if self._is_named(origin):
            return
        site = urlsplit(origin).netloc
        if not site or site.lower() != host.lower():
            raise ApiError(
                403,
                "pages of other sites may not change anything here; "
                "allow a site with `--allow-origin`, and have a proxy pass `Host` on",
            )

    def _is_named(self, origin: str) -> bool:
        return _ANY in self._origins or origin.lower() in self._origins


def is_loopback(name: str) -> bool:
    """Return whether a host name can only stand for this machine."""
    return name == "localhost" or name.endswith(".localhost") or is_loopback_address(name)


def name_in(host: str) -> str:
    """Return the name in a `Host` header, without its port."""
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        return name if not rest or rest.startswith(":") else host
    return host.partition(":")[0].rstrip(".").lower()
