"""A dispatch as it comes in: its headers and its body, in either of the two forms.

The platform sends the run's payload as the body and the run's token as `X-Run-Token`; its
documentation describes an envelope `{payload, metadata, job_id, run_id, attempt}` and
`X-SDK-Token`. Both are taken. An envelope is told from a payload that looks like one by its
`run_id`, which must be that of the header.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from strait.errors import Json

Headers: TypeAlias = Mapping[bytes, bytes]
"""Names in lower case, as ASGI gives them; of a repeated name the last counts."""

_SECRET_PREFIX = b"x-secret-"
_TIMEOUT_HEADER = b"x-strait-timeout-secs"


class BadDispatchError(ValueError):
    """A request is no dispatch of a platform; the text says why."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One dispatch of one attempt.

    Attributes:
        run_id: the run.
        job_id: the job.
        attempt: which attempt this is, from 1.
        token: the run's token; empty if the platform sent none.
        payload: the run's payload.
        timeout_secs: how long the platform waits for the answer; None if it does not say.
        last_checkpoint: the state that an earlier attempt checkpointed.
        previous_error: what the attempt before failed with.
        secrets: the job's secrets by name.
        trace: the trace headers that came with it, by lower-case name.
        undo_by_platform: whether the platform itself sees to it that steps are undone.
        undo_of: the run whose steps this dispatch is to undo; empty for none.
    """

    run_id: str
    job_id: str
    attempt: int
    token: str
    payload: Json
    timeout_secs: float | None
    last_checkpoint: Json
    previous_error: str | None
    secrets: Mapping[str, str]
    trace: Mapping[str, str] = field(default_factory=dict)
    undo_by_platform: bool = False
    undo_of: str = ""


def parse(headers: Headers, body: bytes) -> Dispatch:
    """Read a dispatch.

    Raises:
        BadDispatchError: the body is no JSON, or there is no run id.
    """
    run_id = _text(headers.get(b"x-run-id"))
    if not run_id:
        raise BadDispatchError(
            "the header `X-Run-ID` is missing; this address takes dispatches of a Strait platform"
        )
    payload, envelope = _unwrapped(_json(body, "the body"), run_id)
    token = headers.get(b"x-run-token") or headers.get(b"x-sdk-token")
    return Dispatch(
        run_id=run_id,
        job_id=_text(headers.get(b"x-job-id")) or str(envelope.get("job_id", "")),
        attempt=_attempt(headers.get(b"x-attempt"), envelope.get("attempt")),
        token=_text(token),
        payload=payload,
        timeout_secs=_seconds(headers.get(_TIMEOUT_HEADER)),
        last_checkpoint=_checkpoint(headers.get(b"x-last-checkpoint")),
        previous_error=_text(headers.get(b"x-previous-error")) or None,
        secrets={
            _text(name[len(_SECRET_PREFIX) :]).upper(): _text(value)
            for name, value in headers.items()
            if name.startswith(_SECRET_PREFIX)
        },
        trace={
            name.decode(): _text(headers[name])
            for name in (b"traceparent", b"tracestate")
            if name in headers
        },
        undo_by_platform=headers.get(b"x-strait-undo") == b"server",
        undo_of=_text(headers.get(b"x-strait-undo-of")),
    )


def is_endpoint_test(headers: Headers, body: bytes) -> bool:
    """Say whether this is the platform's question whether the endpoint is there."""
    if b"x-run-id" in headers or len(body) > 1000:
        return False
    try:
        said: Json = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.get("type") == "endpoint.test"


def assignment_of(headers: Headers) -> str:
    """Return the assignment that the run's token claims; empty if it has none.

    The token is the platform's and is checked there. Here nothing is granted by what it claims:
    the assignment only tells one dispatch from another.
    """
    token = headers.get(b"x-run-token") or headers.get(b"x-sdk-token") or b""
    parts = token.split(b".")
    if len(parts) != 3:
        return ""
    try:
        claims: Json = json.loads(base64.urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError, binascii.Error):
        return ""
    return str(claims.get("assignment_id", "")) if isinstance(claims, dict) else ""


def _unwrapped(body: Json, run_id: str) -> tuple[Json, Mapping[str, Json]]:
    if isinstance(body, dict) and "payload" in body and body.get("run_id") == run_id:
        return body["payload"], body
    return body, {}


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"`{name}` is no JSON")


_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


def _json(raw: bytes, what: str) -> Json:
    if not raw:
        return {}
    try:
        return _decode(raw.decode())
    except (ValueError, RecursionError) as error:
        raise BadDispatchError(f"{what} is no JSON: {error}") from error


def _checkpoint(raw: bytes | None) -> Json:
    """Read the state of the last checkpoint; one that cannot be read is as good as none."""
    if not raw:
        return None
    try:
        return _json(raw, "the checkpoint")
    except BadDispatchError:
        return None


def _attempt(header: bytes | None, enveloped: Json) -> int:
    if header is not None and header.isdigit():
        return int(header)
    return enveloped if isinstance(enveloped, int) and not isinstance(enveloped, bool) else 1


def _seconds(header: bytes | None) -> float | None:
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def _text(raw: bytes | None) -> str:
    if not raw:
        return ""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
