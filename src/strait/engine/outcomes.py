"""What came of one dispatch, and which error class it belongs to (`contract/runs.md` §4.3)."""

from __future__ import annotations

from msgspec import Struct

MAX_RESULT_BYTES = 1024 * 1024

# Sent to dead letter at once: trying again would give the same answer.
NOT_RETRYABLE = frozenset({"client", "auth", "budget", "oom"})
# The fallback URL is only asked when the primary may be down, not when it answered with an error.
FALLBACK_CLASSES = frozenset({"rate_limited", "transient", "connection", "timeout"})


class Succeeded(Struct, frozen=True):
    """A 2xx answer; `result` is JSON text, or None for an empty body."""

    result: str | None


class Erred(Struct, frozen=True):
    """Anything else.

    Attributes:
        error: what went wrong, for the run's `error`.
        error_class: one of the API's error classes.
        retry_after_secs: when the handler asked to be called again, if it did.
        final: never retried, whatever its class.
    """

    error: str
    error_class: str
    retry_after_secs: float | None = None
    final: bool = False


def class_of_status(status: int) -> str:
    """Return the error class of an HTTP status that is not 2xx."""
    if status == 429:
        return "rate_limited"
    if status in {401, 403}:
        return "auth"
    if 400 <= status < 500:
        return "client"
    if status >= 500:
        return "server"
    return "unknown"  # redirects are not followed


def class_of_message(message: str) -> str:
    """Return the error class that the text of a failure tells, or "" when it tells none."""
    text = message.lower()
    if "budget exceeded" in text or "cost limit" in text:
        return "budget"
    if "out of memory" in text or "oom" in text.split() or "memoryerror" in text:
        return "oom"
    return ""
