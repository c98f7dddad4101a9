"""Sessions of browsers: a random cookie that stands for an API key, until either ends.

The database keeps the digest of the cookie and that of the key, so that a copy of it opens nothing.
"""

from __future__ import annotations

import secrets
import sqlite3
from hashlib import sha256

from msgspec import Struct, json

from strait.clock import SECOND, Timestamp, to_timestamp
from strait.server.unit import Unit
from strait.store import meta

LIFETIME_HOURS = 12
_FACT = "dashboard_session:"


class Session(Struct, frozen=True, kw_only=True):
    """A session as it is kept.

    Attributes:
        key_hash: the digest of the key that it stands for.
        expires_at: when it ends at the latest.
    """

    key_hash: str
    expires_at: Timestamp


def begin(unit: Unit, key_hash: str) -> str:
    """Make a session and return its cookie; what is over goes at the same time."""
    for name, value in meta.facts(unit.db, _FACT):
        if json.decode(value, type=Session).expires_at <= unit.stamp:
            meta.forget_meta(unit.db, name)
    cookie = secrets.token_urlsafe(32)
    expires_at = to_timestamp(unit.now + LIFETIME_HOURS * 3600 * SECOND)
    session = Session(key_hash=key_hash, expires_at=expires_at)
    meta.set_meta(unit.db, _name(cookie), json.encode(session).decode())
    return cookie


def find(db: sqlite3.Connection, cookie: str, now: int) -> Session | None:
    """Return the session of a cookie, or None when there is none or it is over."""
    kept = meta.get_meta(db, _name(cookie))
    session = None if kept is None else json.decode(kept, type=Session)
    if session is None or session.expires_at <= to_timestamp(now):
        return None
    return session


def end(unit: Unit, cookie: str) -> None:
    """End a session, if there is one."""
    meta.forget_meta(unit.db, _name(cookie))


def cookie_name(host: str) -> str:
    """Return the name of the cookie: browsers share cookies between the ports of a host."""
    port = host.rpartition(":")[2]
    return f"strait_session_{port}" if port.isdigit() else "strait_session"


def cookie_in(headers: dict[bytes, bytes]) -> str:
    """Return the session's cookie in the headers of a request, or ""."""
    name = cookie_name(headers.get(b"host", b"").decode("latin-1"))
    for pair in headers.get(b"cookie", b"").decode("latin-1").split(";"):
        found, _, value = pair.strip().partition("=")
        if found == name:
            return value
    return ""


def set_cookie(host: str, value: str, *, path: str, secure: bool) -> bytes:
    """Return the header that sets the cookie, or with an empty value removes it."""
    age = LIFETIME_HOURS * 3600 if value else 0
    text = f"{cookie_name(host)}={value}; Path={path}; Max-Age={age}; HttpOnly; SameSite=Strict"
    return (text + "; Secure" if secure else text).encode("latin-1")


def _name(cookie: str) -> str:
    return _FACT + sha256(cookie.encode()).hexdigest()
