"""Retries, driven by hand: no socket, no clock, no waiting."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from strait import RetryOptions
from strait.client.effects import Request, Response, Send, Sleep
from strait.client.flows import Hooks, call
from strait.client.operation import Operation
from strait.client.policy import Policy
from strait.client.results import json_value, nothing
from strait.errors import (
    ApiError,
    ConflictError,
    DecodeError,
    RateLimitedError,
    StraitError,
    TransportError,
)
from strait.retry import JitterStrategy

RETRY = RetryOptions(attempts=3, delay_ms=1000, jitter=JitterStrategy.NONE)
READ = Operation("get", "GET", ("/x",), json_value)
CREATE = Operation("create", "POST", ("/x",), json_value)
KEYED = Operation("create", "POST", ("/x",), json_value, idempotent=True)
HEARTBEAT = Operation("heartbeat", "POST", ("/x",), json_value, repeatable=True)
COMPLETE = Operation("complete", "POST", ("/x",), nothing, repeatable=True, settled=410)

LOST = TransportError("the answer was lost")
REFUSED = TransportError("connection refused", sent=False)
OK = Response(200, {}, b"{}")


def answer(status: int, body: Any = None, **headers: str) -> Response:
    content = b"" if body is None else json.dumps(body).encode()
    return Response(status, {k.replace("_", "-"): v for k, v in headers.items()}, content)


class Run:
    """Drives a flow with scripted answers and keeps what it asked for."""

    def __init__(
        self,
        operation: Operation[Any],
        answers: Sequence[Response | StraitError],
        retry: RetryOptions = RETRY,
        deadline: float | None = None,
    ) -> None:
        self.now = 100.0
        self.sleeps: list[float] = []
        self.timeouts: list[float | None] = []
        self.counts: list[str | None] = []
        policy = Policy(
            retry=retry,
            safe=operation.method == "GET" or operation.repeatable,
            keyed=operation.idempotent,
            clock=lambda: self.now,
            deadline=deadline,
            rand=lambda: 1.0,
        )
        request = Request(operation.method, "https://p.test/x", {}, b"{}", timeout=30.0)
        self.flow = call(operation, request, policy, Hooks([]))
        self.answers = list(answers)

    def result(self) -> Any:
        try:
            effect = next(self.flow)
            while True:
                effect = self._next(effect)
        except StopIteration as done:
            return done.value

    def _next(self, effect: Any) -> Any:
        if isinstance(effect, Sleep):
            self.sleeps.append(effect.seconds)
            self.now += effect.seconds
            return self.flow.send(None)
        assert isinstance(effect, Send)
        self.timeouts.append(effect.request.timeout)
        self.counts.append(effect.request.headers.get("x-strait-retry-count"))
        found = self.answers.pop(0)
        if isinstance(found, StraitError):
            return self.flow.throw(found)
        return self.flow.send(found)


def test_a_read_is_tried_again_with_growing_waits() -> None:
    run = Run(READ, [answer(500), LOST, OK])
    assert run.result() == {}
    assert run.sleeps == [1.0, 2.0]
    assert run.counts == [None, "1", "2"]


def test_after_the_last_attempt_the_error_tells_of_all() -> None:
    run = Run(READ, [answer(500), LOST, answer(502)])
    with pytest.raises(ApiError) as caught:
        run.result()
    assert caught.value.status == 502
    assert caught.value.__notes__[0].count("attempt") == 3


@pytest.mark.parametrize("failure", [LOST, answer(500), answer(502), answer(503), answer(504)])
def test_what_may_have_been_done_is_not_repeated_without_a_key(
    failure: Response | StraitError,
) -> None:
    run = Run(CREATE, [failure])
    with pytest.raises(StraitError):
        run.result()
    assert run.sleeps == []


@pytest.mark.parametrize("failure", [REFUSED, answer(429), answer(503, retry_after="1")])
def test_what_was_surely_not_done_is_repeated(failure: Response | StraitError) -> None:
    run = Run(CREATE, [failure, OK])
    assert run.result() == {}
    assert run.sleeps == [1.0]


@pytest.mark.parametrize("operation", [KEYED, HEARTBEAT])
def test_with_a_key_or_when_it_is_harmless_it_is_repeated(operation: Operation[Any]) -> None:
    assert Run(operation, [LOST, answer(502), OK]).result() == {}


@pytest.mark.parametrize("operation", [READ, CREATE, KEYED])
def test_what_is_not_implemented_is_not_tried_again(operation: Operation[Any]) -> None:
    run = Run(operation, [answer(501)])
    with pytest.raises(ApiError):
        run.result()
    assert run.sleeps == []


def test_the_platform_says_how_long_to_wait() -> None:
    run = Run(READ, [answer(429, retry_after="5"), answer(503, retry_after="7.5"), OK])
    run.result()
    assert run.sleeps == [5.0, 7.5]


def test_a_date_to_wait_for_is_read_against_the_date_of_the_answer() -> None:
    run = Run(
        READ,
        [
            answer(
                429,
                date="Fri, 02 Jan 2026 10:00:00 GMT",
                retry_after="Fri, 02 Jan 2026 10:00:09 GMT",
            ),
            OK,
        ],
    )
    run.result()
    assert run.sleeps == [9.0]


def test_a_wait_that_is_too_long_is_left_to_the_caller() -> None:
    run = Run(READ, [answer(429, retry_after="3600")])
    with pytest.raises(RateLimitedError) as caught:
        run.result()
    assert caught.value.retry_after == 3600.0
    assert run.sleeps == []


def test_a_key_whose_first_request_still_runs_is_waited_for() -> None:
    busy = {"error": {"code": "conflict", "message": "a request with this idempotency key is "
                      "currently being processed"}}  # fmt: skip
    assert Run(KEYED, [LOST, answer(409, busy), OK]).result() == {}
    with pytest.raises(ConflictError):
        Run(KEYED, [answer(409, {"error": {"code": "conflict", "message": "exists"}})]).result()


def test_an_end_that_was_reported_by_a_lost_request_is_an_end() -> None:
    assert Run(COMPLETE, [LOST, answer(410)]).result() is None
    with pytest.raises(ApiError):
        Run(COMPLETE, [answer(410)]).result()


def test_the_deadline_bounds_attempts_and_waits() -> None:
    run = Run(READ, [answer(500), answer(500)], deadline=102.5)
    with pytest.raises(ApiError):
        run.result()
    assert run.timeouts == [2.5, 1.5]
    assert run.sleeps == [1.0]


def test_the_users_own_rule_decides_but_never_for_a_guess() -> None:
    always = RetryOptions(attempts=3, delay_ms=0, should_retry=lambda *_: True)
    assert Run(READ, [answer(404), OK], always).result() == {}
    with pytest.raises(TransportError):
        Run(CREATE, [LOST], always).result()
    never = RetryOptions(attempts=3, delay_ms=0, should_retry=lambda *_: False)
    with pytest.raises(ApiError):
        Run(READ, [answer(500)], never).result()


def test_an_answer_that_is_no_json_is_not_asked_for_again() -> None:
    run = Run(READ, [Response(200, {"content-type": "text/html"}, b"<html>")])
    with pytest.raises(DecodeError) as caught:
        run.result()
    assert caught.value.body == "<html>"
    assert caught.value.status == 200
    assert str(caught.value).endswith("(GET /x: 200)")


def test_a_redirect_is_followed_on_the_same_host_only() -> None:
    run = Run(READ, [answer(301, location="/y"), OK])
    assert run.result() == {}
    with pytest.raises(ApiError) as caught:
        Run(READ, [answer(301, location="https://elsewhere.test/y")]).result()
    assert caught.value.status == 301


@pytest.mark.parametrize("place", ["http://[::1", "//[", "http://a.test:port/", ""])
def test_a_redirect_to_no_address_is_an_error_of_ours(place: str) -> None:
    for operation in (READ, CREATE):
        with pytest.raises(ApiError) as caught:
            Run(operation, [answer(302, location=place)]).result()
        assert caught.value.status == 302
