"""Every failure is a `StraitError` that tells what the platform said."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import httpx
import pytest

import strait.errors
from strait import (
    ApiError,
    ConflictError,
    CostBudgetExceededError,
    DagValidationError,
    DecodeError,
    NonRetryable,
    NotFoundError,
    RateLimitedError,
    RetryAfter,
    StraitError,
    StraitTimeoutError,
    TransportError,
    TransportTimeoutError,
    UnauthorizedError,
    ValidationError,
    map_http_error,
)
from strait.authoring import (
    PayloadError,
    StepFailed,
    StepMismatch,
    StepNotAwaited,
    StepValueTooLarge,
)

from .conftest import KEY, Harness, Platform

ENVELOPE = {
    "error": {"code": "not_found", "message": "job not found", "details": ["a", "b"]},
    "request_id": "host/1-000001",
}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ApiError),
        (401, UnauthorizedError),
        (402, ApiError),
        (403, UnauthorizedError),
        (404, NotFoundError),
        (409, ConflictError),
        (410, ApiError),
        (422, ApiError),
        (429, RateLimitedError),
        (500, ApiError),
        (302, ApiError),
    ],
)
def test_a_status_has_its_class(
    either: Harness, platform: Platform, status: int, kind: type[StraitError]
) -> None:
    platform.answers_with(status, ENVELOPE, {"Retry-After": "0", "X-Request-Id": "other"})
    client = either.client(retry=None)
    with pytest.raises(kind) as caught:
        either.run(lambda: client.jobs.get("job_1"))
    error = caught.value
    assert type(error) is kind
    assert error.status == status
    assert error.body == ENVELOPE
    assert error.code == "not_found"
    assert error.request_id == "host/1-000001"
    assert error.retry_after == 0.0
    assert error.headers is not None
    assert error.headers["x-request-id"] == "other"


def test_the_text_is_the_platforms_with_where_it_happened(
    either: Harness, platform: Platform
) -> None:
    platform.answers_with(404, ENVELOPE)
    client = either.client()
    with pytest.raises(NotFoundError) as caught:
        either.run(lambda: client.jobs.get("job_1"))
    assert str(caught.value) == (
        "job not found: a; b (GET /v1/jobs/job_1: 404 not_found, request host/1-000001)"
    )


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (ENVELOPE, "job not found: a; b", "not_found"),
        ({"error": "authorization_pending"}, "authorization_pending", "authorization_pending"),
        (
            {"error": "this feature requires Strait Cloud"},
            "this feature requires Strait Cloud",
            None,
        ),
        ({"code": "quota_exceeded", "message": "plan limit"}, "plan limit", "quota_exceeded"),
        ({"message": {"a": 1}}, '{"a": 1}', None),
        ({"error": {"message": 5, "code": 7}}, "5", None),
        ({"created": [], "errors": []}, "HTTP 400", None),
        ("Too Many Requests", "Too Many Requests", None),
        ("<html>bad gateway</html>", "HTTP 400", None),
        ([1], "HTTP 400", None),
        (None, "HTTP 400", None),
    ],
)
def test_every_shape_of_error_body_is_read(body: Any, message: str, code: str | None) -> None:
    error = map_http_error(400, body=body)
    assert str(error) == error.message == message
    assert error.code == code
    assert error.body == body


def test_a_given_text_wins_as_it_did_in_the_published_function() -> None:
    assert str(map_http_error(404, "nope", ENVELOPE)) == "nope"


def test_the_page_of_a_proxy_is_kept_as_text(either: Harness, platform: Platform) -> None:
    platform.answers_text(502, "<html>bad gateway</html>")
    client = either.client(retry=None)
    with pytest.raises(ApiError) as caught:
        either.run(lambda: client.jobs.get("job_1"))
    assert caught.value.body == "<html>bad gateway</html>"


@pytest.mark.parametrize("shape", ["text", "json"])
def test_a_gateway_that_echoes_the_request_brings_the_key_into_no_error(
    either: Harness, platform: Platform, shape: str
) -> None:
    said = f"bad request: Authorization=Bearer {KEY}"
    if shape == "text":
        platform.answers_text(400, said)
    else:
        platform.answers_with(400, {"error": {"code": "bad_request", "message": said}})
    client = either.client(retry=None)
    with pytest.raises(ApiError) as caught:
        either.run(lambda: client.jobs.get("job_1"))
    assert "Bearer [redacted]" in f"{caught.value} {caught.value.body}"
    assert KEY not in f"{caught.value!r} {caught.value} {caught.value.body!r}"


def test_a_redirect_says_where_to(either: Harness, platform: Platform) -> None:
    platform.answers_text(308, "")
    platform.answers[0].headers["location"] = "https://other.test/v1/jobs"
    client = either.client()
    with pytest.raises(ApiError, match=r"redirected to https://other.test/v1/jobs") as caught:
        either.run(lambda: client.jobs.create(name="A", slug="a"))
    assert "check `base_url`" in str(caught.value)


def test_any_error_has_the_attributes_of_an_answer() -> None:
    for error in (StraitError("x"), TransportError("x"), ValidationError("x")):
        assert error.status is None
        assert error.body is None
        assert error.code is None
        assert error.request_id is None
        assert error.retry_after is None
        assert error.headers is None


EXAMPLES: dict[str, BaseException] = {
    "DagValidationError": DagValidationError("x", cycles=["a"], missing_refs=["b"]),
    "DecodeError": DecodeError("x", "body"),
    "ResponseValidationError": strait.errors.ResponseValidationError("m", "{}", fields=["a.b"]),
    "StraitTimeoutError": StraitTimeoutError("x", "run_1", 5),
    "CostBudgetExceededError": CostBudgetExceededError("x", 5, 4),
    "UnsupportedByPlatform": strait.errors.UnsupportedByPlatform("runs.debug", "why"),
    "RunFailedError": strait.errors.RunFailedError("x", {"id": "run_1"}, "run_1", "failed"),
    "RunNotStartedError": strait.errors.RunNotStartedError("x", {"debounced": True}),
    "RetryAfter": RetryAfter(2.5, "later"),
}


def _examples() -> list[BaseException]:
    found: list[BaseException] = [
        StepFailed("charge", "CardError", "declined"),
        StepMismatch("charge", 1, "a.py:3", "a.py:2", ((1,), {"b": 2}), "argument 0"),
        StepNotAwaited("charge", "a.py:3"),
        StepValueTooLarge("charge", 70_000),
        PayloadError("it does not fit", ["qty: must be a number"]),
    ]
    for name, kind in inspect.getmembers(strait.errors, inspect.isclass):
        if issubclass(kind, strait.errors.HttpError):
            found.append(kind(404, "x", {"a": 1}, headers={"Retry-After": "3"}))
        elif issubclass(kind, Exception) and not issubclass(kind, Warning):
            found.append(EXAMPLES.get(name) or kind("x"))
    return found


@pytest.mark.parametrize("error", _examples(), ids=lambda error: type(error).__name__)
def test_every_error_can_be_pickled_and_copied(error: BaseException) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


@pytest.mark.parametrize(
    ("raised", "kind", "sent"),
    [
        (httpx.ConnectError("refused"), TransportError, False),
        (httpx.ConnectTimeout("slow"), TransportTimeoutError, False),
        (httpx.PoolTimeout("full"), TransportTimeoutError, False),
        (httpx.ReadTimeout("slow"), TransportTimeoutError, True),
        (httpx.WriteError("broken"), TransportError, True),
        (httpx.RemoteProtocolError("gone"), TransportError, True),
        (httpx.DecodingError("gzip"), TransportError, True),
        (httpx.TooManyRedirects("round"), TransportError, True),
        (httpx.InvalidURL("bad"), TransportError, True),
    ],
)
def test_no_exception_of_the_http_library_escapes(
    either: Harness, platform: Platform, raised: Exception, kind: type[TransportError], sent: bool
) -> None:
    platform.fails_with(raised)
    client = either.client(retry=None)
    with pytest.raises(TransportError) as caught:
        either.run(lambda: client.jobs.create(name="a"))
    assert type(caught.value) is kind
    assert caught.value.sent is sent
    assert caught.value.__cause__ is raised
    assert "POST https://platform.test/v1/jobs" in str(caught.value)


def test_verdicts_of_handlers_are_no_errors_of_the_sdk() -> None:
    assert not issubclass(NonRetryable, StraitError)
    assert not issubclass(RetryAfter, StraitError)
    with pytest.raises(ValueError, match="`secs`"):
        RetryAfter(-1)


@pytest.mark.parametrize("value", ["-1", "soon", "nan", "inf", "9" * 400, "", "\u00b2"])
def test_an_odd_retry_after_is_no_sign_that_nothing_was_done(
    either: Harness, platform: Platform, value: str
) -> None:
    platform.answers.append(
        httpx.Response(503, headers={"retry-after": value.encode("latin-1")}, content=b"{}")
    )
    client = either.client()
    with pytest.raises(ApiError) as caught:
        either.run(lambda: client.runs.replay("run_1"))
    assert caught.value.retry_after is None
    assert len(platform.requests) == 1
