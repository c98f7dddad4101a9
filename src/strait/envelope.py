"""What the answers of the platform say of an error, in each of the forms that they have."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias

Json: TypeAlias = Any


class Envelope:
    """What a body of any of the platform's error shapes says."""

    __slots__ = ("code", "details", "message", "request_id")

    def __init__(self, code: Json, message: Json, details: Json, request_id: Json) -> None:
        self.code = code if isinstance(code, str) else None
        self.message = message if isinstance(message, str) else _as_text(message)
        self.details = [str(line) for line in details] if isinstance(details, list) else []
        self.request_id = request_id if isinstance(request_id, str) else None


def _as_text(message: Json) -> str:
    return "" if message is None else json.dumps(message)


def envelope(body: Json) -> Envelope:
    """Read the nested form, the form with an error string, and the flat form.

    They are `{"error": {"code", "message", "details"}, "request_id"}`, `{"error": "text"}` (whose
    text is a code in the device login), and `{"code", "message"}` of quotas; anything else, such
    as the page of a proxy, says nothing that could be trusted to be a message.
    """
    if not isinstance(body, dict):
        text = body.strip() if isinstance(body, str) else ""
        short = text if len(text) <= 200 and not text.startswith("<") else ""
        return Envelope(None, short, None, None)
    error = body.get("error")
    request_id = body.get("request_id")
    if isinstance(error, dict):
        return Envelope(error.get("code"), error.get("message"), error.get("details"), request_id)
    if isinstance(error, str):
        code = body.get("code", error if error.replace("_", "").isalpha() else None)
        return Envelope(code, body.get("message", error), body.get("details"), request_id)
    return Envelope(body.get("code"), body.get("message"), body.get("details"), request_id)


def retry_after_secs(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `Retry-After` (or `Retry-After-Ms`) asks for, or None.

    Args:
        headers: headers of an answer, with names in lower case. A date is read against the `date`
            header of the same answer, so that no clock of ours is needed.
    """
    millis = _seconds(headers.get("retry-after-ms"))
    if millis is not None:
        return millis / 1000
    value = headers.get("retry-after")
    if value is None:
        return None
    secs = _seconds(value)
    return secs if secs is not None else _secs_until(value, headers.get("date"))


def secs_told_in(details: Sequence[str]) -> float | None:
    """Return the seconds of a line `retry_after_seconds=5`, which throttled triggers carry."""
    for line in details:
        name, _, value = line.partition("=")
        if name.strip() == "retry_after_seconds":
            return _seconds(value)
    return None


def _secs_until(date: str, answered: str | None) -> float | None:
    try:
        wait = parsedate_to_datetime(date) - parsedate_to_datetime(answered or "")
    except (ValueError, TypeError):
        return None
    return max(0.0, wait.total_seconds())


def _seconds(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    # What is below zero is no time to come back, and so no sign of a refusal at the door.
    return number if 0 <= number < math.inf else None
