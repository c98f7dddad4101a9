"""Identifiers as the platform makes them: UUIDv7 strings and `ver_` version ids."""

from __future__ import annotations

import secrets
from os import urandom

_VERSION_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def uuid7(unix_us: int) -> str:
    """Return a UUIDv7 (RFC 9562 §5.7) for an instant in microseconds since the epoch.

    The 48-bit millisecond field is followed by the microseconds within that
    millisecond in `rand_a`, so that ids of one clock sort in the order of their making.
    """
    milliseconds, microseconds = divmod(unix_us, 1000)
    # rand_a holds the sub-millisecond fraction in 12 bits (RFC 9562 §6.2, method 3).
    head = f"{milliseconds:012x}7{microseconds * 4096 // 1000:03x}"
    tail = urandom(8).hex()
    variant = "89ab"[int(tail[0], 16) & 3]
    return f"{head[:8]}-{head[8:12]}-{head[12:16]}-{variant}{tail[1:4]}-{tail[4:]}"


def version_id() -> str:
    """Return a version id: `ver_` and 12 characters of `[0-9a-z]`."""
    return "ver_" + "".join(secrets.choice(_VERSION_ALPHABET) for _ in range(12))
