"""What the host answers a dispatch with, for every way in which an attempt can end."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from strait.authoring.logs import error_text

if TYPE_CHECKING:
    from strait.errors import Json, RetryAfter

# A run's error is a line for people; what is longer is in the run's log events.
_LONGEST_MESSAGE = 8_000
_JSON = (b"content-type", b"application/json")


class NotJsonError(TypeError):
    """A handler returned something that is no JSON."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: its status, the bytes of its JSON body, and headers beside the usual."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers as ASGI takes them."""
        return [_JSON, (b"content-length", b"%d" % len(self.body)), *self.headers]


NOTHING = Answer(200, b"{}")
"""The handler ended the run itself; nothing in the answer counts."""
SUSPENDED = Answer(202, b"{}")
"""The run waits; the attempt is over and its run is not."""


def result(value: Json) -> Answer:
    """Return the answer for what a handler returned.

    Raises:
        NotJsonError: the value is no JSON; the text names the type in it that is none.
    """
    try:
        return Answer(200, _encode(value).encode())
    except NotJsonError:
        raise
    except RecursionError:
        raise NotJsonError("the handler's result is nested too deeply or holds itself") from None
    except (TypeError, ValueError) as error:
        raise NotJsonError(f"the handler's result is no JSON: {error}") from None


def error(status: int, kind: str, message: str) -> Answer:
    """Return an answer that says what went wrong: `{"error": {"type", "message"}}`."""
    said = {"error": {"type": kind, "message": message[:_LONGEST_MESSAGE]}}
    return Answer(status, json.dumps(said, separators=(",", ":")).encode())


def raised(status: int, failure: BaseException) -> Answer:
    """Return the answer for an exception: its type and its text, never its traceback."""
    return error(status, type(failure).__name__, error_text(failure))


def retry_later(verdict: RetryAfter) -> Answer:
    """Return the answer for a `RetryAfter`: 429 with the time to wait.

    `Retry-After` has whole seconds; `Retry-After-Ms` says the same to who can read it.
    """
    plain = raised(429, verdict)
    return Answer(
        plain.status,
        plain.body,
        (
            (b"retry-after", b"%d" % math.ceil(verdict.secs)),
            (b"retry-after-ms", b"%d" % round(verdict.secs * 1000)),
        ),
    )


def _plain(value: object) -> Json:
    """Turn models and dataclasses into JSON; refuse everything else by the name of its type."""
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json", by_alias=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if inspect.isawaitable(value):
        raise NotJsonError(
            f"the handler's result has a value of type `{type(value).__name__}`, which is no JSON; "
            "was `await` forgotten?"
        )
    raise NotJsonError(
        f"the handler's result has a value of type `{type(value).__name__}`, which is no JSON; "
        "return dicts, lists, strings, numbers, booleans, None, dataclasses or pydantic models"
    )


# Not in ASCII: half of a surrogate pair, which no reader of JSON takes, is refused here.
_encode = json.JSONEncoder(
    separators=(",", ":"), allow_nan=False, ensure_ascii=False, default=_plain
).encode
