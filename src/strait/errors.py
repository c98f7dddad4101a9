"""What can go wrong, as one tree of exceptions; and how an HTTP answer becomes one of them.

Everything that the SDK raises is a `StraitError`. What a handler raises to say how its attempt
ended (`NonRetryable`, `RetryAfter`) is not: a handler that catches `StraitError` around its API
calls must not swallow its own verdict.

Every error can be pickled and copied, so that it crosses process and queue boundaries whole.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias, TypeVar

from strait.envelope import envelope, retry_after_secs, secs_told_in
from strait.rate_limit import RateLimit

Json: TypeAlias = Any
ErrorT = TypeVar("ErrorT", bound=Exception)

__all__ = [
    "ApiError",
    "ConfigFileNotFoundError",
    "ConfigurationError",
    "ConflictError",
    "CostBudgetExceededError",
    "DagValidationError",
    "DecodeError",
    "HttpError",
    "IdempotencyWarning",
    "MisplacedPayloadWarning",
    "NonRetryable",
    "NotFoundError",
    "PaginationError",
    "RateLimitedError",
    "RequestSummary",
    "ResponseValidationError",
    "RetryAfter",
    "RunFailedError",
    "RunNotStartedError",
    "StraitDeprecationWarning",
    "StraitError",
    "StraitTimeoutError",
    "StreamError",
    "TransportError",
    "TransportTimeoutError",
    "UnauthorizedError",
    "UnsupportedByPlatform",
    "ValidationError",
    "WebhookSignatureError",
    "map_http_error",
    "retry_after_secs",
]


@dataclass(frozen=True, slots=True)
class RequestSummary:
    """The request that an error belongs to; tokens are redacted in it.

    Attributes:
        method: the HTTP method.
        url: the whole address with its query.
        headers: the headers, with names in lower case.
        content: the body, or None.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None = None

    def to_curl(self) -> str:
        """Return a `curl` command that sends this request again, once its token is filled in.

        The body stands in it as it was sent: look at it before you give it to others.
        """
        words = ["curl", "-X", self.method, self.url]
        for name, value in self.headers.items():
            words += ["-H", f"{name}: {value}"]
        if self.content is not None:
            words += ["--data-raw", self.content.decode("utf-8", "replace")]
        return shlex.join(words)


