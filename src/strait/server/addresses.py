"""Which addresses this server may speak to (`contract/runs.md` §4.6).

On one machine handlers and receivers live on loopback, so that is allowed; other private networks
are not, since a request could otherwise be made to reach into them. A name is looked at when it is
given, and what it stands for again whenever a connection is made.
"""

from __future__ import annotations

import ipaddress
from typing import TypeAlias
from urllib.parse import urlsplit

from strait.server.errors import ApiError

Ip: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL_CHARS = 2048
_METADATA = "metadata.google.internal"
# IPv4 in the clothes of IPv6, as gateways translate it (RFC 6052).
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


def endpoint(url: str | None, field: str) -> str:
    """Return a URL that this server may call; none is "".

    Raises:
        ApiError: 400 with what is wrong.
    """
    if not url:
        return ""
    if len(url) > MAX_URL_CHARS:
        raise ApiError(400, f"invalid {field}: longer than {MAX_URL_CHARS} characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ApiError(400, f"invalid {field}: {error}") from error
    if parts.scheme not in {"http", "https"}:
        raise ApiError(400, f"invalid {field}: scheme must be http or https")
    if not parts.hostname or port == 0:
        raise ApiError(400, f"invalid {field}: it has no host")
    if parts.username or parts.password:
        raise ApiError(400, f"invalid {field}: credentials do not belong into a URL")
    if is_forbidden(parts.hostname):
        raise ApiError(400, f"invalid {field}: `{parts.hostname}` is a private address")
    return url


def is_forbidden(host: str) -> bool:
    """Return whether a host may not be spoken to; a name says nothing until it is resolved."""
    if host.rstrip(".").lower() == _METADATA:
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return _is_inside(_unwrapped(address))


def is_ip(host: str) -> bool:
    """Return whether a host is an IP address in itself."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def shown(url: str) -> str:
    """Return what may be shown of a URL: its scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _unwrapped(address: Ip) -> Ip:
    """Return the IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_inside(address: Ip) -> bool:
    return not address.is_loopback and (not address.is_global or address.is_multicast)
