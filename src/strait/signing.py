"""Signatures of what the platform sends: HMAC-SHA256 over `<unix seconds>.<body>`.

A dispatch carries the two headers below if its job has a signing secret. The body is signed as
the bytes that are sent, so it has to be checked before it is parsed.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SIGNATURE_HEADER = "X-Strait-Signature"
TIMESTAMP_HEADER = "X-Strait-Timestamp"
TOLERANCE_SECS = 300
"""How far a signature's timestamp may be from the receiver's clock, either way."""

_SCHEME = "v1="
# Seconds since the epoch have at most this many digits for the next thirty thousand years.
_LONGEST_TIMESTAMP = 12


def sign(secret: str, timestamp: int | str, body: bytes) -> str:
    """Return the value of the signature header for a body sent at `timestamp` (unix seconds)."""
    message = b"%s.%s" % (str(timestamp).encode(), body)
    return _SCHEME + hmac.digest(secret.encode(), message, "sha256").hex()


def verify(
    secret: str | Sequence[str],
    timestamp: str,
    signature: str,
    body: bytes,
    *,
    now: float,
    tolerance_secs: int = TOLERANCE_SECS,
) -> bool:
    """Say whether a signature is right for these bytes and fresh.

    Args:
        secret: the secret, or all that are valid while one is being rotated.
        timestamp: the value of the timestamp header.
        signature: the value of the signature header.
        body: the bytes that were received.
        now: the receiver's clock, in unix seconds.
        tolerance_secs: how far `timestamp` may be from `now`.
    """
    return not rejection(secret, timestamp, signature, body, now=now, tolerance_secs=tolerance_secs)


def rejection(
    secret: str | Sequence[str],
    timestamp: str,
    signature: str,
    body: bytes,
    *,
    now: float,
    tolerance_secs: int = TOLERANCE_SECS,
) -> str:
    """Say why `verify` refuses; empty if it does not."""
    if not timestamp or not signature:
        return "the signature is missing"
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _LONGEST_TIMESTAMP):
        return "the timestamp is not in unix seconds"
    secrets = (secret,) if isinstance(secret, str) else secret
    given = signature.encode(errors="replace")
    # Every secret is tried, so that the time taken does not tell which one fits.
    good = [hmac.compare_digest(sign(one, timestamp, body).encode(), given) for one in secrets]
    if not any(good):
        return "the signature does not match"
    if abs(now - int(timestamp)) > tolerance_secs:
        return f"the signature is more than {tolerance_secs} s away from this host's clock"
    return ""
