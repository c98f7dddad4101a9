"""Run tokens: what lets a handler write for its run, and for no other (`contract/runs.md` §5)."""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from strait.clock import SECOND

ISSUER = "strait:run-token"
_ALGORITHM = "HS256"
# A token outlives its attempt by this much, so that the last words of a handler still arrive.
_GRACE_SECS = 60


class TokenError(Exception):
    """The token is no run token of this server, or too old."""


@dataclass(frozen=True, slots=True)
class RunToken:
    """What a run token says.

    Attributes:
        run_id: the run that it speaks for.
        attempt: the attempt that it was made for, from 1.
        assignment: the dispatch that it was made for.
    """

    run_id: str
    attempt: int
    assignment: str


def new_signing_key() -> str:
    """Return a key for signing tokens."""
    return secrets.token_hex(32)


def issue(key: str, token: RunToken, *, now: int, timeout_secs: int) -> str:
    """Return a token that lives as long as its attempt may."""
    issued = now // SECOND
    claims: dict[str, str | int] = {
        "iss": ISSUER,
        "sub": token.run_id,
        "attempt": token.attempt,
        "assignment_id": token.assignment,
        "iat": issued,
        "exp": issued + timeout_secs + _GRACE_SECS,
    }
    # Each dispatch makes one. PyJWT, which reads them, takes ten times as long to write the same.
    signed = _HEADER + b"." + _base64url(_encode(claims))
    signature = hmac.digest(key.encode(), signed, "sha256")
    return (signed + b"." + _base64url(signature)).decode()


def _base64url(data: bytes) -> bytes:
    """Encode without padding, as tokens have it (RFC 7515 §2)."""
    return urlsafe_b64encode(data).rstrip(b"=")


_encode = msgspec.json.Encoder().encode
_HEADER = _base64url(_encode({"alg": _ALGORITHM, "typ": "JWT"}))


def read(key: str, text: str, *, now: int) -> RunToken:
    """Check a token and return what it says.

    Raises:
        TokenError: with the contract's text for what is wrong.
    """
    claims = _claims(key, text)
    if claims["exp"] * SECOND <= now:
        raise TokenError("invalid run token")
    run_id, attempt = claims.get("sub"), claims.get("attempt")
    if not isinstance(run_id, str) or not run_id:
        raise TokenError("missing run ID in token")
    if not isinstance(attempt, int) or attempt < 1:
        raise TokenError("missing run attempt in token")
    return RunToken(run_id, attempt, str(claims.get("assignment_id", "")))


# A handler shows its token at each step, and to check it anew takes longer than to keep the step.
@lru_cache(maxsize=4_096)
def _claims(key: str, text: str) -> Mapping[str, Any]:
    """Return what a token of ours says, whether it is too old or not.

    Raises:
        TokenError: it is none of ours.
    """
    import jwt  # noqa: PLC0415 - a tenth of the start, which nobody waits for who reads none

    try:
        # The clock of the server decides over expiry, not the one that the library would read.
        claims: dict[str, Any] = jwt.decode(
            text,
            key,
            algorithms=[_ALGORITHM],
            issuer=ISSUER,
            options={"require": ["exp", "iss"], "verify_exp": False, "verify_iat": False},
        )
        return {**claims, "exp": int(claims["exp"])}
    except (jwt.InvalidTokenError, ValueError, TypeError) as error:
        raise TokenError("invalid run token") from error


# ------------------------------------------------------------------------------- event streams

SSE_ISSUER = "strait:sse"
SSE_SECS = 300


@dataclass(frozen=True, slots=True)
class SseToken:
    """What a token for event streams says: in whose name, where, and with which scopes.

    Attributes:
        actor: who made it.
        project_id: the only project that it opens.
        environment_id: the only environment, or "".
        scopes: what its maker may do; None is everything.
    """

    actor: str
    project_id: str
    environment_id: str
    scopes: frozenset[str] | None


def issue_sse(key: str, token: SseToken, *, now: int) -> tuple[str, int]:
    """Return a token for event streams and the instant at which it ends."""
    import jwt  # noqa: PLC0415 - as above

    expires = now // SECOND + SSE_SECS
    claims = {
        "iss": SSE_ISSUER,
        "sub": token.actor,
        "pid": token.project_id,
        "eid": token.environment_id,
        "scp": None if token.scopes is None else sorted(token.scopes),
        "exp": expires,
    }
    return jwt.encode(claims, key, algorithm=_ALGORITHM), expires * SECOND


def read_sse(key: str, text: str, *, now: int) -> SseToken:
    """Check a token for event streams and return what it says.

    Raises:
        TokenError: it is none of this server, or too old.
    """
    import jwt  # noqa: PLC0415 - as above

    try:
        claims = jwt.decode(
            text,
            key,
            algorithms=[_ALGORITHM],
            issuer=SSE_ISSUER,
            options={"require": ["exp", "iss"], "verify_exp": False},
        )
        expires, scopes = int(claims["exp"]), claims.get("scp")
    except (jwt.InvalidTokenError, ValueError, TypeError) as error:
        raise TokenError("invalid sse token") from error
    if expires * SECOND <= now:
        raise TokenError("sse token has expired")
    allowed = None if scopes is None else frozenset(map(str, scopes))
    return SseToken(str(claims["sub"]), str(claims["pid"]), str(claims["eid"]), allowed)
