"""Hooks watch every attempt and disturb none."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from strait import (
    Client,
    DecodeError,
    Middleware,
    MiddlewareErrorContext,
    MiddlewareRequestContext,
    MiddlewareResponseContext,
    NotFoundError,
    ValidationError,
)

from .conftest import JOB, Harness, Platform


class Seen:
    """Middleware that keeps what it saw."""

    def __init__(self, name: str = "", order: list[str] | None = None) -> None:
        self.requests: list[MiddlewareRequestContext] = []
        self.responses: list[MiddlewareResponseContext] = []
        self.errors: list[MiddlewareErrorContext] = []
        self._name = name
        self._order = [] if order is None else order

    @property
    def middleware(self) -> Middleware:
        return Middleware(self._request, self._response, self._error)

    def _request(self, context: MiddlewareRequestContext) -> None:
        self.requests.append(context)
        self._order.append(f"{self._name} request")

    def _response(self, context: MiddlewareResponseContext) -> None:
        self.responses.append(context)
        self._order.append(f"{self._name} response")

    def _error(self, context: MiddlewareErrorContext) -> None:
        self.errors.append(context)
        self._order.append(f"{self._name} error")


def test_hooks_see_method_address_body_and_status(either: Harness, platform: Platform) -> None:
    platform.answers_with(201, {"id": "run_1", "status": "queued"})
    seen = Seen()
    client = either.client(middleware=[seen.middleware])
    either.run(lambda: client.jobs.trigger("job_1", payload=1))
    either.run(lambda: client.jobs.list(limit=5))
    first, second = seen.requests
    assert (first.method, first.body) == ("POST", b'{"payload":1}')
    assert second.url == "https://platform.test/v1/jobs?limit=5"
    assert second.body is None
    assert [response.status for response in seen.responses] == [201, 201]
    assert seen.responses[0].duration_ms >= 0
    assert seen.errors == []


def test_hooks_run_in_order_and_back_in_reverse(either: Harness, platform: Platform) -> None:
    platform.answers_with(404, {})
    order: list[str] = []
    client = either.client(middleware=[Seen("a", order).middleware, Seen("b", order).middleware])
    with pytest.raises(NotFoundError):
        either.run(lambda: client.jobs.get("job_1"))
    assert order == ["a request", "b request", "b response", "a response", "b error", "a error"]


def test_a_token_is_redacted_and_a_change_of_headers_is_sent(
    either: Harness, platform: Platform
) -> None:
    platform.answers_with(200, JOB)
    shown: list[str] = []

    def hook(context: MiddlewareRequestContext) -> None:
        shown.append(context.headers["Authorization"])
        context.headers["X-Trace"] = "t1"
        del context.headers["X-SDK-Version"]

    client = either.client(middleware=[Middleware(on_request=hook)])
    either.run(lambda: client.jobs.get("job_1"))
    assert shown == ["[redacted]"]
    assert platform.last.headers["x-trace"] == "t1"
    assert "x-sdk-version" not in platform.last.headers
    assert platform.last.headers["authorization"].startswith("Bearer strait_")


@pytest.mark.parametrize("which", ["on_request", "on_response", "on_error"])
def test_a_hook_that_raises_neither_fails_the_call_nor_repeats_it(
    either: Harness, platform: Platform, which: str, caplog: pytest.LogCaptureFixture
) -> None:
    platform.answers_with(201, {"id": "run_1", "status": "queued"})

    def hook(context: Any) -> None:
        raise KeyError("mine")

    client = either.client(middleware=[Middleware(**{which: hook})])
    with caplog.at_level(logging.WARNING, logger="strait"):
        run = either.run(lambda: client.jobs.trigger("job_1"))
    assert run.id == "run_1"
    assert len(platform.requests) == 1
    assert ("KeyError" in caplog.text) is (which != "on_error")


def test_errors_of_every_kind_are_told(either: Harness, platform: Platform) -> None:
    seen = Seen()
    client = either.client(middleware=[seen.middleware], retry=None)
    platform.answers_with(404, {})
    with pytest.raises(NotFoundError):
        either.run(lambda: client.jobs.get("job_1"))
    platform.answers.clear()
    platform.answers_text(200, "<html>")
    with pytest.raises(DecodeError):
        either.run(lambda: client.jobs.get("job_1"))
    assert [type(context.error) for context in seen.errors] == [NotFoundError, DecodeError]


def test_an_attempt_that_is_repeated_is_told_too(either: Harness, platform: Platform) -> None:
    platform.answers_with(500)
    platform.answers_with(200, JOB)
    seen = Seen()
    client = either.client(middleware=[seen.middleware])
    either.run(lambda: client.jobs.get("job_1"))
    assert [response.status for response in seen.responses] == [500, 200]
    assert len(seen.errors) == 1


def test_async_hooks_are_awaited_and_a_sync_client_refuses_them(platform: Platform) -> None:
    platform.answers_with(200, JOB)
    seen: list[str] = []

    async def hook(context: MiddlewareRequestContext) -> None:
        seen.append(context.method)

    harness = Harness(platform, is_async=True)
    client = harness.client(middleware=[Middleware(on_request=hook)])
    harness.run(lambda: client.jobs.get("job_1"))
    harness.close()
    assert seen == ["GET"]
    with pytest.raises(ValidationError, match="`hook`"):
        Client(api_key="k", middleware=[Middleware(on_request=hook)])
