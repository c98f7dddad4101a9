"""Whether a browser is that of the person who runs this platform, on the same machine.

Such a browser gets a session without a key. Everything here errs on the side of asking: a proxy on
this machine makes the whole world look like loopback, and so do other people who share it.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from strait.server.doors import is_loopback, name_in
from strait.server.settings import Settings, is_loopback_address
from strait.server.streaming import Scope

# What proxies and tunnels add to requests that they pass on.
_PASSED_ON = frozenset(
    {
        b"forwarded", b"via", b"x-real-ip", b"x-client-ip", b"cf-connecting-ip", b"true-client-ip",
        b"x-original-host",
    }
)  # fmt: skip
_FORWARDED = b"x-forwarded-"


def is_same_origin(headers: dict[bytes, bytes], *, changes: bool) -> bool:
    """Return whether a request comes from a page of this server, as its browser says.

    Args:
        headers: the request's.
        changes: whether it asks to change something; then the browser must say so. What only reads
            may also be opened by hand, and no other page can read its answer.
    """
    origin = headers.get(b"origin")
    fetched_from = headers.get(b"sec-fetch-site")
    if origin is not None:
        site = urlsplit(origin.decode("latin-1")).netloc
        host = headers.get(b"host", b"").decode("latin-1")
        if not site or site.lower() != host.lower():
            return False
    if fetched_from is not None:
        return fetched_from == b"same-origin" or (not changes and fetched_from == b"none")
    return origin is not None or not changes


def is_the_owner(scope: Scope, headers: dict[bytes, bytes], settings: Settings) -> bool:
    """Return whether a request comes from this machine, through no proxy, by the same person."""
    if not settings.is_local or settings.trusted_proxies or settings.root_path:
        return False
    if settings.allowed_hosts or scope.get("http_version") == "1.0":
        return False
    if any(name in _PASSED_ON or name.startswith(_FORWARDED) for name in headers):
        return False
    host = headers.get(b"host", b"").decode("latin-1")
    client = scope.get("client") or ("", 0)
    if not host or not is_loopback(name_in(host)) or not is_loopback_address(client[0]):
        return False
    uid = peer_uid(client, scope.get("server") or ("", 0))
    return uid is None or uid == os.getuid()


def peer_uid(client: tuple[str, int], server: tuple[str, int]) -> int | None:
    """Return whose process the other end of a loopback connection is, or None if nobody tells.

    Linux lists the connections of the machine with their owners.
    """
    if not sys.platform.startswith("linux"):
        return None
    table = Path("/proc/net/tcp6" if ":" in client[0] else "/proc/net/tcp")
    wanted = [_in_table(*client), _in_table(*server)]
    try:
        for line in table.read_text("ascii").splitlines()[1:]:
            fields = line.split()
            if fields[1:3] == wanted:
                return int(fields[7])
    except (OSError, ValueError, IndexError):
        return None
    return None


def _in_table(address: str, port: int) -> str:
    """Return an address as the kernel writes it: words in the order of its own bytes."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, str(ipaddress.ip_address(address)))
    words = [packed[at : at + 4] for at in range(0, len(packed), 4)]
    if sys.byteorder == "little":
        words = [word[::-1] for word in words]
    return f"{b''.join(words).hex().upper()}:{port:04X}"
