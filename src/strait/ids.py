"""Identifiers as the platform makes them: UUIDv7 strings and `ver_` version ids."""

from __future__ import annotations

import os
import secrets
from os import urandom
from struct import unpack

_VERSION_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
# Of 64 random bits the variant takes the upper two (RFC 9562 §4.1).
_RANDOM_BITS = (1 << 62) - 1
_VARIANT = 1 << 63
_LOW_48 = (1 << 48) - 1
_AT_ONCE = 128

# Random ends of ids to come: one call of the system brings many.
_tails: list[int] = []
if hasattr(os, "register_at_fork"):
    # A forked process must not make the ids of its parent.
    os.register_at_fork(after_in_child=_tails.clear)


def uuid7(unix_us: int) -> str:
    """Return a UUIDv7 (RFC 9562 §5.7) for an instant in microseconds since the epoch.

    The 48-bit millisecond field is followed by the microseconds within that
    millisecond in `rand_a`, so that ids of one clock sort in the order of their making.
    """
    tail = _next_tail() & _RANDOM_BITS | _VARIANT
    milliseconds, microseconds = divmod(unix_us, 1000)
    # rand_a holds the sub-millisecond fraction in 12 bits (RFC 9562 §6.2, method 3).
    return "%08x-%04x-7%03x-%04x-%012x" % (  # noqa: UP031 - half the time of an f-string
        milliseconds >> 16,
        milliseconds & 0xFFFF,
        microseconds * 4096 // 1000,
        tail >> 48,
        tail & _LOW_48,
    )


def _next_tail() -> int:
    while True:
        try:
            return _tails.pop()
        except IndexError:  # also where another thread was quicker
            _tails.extend(unpack(f"{_AT_ONCE}Q", urandom(8 * _AT_ONCE)))


def version_id() -> str:
    """Return a version id: `ver_` and 12 characters of `[0-9a-z]`."""
    return "ver_" + "".join(secrets.choice(_VERSION_ALPHABET) for _ in range(12))