class StraitError(Exception):
    """The base of every error that the SDK raises.

    The attributes of an HTTP answer are here, so that a handler of any error may read them
    without asking for its class first; they are None where there was no answer.

    Attributes:
        status: the HTTP status.
        body: the decoded JSON of the answer, or its text when it was no JSON.
        code: the platform's `error.code`, such as `not_found`.
        request_id: the platform's id of the request.
        retry_after: seconds that the platform asks to wait before a retry.
        headers: the headers of the answer, with names in lower case.
        request: the request; None where nothing was to be sent.
    """

    status: int | None = None
    body: Json = None
    code: str | None = None
    request_id: str | None = None
    retry_after: float | None = None
    headers: Mapping[str, str] | None = None
    request: RequestSummary | None = None

    def to_curl(self) -> str:
        """Return a `curl` command for the request, tokens redacted; empty if there was none."""
        return "" if self.request is None else self.request.to_curl()

    @property
    def message(self) -> str:
        """The text of the error."""
        return str(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls `cls(*args)`, which fails wherever `__init__` takes more than text.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(cls: type[ErrorT], args: tuple[Any, ...], state: dict[str, Any]) -> ErrorT:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class TransportError(StraitError):
    """The request, or its answer, did not get through.

    Attributes:
        sent: whether the platform may have seen the request. False only where that is impossible,
            such as a refused connection; then a retry cannot do anything twice.
    """

    sent: bool

    def __init__(
        self, message: str, cause: BaseException | None = None, *, sent: bool = True
    ) -> None:
        super().__init__(message)
        self.__cause__ = cause
        self.sent = sent


class TransportTimeoutError(TransportError):
    """The platform took longer than `timeout` or `deadline` allow."""


class StreamError(StraitError):
    """The platform ended a stream with an `error` event.

    Attributes:
        data: the data of the event.
    """

    def __init__(self, message: str, data: Json = None) -> None:
        super().__init__(message)
        self.data = data


class DecodeError(StraitError):
    """An answer was no JSON, or not of the shape that the operation has.

    Attributes:
        body: the text of the answer.
    """

    def __init__(self, message: str, body: str, cause: BaseException | None = None) -> None:
        super().__init__(message)
        self.body = body
        self.__cause__ = cause


class ResponseValidationError(DecodeError):
    """An answer has fields of other types than it should; with `strict_responses=True` only.

    Attributes:
        fields: where they stand, such as `data.1.version`; five at most.
    """

    def __init__(
        self,
        message: str,
        body: str,
        cause: BaseException | None = None,
        *,
        fields: Sequence[str] = (),
    ) -> None:
        super().__init__(message, body, cause)
        self.fields = list(fields)


class PaginationError(StraitError):
    """The platform gave the same cursor twice, so that the pages would never end."""


class ValidationError(StraitError, ValueError):
    """An argument or a setting is wrong; nothing was sent.

    Attributes:
        issues: one line for each thing that is wrong.
    """

    def __init__(self, message: str, issues: Sequence[str] | None = None) -> None:
        super().__init__(message)
        self.issues = list(issues or ())


class ConfigurationError(ValidationError):
    """A setting is missing or wrong: an argument, an environment variable, or `strait.json`."""


class ConfigFileNotFoundError(ConfigurationError, FileNotFoundError):
    """There is no `strait.json` where it was looked for."""

    def __new__(cls, *args: object) -> Self:
        """Make the exception before it is filled."""
        # Of the two built-in bases this one has the larger layout, so that only its own fits.
        return FileNotFoundError.__new__(cls, *args)


class UnsupportedByPlatform(StraitError):  # noqa: N818 - a statement about the platform
    """The operation does not exist on this platform, or on any.

    Attributes:
        operation: what was asked for.
        reason: why it cannot be, and what can be used instead.
    """

    def __init__(self, operation: str, reason: str) -> None:
        super().__init__(f"`{operation}` is not supported: {reason}")
        self.operation = operation
        self.reason = reason


class HttpError(StraitError):
    """The platform answered, with something other than success.

    Attributes:
        details: further lines, such as `name: failed on 'required'`.
    """

    status: int
    details: list[str]

    def __init__(
        self,
        status: int,
        message: str,
        body: Json = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        fields = envelope(body)
        self.status = status
        self.body = body
        self.code = fields.code
        self.details = fields.details
        self.request_id = fields.request_id
        if headers is not None:
            self.headers = {name.lower(): value for name, value in headers.items()}
            self.retry_after = retry_after_secs(self.headers)
            self.request_id = fields.request_id or self.headers.get("x-request-id")
        if self.retry_after is None:
            self.retry_after = secs_told_in(fields.details)

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the platform says of its rate limit, or None."""
        return RateLimit.of(self.headers)

    @property
    def retry_after_ms(self) -> int | None:
        """The milliseconds that the platform asks to wait before a retry."""
        return None if self.retry_after is None else round(self.retry_after * 1000)


class UnauthorizedError(HttpError):
    """401 or 403: no valid credential, or one without the scope."""


class NotFoundError(HttpError):
    """404: the thing does not exist, or belongs to another project."""


class ConflictError(HttpError):
    """409: the thing exists already, or its state does not allow this."""


class RateLimitedError(HttpError):
    """429: too many requests, or a quota is used up; `retry_after` says when to come back."""


class ApiError(HttpError):
    """Any other status."""


class StraitTimeoutError(StraitError):
    """A run did not end within the time that the caller gave it.

    Attributes:
        run_id: the run that was waited for.
        elapsed_ms: how long it was waited for.
    """

    def __init__(self, message: str, run_id: str, elapsed_ms: int) -> None:
        super().__init__(message)
        self.run_id = run_id
        self.elapsed_ms = elapsed_ms


class RunFailedError(StraitError):
    """A run that was waited for ended otherwise than well.

    Attributes:
        run: the run as it ended, with its error and what it may have left as a result.
        run_id: its id.
        run_status: where it ended, such as `failed`, `timed_out` or `canceled`.
    """

    def __init__(self, message: str, run: Json, run_id: str, run_status: str) -> None:
        super().__init__(message)
        self.run = run
        self.run_id = run_id
        self.run_status = run_status


class RunNotStartedError(StraitError):
    """A trigger was accepted and started no run, so that there is none to wait for.

    That is so for debounced and for batched triggers, and for dry runs.

    Attributes:
        answer: what the trigger answered, such as `{"debounced": True, "fire_at": "..."}`.
    """

    def __init__(self, message: str, answer: Json) -> None:
        super().__init__(message)
        self.answer = answer


class WebhookSignatureError(StraitError):
    """A webhook is not signed with a secret that is known, or its signature is not fresh."""


class DagValidationError(StraitError):
    """The steps of a workflow do not form a directed acyclic graph.

    Attributes:
        cycles: the steps of the cycle, in order.
        missing_refs: names that are depended on and do not exist.
        duplicate_refs: names that more than one step has.
    """

    def __init__(
        self,
        message: str,
        *,
        cycles: Sequence[str] | None = None,
        missing_refs: Sequence[str] | None = None,
        duplicate_refs: Sequence[str] | None = None,
    ) -> None:
        super().__init__(message)
        self.cycles = list(cycles or ())
        self.missing_refs = list(missing_refs or ())
        self.duplicate_refs = list(duplicate_refs or ())


class CostBudgetExceededError(StraitError):
    """An operation spent its cost budget.

    Attributes:
        current_cost_microusd: what was spent, in millionths of a US dollar.
        max_cost_microusd: what was allowed.
    """

    def __init__(self, message: str, current_cost_microusd: int, max_cost_microusd: int) -> None:
        super().__init__(message)
        self.current_cost_microusd = current_cost_microusd
        self.max_cost_microusd = max_cost_microusd


class NonRetryable(Exception):  # noqa: N818 - it is a verdict of the handler, not a fault of the SDK
    """Raised by a handler: the run has failed, and another attempt would not help."""

    def __reduce__(self) -> tuple[Any, ...]:
        # As of `StraitError`: what tells more than its text (`StepFailed`) comes back whole, too.
        return _restore, (type(self), self.args, self.__dict__)


class RetryAfter(Exception):  # noqa: N818 - it is a verdict of the handler, not a fault of the SDK
    """Raised by a handler: try again, but not before `secs` seconds have passed.

    Attributes:
        secs: seconds until the next attempt; not negative.
    """

    def __init__(self, secs: float, message: str = "") -> None:
        if not (math.isfinite(secs) and secs >= 0):
            raise ValueError(f"`secs` must be a number of seconds that is not negative: {secs!r}")
        super().__init__(secs, message)
        self.secs = secs

    def __str__(self) -> str:
        return self.args[1] or f"retry after {self.secs:g} s"


class StraitDeprecationWarning(DeprecationWarning):
    """A name or a behaviour of the SDK that a later version will not have."""


class IdempotencyWarning(UserWarning):
    """An idempotency key came back with another body; the platform answered the first request.

    To find the call that does so, `warnings.simplefilter("error", IdempotencyWarning)`.
    """


class MisplacedPayloadWarning(UserWarning):
    """A body has none of the fields that a platform reads: it may be the payload itself.

    A platform ignores what it does not know, so that the run would begin without its payload.
    """


_BY_STATUS: dict[int, type[HttpError]] = {
    401: UnauthorizedError,
    403: UnauthorizedError,
    404: NotFoundError,
    409: ConflictError,
    429: RateLimitedError,
}


def _of_status(status: int, headers: Mapping[str, str]) -> str:
    """Return what is told of an answer that says nothing itself."""
    place = headers.get("location", "")
    if 300 <= status < 400 and place:
        return f"HTTP {status}: redirected to {place}, which is not followed; check `base_url`"
    return f"HTTP {status}"


def map_http_error(
    status: int,
    message: str = "",
    body: Json = None,
    *,
    headers: Mapping[str, str] | None = None,
    request: str = "",
) -> HttpError:
    """Return the error for an HTTP answer.

    Args:
        status: the HTTP status.
        message: the text of the error; by default the platform's own, from `body`.
        body: the decoded JSON of the answer, or its text.
        headers: the headers of the answer.
        request: method and path, to be told behind the platform's text.

    Returns:
        An error of the class that belongs to `status`, which is not raised.
    """
    error = _BY_STATUS.get(status, ApiError)(status, message, body, headers=headers)
    text = message or envelope(body).message or _of_status(status, error.headers or {})
    if error.details and not message:
        text = f"{text}: {'; '.join(error.details)}"
    if request:
        facts = [f"{request}: {status}" + (f" {error.code}" if error.code else "")]
        if error.request_id:
            facts.append(f"request {error.request_id}")
        text = f"{text} ({', '.join(facts)})"
    error.args = (text,)
    return error
