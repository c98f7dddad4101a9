"""Headers that a dispatch carries beside its ids: signature, trace, error, checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from strait import signing
from strait.clock import SECOND

Header = tuple[bytes, bytes]

# Where a trigger's trace headers are kept in the metadata of its run.
TRACE_METADATA = {
    "_trace_parent": b"Traceparent",
    "_trace_state": b"Tracestate",
    "_sentry_trace": b"Sentry-Trace",
    "_baggage": b"Baggage",
}
_MAX_HEADER_CHARS = 2_048


def signature(secret: str, body: bytes, now: int) -> list[Header]:
    """Return the headers that prove who sent a body, and when."""
    stamp = now // SECOND
    return [
        (b"X-Strait-Timestamp", str(stamp).encode()),
        (b"X-Strait-Signature", signing.sign(secret, stamp, body).encode()),
    ]


def trace(metadata: Mapping[str, str]) -> list[Header]:
    """Return the trace headers that the trigger of a run brought."""
    if not metadata:
        return []
    return [
        (header, header_text(metadata[name]))
        for name, header in TRACE_METADATA.items()
        if name in metadata
    ]


def trace_of(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return what of a run's metadata says which trace it is in, for a run that comes of it."""
    return {name: metadata[name] for name in TRACE_METADATA if name in metadata}


def header_text(text: str) -> bytes:
    """Return text as one header line: printable ASCII, cut to a length that servers accept."""
    cut = text[:_MAX_HEADER_CHARS]
    return "".join(c if " " <= c <= "~" else "?" for c in cut).encode()


def json_header(value: bytes) -> bytes:
    """Return JSON as one header line: escapes stand for all that is not ASCII."""
    text = msgspec.json.format(value, indent=-1).decode()
    return "".join(c if c < "\x80" else _escape(c) for c in text).encode("ascii")


def _escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
