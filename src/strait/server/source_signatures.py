"""Whether an event comes from whom its source says: signatures as GitHub, Stripe and we write them.

Signed are the bytes of the body's `payload`, as they were sent (`contract/runs.md` §9.2).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from hashlib import sha256

ALGORITHMS = ("hmac-sha256", "github-sha256", "stripe-v1")
TOLERANCE_SECS = 300
_DEFAULT_HEADERS = {
    "hmac-sha256": "X-Signature",
    "github-sha256": "X-Hub-Signature-256",
    "stripe-v1": "Stripe-Signature",
}
_SHA256 = "sha256="
_HEX_DIGITS = 64


def header_of(algorithm: str, chosen: str) -> str:
    """Return the name of the header that has the signature."""
    return chosen or _DEFAULT_HEADERS[algorithm]


def rejection(algorithm: str, secret: str, signature: str, body: bytes, now_secs: int) -> str:
    """Say why a signature is not believed; empty where it is."""
    if not signature:
        return "the event is not signed"
    return _CHECKS[algorithm](secret, signature, body, now_secs)


def identity(signature: str, body: bytes) -> str:
    """Return what tells a signed event from every other, however its header is written."""
    stamp, _ = _stamp_and_signatures(signature)
    return f"{stamp}:{sha256(body).hexdigest()}"


def _stamp_and_signatures(signature: str) -> tuple[str, list[str]]:
    parts = [part.strip().partition("=") for part in signature.split(",")]
    stamp = next((value for name, _, value in parts if name == "t"), "")
    return stamp, [value for name, _, value in parts if name == "v1"]


def _sha256(secret: str, signature: str, body: bytes, now_secs: int) -> str:
    del now_secs
    given = signature.removeprefix(_SHA256)
    return "" if _is(secret, body, given) else "the signature does not match"


def _stripe(secret: str, signature: str, body: bytes, now_secs: int) -> str:
    stamp, given = _stamp_and_signatures(signature)
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        return "the signature has no timestamp"
    signed = f"{stamp}.".encode() + body
    # Every one is tried: while a secret is rotated there are several.
    good = [_is(secret, signed, one) for one in given]
    if not any(good):
        return "the signature does not match"
    if abs(now_secs - int(stamp)) > TOLERANCE_SECS:
        return f"the signature is more than {TOLERANCE_SECS} s away from this host's clock"
    return ""


def _is(secret: str, body: bytes, given: str) -> bool:
    expected = hmac.digest(secret.encode(), body, "sha256").hex()
    return len(given) == _HEX_DIGITS and hmac.compare_digest(
        expected.encode(), given.lower().encode(errors="replace")
    )


_CHECKS: dict[str, Callable[[str, str, bytes, int], str]] = {
    "hmac-sha256": _sha256,
    "github-sha256": _sha256,
    "stripe-v1": _stripe,
}
