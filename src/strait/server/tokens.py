"""Run tokens: what lets a handler write for its run, and for no other (`contract/runs.md` §5)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import jwt

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
    claims = {
        "iss": ISSUER,
        "sub": token.run_id,
        "attempt": token.attempt,
        "assignment_id": token.assignment,
        "iat": issued,
        "exp": issued + timeout_secs + _GRACE_SECS,
    }
    return jwt.encode(claims, key, algorithm=_ALGORITHM)


def read(key: str, text: str, *, now: int) -> RunToken:
    """Check a token and return what it says.

    Raises:
        TokenError: with the contract's text for what is wrong.
    """
    try:
        # The clock of the server decides over expiry, not the one that the library would read.
        claims = jwt.decode(
            text,
            key,
            algorithms=[_ALGORITHM],
            issuer=ISSUER,
            options={"require": ["exp", "iss"], "verify_exp": False, "verify_iat": False},
        )
        expires = int(claims["exp"])
    except (jwt.InvalidTokenError, ValueError, TypeError) as error:
        raise TokenError("invalid run token") from error
    if expires * SECOND <= now:
        raise TokenError("invalid run token")
    run_id, attempt = claims.get("sub"), claims.get("attempt")
    if not isinstance(run_id, str) or not run_id:
        raise TokenError("missing run ID in token")
    if not isinstance(attempt, int) or attempt < 1:
        raise TokenError("missing run attempt in token")
    return RunToken(run_id, attempt, str(claims.get("assignment_id", "")))
