"""What a handler's HTTP answer means for its run (`contract/runs.md` §4.2-4.3)."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

import msgspec

from strait.clock import SECOND
from strait.engine import outcomes
from strait.engine.model import Job
from strait.server import checks
from strait.server.outbound import Answer

_MAX_ERROR_CHARS = 4_096
_SECONDS = re.compile(r"\d{1,12}(?:\.\d{1,6})?", re.ASCII)
# As far ahead as a run may be scheduled; a handler that asks for more has made a mistake.
LONGEST_PAUSE_SECS = 30 * 24 * 3600.0


class _HandlerError(msgspec.Struct):
    type: str
    message: str


class _HandlerFailure(msgspec.Struct):
    error: _HandlerError


_failure_decoder = msgspec.json.Decoder(_HandlerFailure)


def read_answer(answer: Answer, now: int) -> outcomes.Succeeded | outcomes.Erred:
    """Return what a handler's HTTP answer means for its run."""
    if 200 <= answer.status < 300:
        return outcomes.Succeeded(read_result(answer.body))
    error = f"endpoint returned {answer.status}"
    error_class = outcomes.class_of_status(answer.status)
    try:
        failure = _failure_decoder.decode(answer.body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # not one of our hosts, which tell what was raised
    else:
        error = f"{failure.type}: {failure.message}"[:_MAX_ERROR_CHARS]
        error_class = outcomes.class_of_message(error) or error_class
    return outcomes.Erred(error, error_class, _pause_asked_for(answer, now))


def fitting(
    outcome: outcomes.Succeeded | outcomes.Erred, job: Job
) -> outcomes.Succeeded | outcomes.Erred:
    """Return an outcome; a result that does not fit the schema of its job is a failed attempt.

    It is one that may be tried again, as where `complete` is refused with 422 and the handler fails
    of that.
    """
    if isinstance(outcome, outcomes.Erred) or job.result_schema is None:
        return outcome
    result = None if outcome.result is None else msgspec.json.decode(outcome.result)
    problem = checks.mismatch(result, job.result_schema)
    if not problem:
        return outcome
    return outcomes.Erred(f"result schema validation failed: {problem}", "server")


def _pause_asked_for(answer: Answer, now: int) -> float | None:
    # Our own hosts say milliseconds beside the whole seconds that the standard has.
    milliseconds = answer.headers.get(b"retry-after-ms", b"").strip()
    if milliseconds.isdigit() and len(milliseconds) <= 12:
        return min(int(milliseconds) / 1000, LONGEST_PAUSE_SECS)
    return read_retry_after(answer.headers.get(b"retry-after", b""), now)


def read_result(body: bytes) -> str | None:
    """Return the JSON text of a result: what is no JSON becomes a JSON string."""
    if not body.strip():
        return None
    try:
        msgspec.json.decode(body)
        return body.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return msgspec.json.encode(body.decode(errors="replace")).decode()


def read_retry_after(value: bytes, now: int) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, in either of its two forms."""
    text = value.decode("latin-1").strip()
    if not text:
        return None
    if _SECONDS.fullmatch(text):
        seconds = float(text)
    else:
        try:
            seconds = (parsedate_to_datetime(text).timestamp() * SECOND - now) / SECOND
        except (ValueError, OverflowError):
            return None
    return min(max(0.0, seconds), LONGEST_PAUSE_SECS)
