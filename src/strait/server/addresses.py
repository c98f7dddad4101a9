"""Which addresses this server may speak to (`contract/runs.md` §4.6).

On one machine handlers and receivers live on loopback, so that is allowed while the server itself
can be reached from there only; other private networks are not, since a request could otherwise be
made to reach into them. A name is looked at when it is given, and what it stands for again whenever
a connection is made.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass, field
from typing import TypeAlias
from unicodedata import normalize
from urllib.parse import urlsplit

from strait.server.errors import ApiError

Ip: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL_CHARS = 2048
_METADATA = "metadata.google.internal"
# IPv4 in the clothes of IPv6: as gateways translate it (RFC 6052), and as it once was written.
_TRANSLATED = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
# Cloud metadata over IPv6, which lies within a private network.
_METADATA_NETWORK = ipaddress.IPv6Network("fd00:ec2::/32")
# What `private` opens, and nothing beside (RFC 1918, RFC 4193).
_PRIVATE = (
    ipaddress.IPv4Network("10.0.0.0/8"),
    ipaddress.IPv4Network("172.16.0.0/12"),
    ipaddress.IPv4Network("192.168.0.0/16"),
    ipaddress.IPv6Network("fc00::/7"),
)
# What gateways of a network translate for themselves (RFC 8215).
_TRANSLATED_INSIDE = ipaddress.IPv6Network("64:ff9b:1::/48")


@dataclass(frozen=True, slots=True)
class Reach:
    """What connections may be made to.

    Attributes:
        loopback: any port of this machine.
        private: private networks, such as that of the containers of one composition; link-local
            addresses, among them those of cloud metadata, stay out of reach.
        own_ports: ports of this machine in any case, such as that of our own handlers.
    """

    loopback: bool = True
    private: bool = False
    own_ports: set[int] = field(default_factory=set)

    def forbids(self, host: str, port: int) -> bool:
        """Return whether a host, or the address that it stands for, may not be connected to."""
        if is_forbidden(host, private=self.private):
            return True
        return is_loopback(host) and not self.loopback and port not in self.own_ports


def endpoint(url: str | None, field: str, reach: Reach) -> str:
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
    # Digits of other scripts become plain ones where the name is resolved.
    host = normalize("NFKC", parts.hostname).replace("。", ".")
    if _is_odd(host) or (host != parts.hostname and is_ip(host)):
        raise ApiError(400, f"invalid {field}: write `{parts.hostname}` as four decimal numbers")
    if is_forbidden(host, private=reach.private):
        raise ApiError(400, f"invalid {field}: `{parts.hostname}` is a private address")
    return url


def secret_endpoint(url: str | None, field: str, reach: Reach) -> str:
    """Return a URL that is sent secrets: over TLS, or to this machine while loopback is in reach.

    Raises:
        ApiError: 400 with what is wrong.
    """
    checked = endpoint(url, field, reach)
    parts = urlsplit(checked)
    if parts.scheme == "http" and not (reach.loopback and is_loopback(parts.hostname or "")):
        raise ApiError(400, f"invalid {field}: it is sent a key, so its scheme must be https")
    return checked


def is_forbidden(host: str, *, private: bool = False) -> bool:
    """Return whether a host may not be spoken to; a name says nothing until it is resolved.

    Args:
        host: a name or an address.
        private: private networks may be spoken to.
    """
    if host.rstrip(".").lower() == _METADATA:
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    plain = _unwrapped(address)
    return _is_inside(plain) and not (private and _is_private(plain))


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine by its name or its address."""
    bare = host.partition("%")[0]
    if not is_ip(bare):
        return host.rstrip(".").lower() == "localhost"
    return _unwrapped(ipaddress.ip_address(bare)).is_loopback


def is_ip(host: str) -> bool:
    """Return whether a host is an IP address in itself."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_odd(host: str) -> bool:
    """Return whether a host is IPv4 in octal, hexadecimal or fewer numbers than four."""
    if is_ip(host):
        return False
    try:
        socket.inet_aton(host.rstrip("."))
    except (OSError, UnicodeEncodeError, ValueError):
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
    if any(address in network for network in _TRANSLATED) and int(address) > 1:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_private(address: Ip) -> bool:
    return address not in _METADATA_NETWORK and any(address in network for network in _PRIVATE)


def _is_inside(address: Ip) -> bool:
    if address.is_loopback:
        return False
    return not address.is_global or address.is_multicast or address in _TRANSLATED_INSIDE
