"""Webhooks that the platform sends: check that one is genuine and fresh, and read it.

    event = strait.webhooks.unwrap(await request.body(), request.headers, secret)
    if event.type == "run.failed":
        print(event.data["run_id"], event.data["error"])

The body has to be the bytes as they came: parsed and written again, the signature fits no more.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from strait.errors import DecodeError, WebhookSignatureError
from strait.signing import SIGNATURE_HEADER, TIMESTAMP_HEADER, TOLERANCE_SECS, rejection

__all__ = ["WebhookEvent", "WebhookSignatureError", "unwrap"]

# While a secret is rotated the platform also signs with the one before.
_SIGNATURES = (SIGNATURE_HEADER.lower(), f"{SIGNATURE_HEADER.lower()}-old")


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """A webhook that is genuine.

    Attributes:
        type: what happened, such as `run.completed`; empty where the platform does not say.
        data: the whole JSON of the body.
        delivery_id: the delivery; the same in every attempt of it.
        replay_key: the same in every attempt and every replay: keep it to do things once.
        attempt: which attempt this is, and of how many, such as `1/3`.
        headers: the headers, with names in lower case.
    """

    type: str
    data: Mapping[str, Any]
    delivery_id: str = ""
    replay_key: str = ""
    attempt: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def unwrap(
    body: bytes | str,
    headers: Mapping[str, str],
    secrets: str | Sequence[str],
    *,
    tolerance_secs: int = TOLERANCE_SECS,
    now: float | None = None,
) -> WebhookEvent:
    """Check the signature of a webhook and return what it says.

    Args:
        body: the body as it came.
        headers: the headers, by names of any case.
        secrets: the signing secret (`whsec_…`), or all that are valid while one is rotated.
        tolerance_secs: how far the webhook's clock and ours may be apart, either way.
        now: our clock in unix seconds; by default the real one.

    Raises:
        WebhookSignatureError: it is not signed with any of the secrets, or not fresh.
        DecodeError: it is genuine, and its body is no JSON object.
        ValueError: there is no secret.
    """
    known = [secrets] if isinstance(secrets, str) else list(secrets)
    if not known or not all(known):
        raise ValueError("`secrets` must be the signing secret, or a list of them, none empty")
    content = body.encode() if isinstance(body, str) else body
    found = {name.lower(): value for name, value in headers.items()}
    _check(content, found, known, time.time() if now is None else now, tolerance_secs)
    data = _object(content)
    kind = data.get("type")
    return WebhookEvent(
        type=kind if isinstance(kind, str) else "",
        data=MappingProxyType(data),
        delivery_id=found.get("x-strait-delivery-id", ""),
        replay_key=found.get("x-strait-replay-key", ""),
        attempt=found.get("x-strait-attempt", ""),
        headers=MappingProxyType(found),
    )


def _check(
    content: bytes, headers: Mapping[str, str], secrets: list[str], now: float, tolerance: int
) -> None:
    timestamp = headers.get(TIMESTAMP_HEADER.lower(), "")
    reasons = [
        rejection(
            secrets, timestamp, headers.get(name, ""), content, now=now, tolerance_secs=tolerance
        )
        for name in _SIGNATURES
    ]
    if all(reasons):
        raise WebhookSignatureError(f"the webhook is refused: {reasons[0]}")


def _object(content: bytes) -> dict[str, Any]:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        text = content.decode("utf-8", "replace")
        raise DecodeError(f"the webhook is no JSON: {error}", text, error) from error
    if not isinstance(data, dict):
        text = content.decode("utf-8", "replace")
        raise DecodeError(f"the webhook must be a JSON object, not {type(data).__name__}", text)
    return data
