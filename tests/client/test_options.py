"""What is set for many calls: options of a copy, whole answers, plain JSON, layers, spans."""

from __future__ import annotations

import contextlib
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from copy import copy as copy_of
from copy import deepcopy
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

import strait
from strait import (
    ApiError,
    AsyncClient,
    Client,
    ConfigurationError,
    RateLimitedError,
    RetryOptions,
    UnauthorizedError,
    ValidationError,
)
from tests.client.conftest import JOB, KEY, Harness, Platform
from tests.client.sockets import Wire, answers

LIMITS = {
    "x-request-id": "req_1",
    "x-ratelimit-limit": "10",
    "x-ratelimit-remaining": "9",
    "x-ratelimit-reset": "60",
}


def test_a_copy_has_its_own_options_and_shares_the_connections(
    either: Harness, platform: Platform
) -> None:
    platform.answers_with(200, JOB)
    client = either.client()
    copy = client.with_options(headers={"X-Team": "a", "X-Other": "b"}, timeout=7.0)
    either.run(lambda: copy.jobs.get("job_1", headers={"x-team": "c"}))
    assert platform.last.headers["x-team"] == "c"
    assert platform.last.headers["x-other"] == "b"
    assert platform.last.extensions["timeout"]["read"] == 7.0
    either.run(lambda: client.jobs.get("job_1"))
    assert "x-team" not in platform.last.headers
    assert copy._exchange is client._exchange
    either.run(copy.close)
    assert either.run(lambda: client.jobs.get("job_1")).id == "job_1"


def test_a_client_is_copied_with_its_connections_and_never_pickled(
    either: Harness, platform: Platform
) -> None:
    client = either.client()
    twin = copy_of(client)
    either.run(twin.close)
    assert not client.is_closed
    for attempt in (pickle.dumps, deepcopy):
        with pytest.raises(TypeError, match=r"cannot be pickled or deep-copied: .* one in each"):
            attempt(client)


def test_a_copy_can_have_a_key_and_other_retries(either: Harness, platform: Platform) -> None:
    platform.answers_with(503)
    copy = either.client().with_options(max_retries=0, idempotency_key="order-1")
    with pytest.raises(ApiError):
        either.run(lambda: copy.jobs.trigger("job_1"))
    assert len(platform.requests) == 1
    assert platform.last.headers["idempotency-key"] == "order-1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": 0}, "`timeout` must be seconds above 0"),
        ({"timeout": "5"}, "`timeout` must be seconds above 0, not '5'"),
        ({"deadline": float("inf")}, "`deadline` must be seconds above 0"),
        ({"max_retries": -1}, "`max_retries` must be a whole number, 0 or more, not -1"),
        ({"retry": 3}, r"`retry` must be `RetryOptions`, such as .*, not 3"),
        ({"idempotency_key": "k" * 257}, "256 characters"),
        ({"idempotency_key": 17}, "`idempotency_key` must be a text, not 17"),
        ({"extra_query": "a=b"}, "`extra_query` must be a mapping of names to values, not `str`"),
        ({"extra_body": [1]}, "`extra_body` must be a mapping of names to values, not `list`"),
        ({"retries": 3}, "`retries` is no argument and no option; options are"),
    ],
)
def test_a_wrong_option_is_told_before_any_call(
    either: Harness, options: dict[str, Any], message: str
) -> None:
    client = either.client()
    with pytest.raises(ValidationError, match=message):
        client.with_options(**options)


def test_a_query_that_is_no_mapping_is_refused(either: Harness) -> None:
    client = either.client()
    with pytest.raises(ValidationError, match="`query` must be a mapping of names to values"):
        either.run(lambda: client.jobs.list(query=[("limit", 5)]))


def test_a_result_knows_its_request_id_and_rate_limit(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, JOB, LIMITS)
    job = either.run(lambda: either.client().jobs.get("job_1"))
    info = strait.response_info(job)
    assert info is not None
    assert (info.status, info.request_id, info.retries_taken) == (200, "req_1", 0)
    assert info.rate_limit == strait.RateLimit(limit=10, remaining=9, reset=60)
    assert "request_id" not in job.to_dict()
    platform.answers = []
    platform.answers_with(200, {"data": [JOB], "has_more": False}, LIMITS)
    page = either.run(either.client().jobs.list)
    listed = strait.response_info(page)
    assert listed is not None
    assert listed.request_id == "req_1"
    assert strait.response_info({}) is None


def test_the_whole_answer_can_be_had_and_parsed(either: Harness, platform: Platform) -> None:
    platform.answers_with(500)
    platform.answers_with(200, JOB, LIMITS)
    client = either.client()
    answer = either.run(lambda: client.jobs.with_raw_response.get("job_1"))
    assert (answer.status, answer.attempts, answer.retries_taken) == (200, 2, 1)
    assert answer.headers["x-request-id"] == "req_1"
    assert answer.json() == JOB
    assert json.loads(answer.text()) == JOB
    assert answer.parse().id == "job_1"


def test_the_whole_answer_of_a_list_is_parsed_to_a_page_that_goes_on(
    either: Harness, platform: Platform
) -> None:
    platform.answers_with(200, {"data": [JOB], "next_cursor": "c1", "has_more": True})
    platform.answers_with(200, {"data": [{**JOB, "id": "job_2"}], "has_more": False})
    client = either.client()
    answer = either.run(lambda: client.jobs.with_raw_response.list(limit=1))
    page = answer.parse()
    assert [job.id for job in either.items(lambda: page)] == ["job_1", "job_2"]
    assert platform.last.url.params["cursor"] == "c1"


def test_an_answer_can_be_read_bit_by_bit(either: Harness, platform: Platform) -> None:
    platform.answers_with(503)
    platform.answers_with(200, JOB, LIMITS)
    client = either.client()
    prepared = client.jobs.with_streaming_response.get("job_1")
    assert platform.requests == []
    if either.is_async:

        async def read() -> tuple[bytes, str | None]:
            async with prepared as answer:
                return await answer.read(), answer.request_id

        content, request_id = either.run(read)
    else:
        with prepared as answer:
            content, request_id = answer.read(), answer.request_id
    assert json.loads(content) == JOB
    assert request_id == "req_1"


def test_an_error_of_a_streamed_answer_is_raised_when_the_block_begins(
    either: Harness, platform: Platform
) -> None:
    platform.answers_with(404, {"error": {"code": "not_found", "message": "job not found"}})
    prepared = either.client().jobs.with_streaming_response.get("job_1")
    enter = prepared.__aenter__ if either.is_async else prepared.__enter__
    with pytest.raises(strait.NotFoundError, match="job not found"):
        either.run(enter)


def test_plain_json_is_what_the_platform_sent(either: Harness, platform: Platform) -> None:
    page = {"data": [JOB], "next_cursor": None, "has_more": False}
    platform.answers_with(200, JOB)
    platform.answers_with(200, page)
    platform.answers_with(204)
    client = either.client(response_format="dict")
    assert either.run(lambda: client.jobs.get("job_1")) == JOB
    assert json.dumps(either.run(client.jobs.list)) == json.dumps(page)
    assert either.run(lambda: client.jobs.delete("job_1")) == {}
    with pytest.raises(ValidationError, match="`model` or `dict`"):
        either.client(response_format="xml")


def test_an_error_tells_the_request_as_curl_without_its_token(
    either: Harness, platform: Platform
) -> None:
    platform.answers_with(400, {"error": {"code": "bad_request", "message": "no"}})
    with pytest.raises(ApiError) as caught:
        either.run(lambda: either.client().jobs.trigger("job_1", payload={"it's": 1}))
    curl = caught.value.to_curl()
    assert curl.startswith("curl -X POST https://platform.test/v1/jobs/job_1/trigger -H ")
    assert "authorization: [redacted]" in curl
    assert KEY not in curl
    assert KEY not in repr(vars(caught.value))
    assert "--data-raw" in curl
    assert ValidationError("x").to_curl() == ""


@pytest.mark.parametrize(
    ("headers", "details", "secs"),
    [
        ({"retry-after": "5"}, [], 5.0),
        ({"retry-after": "1.5"}, [], 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, [], 0.25),
        (
            {
                "date": "Fri, 02 Jan 2026 10:00:00 GMT",
                "retry-after": "Fri, 02 Jan 2026 10:00:07 GMT",
            },
            [],
            7.0,
        ),
        ({}, ["retry_after_seconds=3"], 3.0),
        ({}, ["retry_after_seconds=soon", "other=1"], None),
    ],
)
def test_every_form_of_a_wait_is_understood(
    headers: dict[str, str], details: list[str], secs: float | None
) -> None:
    body = {"error": {"code": "rate_limited", "message": "slow down", "details": details}}
    error = strait.map_http_error(429, body=body, headers=headers)
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == secs


def test_the_platform_may_ask_for_a_retry_or_forbid_it(either: Harness, platform: Platform) -> None:
    platform.answers_with(500, headers={"x-should-retry": "false"})
    with pytest.raises(ApiError):
        either.run(lambda: either.client().jobs.get("job_1"))
    assert len(platform.requests) == 1
    platform.answers = []
    platform.answers_with(409, headers={"x-should-retry": "true"})
    platform.answers_with(200, JOB)
    assert either.run(lambda: either.client().jobs.get("job_1")).id == "job_1"


class Tokens:
    """A source of tokens that counts how often it was asked."""

    def __init__(self, *tokens: str) -> None:
        self.left = list(tokens)
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


def test_a_token_is_asked_for_once_and_again_after_a_401(
    either: Harness, platform: Platform
) -> None:
    tokens = Tokens("old", "new")
    for status in (200, 401, 200, 200):
        platform.answers_with(status, JOB)
    client = either.client(api_key=tokens)
    for _ in range(3):
        assert either.run(lambda: client.jobs.get("job_1")).id == "job_1"
    sent = [request.headers["authorization"] for request in platform.requests]
    assert sent == ["Bearer old", "Bearer old", "Bearer new", "Bearer new"]
    assert tokens.asked == 2


def test_a_token_that_is_refused_again_is_an_error(either: Harness, platform: Platform) -> None:
    tokens = Tokens("bad")
    platform.answers_with(401, {"error": {"code": "authentication_required", "message": "no"}})
    client = either.client(bearer_token=tokens)
    with pytest.raises(UnauthorizedError):
        either.run(lambda: client.jobs.create(name="a", slug="a"))
    assert len(platform.requests) == 1
    assert tokens.asked == 2


def test_what_a_source_of_tokens_raises_is_told_without_its_words(either: Harness) -> None:
    def source() -> str:
        raise KeyError("s3cret")

    client = either.client(api_key=source)
    with pytest.raises(ConfigurationError, match="failed with KeyError") as caught:
        either.run(lambda: client.jobs.get("job_1"))
    assert "s3cret" not in str(caught.value)


async def test_a_source_of_tokens_may_be_awaited(platform: Platform) -> None:
    async def source() -> str:
        return "fresh"

    platform.answers_with(200, JOB)
    mock = httpx.AsyncClient(transport=httpx.MockTransport(platform.handle_async))
    async with AsyncClient(base_url="https://p.test", auth=source, http_client=mock) as client:
        await client.jobs.get("job_1")
    assert platform.last.headers["authorization"] == "Bearer fresh"


def test_a_sync_client_refuses_a_source_that_has_to_be_awaited(platform: Platform) -> None:
    async def source() -> str:
        return "fresh"

    mock = httpx.Client(transport=httpx.MockTransport(platform.handle))
    with (
        Client(base_url="https://p.test", auth=source, http_client=mock) as client,
        pytest.raises(ConfigurationError, match="needs an `AsyncClient`"),
    ):
        client.jobs.get("job_1")


def _layers(either: Harness, log: list[str]) -> list[Any]:
    def sync_layer(name: str) -> Any:
        def layer(request: Any, call_next: Any) -> Any:
            log.append(f"{name} in")
            request.headers["x-layers"] = request.headers.get("x-layers", "") + name
            answer = call_next(request)
            log.append(f"{name} out {answer.status}")
            return answer

        return layer

    def async_layer(name: str) -> Any:
        async def layer(request: Any, call_next: Any) -> Any:
            log.append(f"{name} in")
            request.headers["x-layers"] = request.headers.get("x-layers", "") + name
            answer = await call_next(request)
            log.append(f"{name} out {answer.status}")
            return answer

        return layer

    return [(async_layer if either.is_async else sync_layer)(name) for name in "ab"]


def test_layers_surround_every_attempt_and_may_change_it(
    either: Harness, platform: Platform
) -> None:
    log: list[str] = []
    platform.answers_with(200, JOB)
    client = either.client(middleware=_layers(either, log))
    either.run(lambda: client.jobs.get("job_1"))
    assert log == ["a in", "b in", "b out 200", "a out 200"]
    assert platform.last.headers["x-layers"] == "ab"


def test_layers_surround_streams_too(either: Harness, platform: Platform) -> None:
    log: list[str] = []
    platform.answers_text(200, 'data: {"to": "completed"}\n\n', "text/event-stream")
    client = either.client(middleware=_layers(either, log))
    assert len(either.items(lambda: client.runs.stream("run_1"))) == 1
    assert log == ["a in", "b in", "b out 200", "a out 200"]


def test_a_sync_client_refuses_a_layer_that_has_to_be_awaited() -> None:
    async def layer(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    with pytest.raises(ValidationError, match="`layer` is a coroutine function"):
        Client(api_key=KEY, middleware=[layer])


class Spans:
    """A tracer that is none of OpenTelemetry's and keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    @contextlib.contextmanager
    def start_as_current_span(self, name: str, **options: Any) -> Iterator[Any]:
        facts = dict(options["attributes"])
        self.told.append((name, facts))
        yield SimpleNamespace(
            get_span_context=lambda: SimpleNamespace(trace_id=1, span_id=2, trace_flags=1),
            set_attribute=facts.__setitem__,
        )


def test_without_opentelemetry_any_tracer_will_do(
    either: Harness, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("opentelemetry.propagate", "opentelemetry.trace"):
        monkeypatch.setitem(sys.modules, name, None)
    spans = Spans()
    platform.answers_with(200, JOB)
    either.run(lambda: either.client(tracer=spans).jobs.get("job_1"))
    ((name, facts),) = spans.told
    assert name == "strait.jobs.get"
    assert facts["http.response.status_code"] == 200
    assert platform.last.headers["traceparent"] == f"00-{1:032x}-{2:016x}-01"


def test_what_belongs_to_the_http_client_is_refused_beside_it() -> None:
    with httpx.Client() as http, pytest.raises(ValidationError, match="belong to `http_client`"):
        Client(api_key=KEY, http_client=http, proxy="http://proxy.test")


@pytest.mark.parametrize("make", [Client, AsyncClient])
def test_wiring_that_cannot_be_is_told_when_the_client_is_made(make: Any) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        make(api_key=KEY, verify="/nowhere/authorities.pem")
    with pytest.raises(ConfigurationError, match="`proxy` must be") as caught:
        make(api_key=KEY, proxy="ftp://user:s3cret@proxy.test")
    assert "s3cret" not in str(caught.value)


def test_a_client_says_whether_it_is_closed_and_may_be_closed_twice(either: Harness) -> None:
    client = either.client()
    copy = client.with_options(timeout=1)
    either.run(copy.close)
    assert not client.is_closed
    either.run(client.close)
    either.run(client.close)
    assert client.is_closed
    assert copy.is_closed


async def test_an_async_client_can_be_closed_by_contextlib() -> None:
    async with contextlib.aclosing(AsyncClient(api_key=KEY)) as client:
        assert not client.is_closed
    assert client.is_closed


def test_a_client_that_is_not_closed_ends_its_program_without_a_word() -> None:
    program = (
        "import asyncio, strait, sys\n"
        "async def main():\n"
        "    c = strait.AsyncClient(base_url=sys.argv[1], api_key='k'); await c.get('/v1/x')\n"
        "    await c.close()\n"
        "asyncio.run(main())\n"
        "with strait.Client(base_url=sys.argv[1], api_key='k') as c: c.get('/v1/x')\n"
        "unused = strait.Client(api_key='k'), strait.AsyncClient(api_key='k')\n"
    )
    with Wire(*[answers(b"{}")] * 2) as wire:
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", "-c", program, wire.url],
            capture_output=True,
            text=True,
            check=True,
        )
    # In its own mode for developers asyncio also tells of what takes long, which is no fault.
    assert not re.search("Warning|Error|Traceback|never|unclosed", done.stderr), done.stderr


def test_a_call_may_have_a_retry_policy_of_its_own(either: Harness, platform: Platform) -> None:
    platform.answers_with(503)
    client = either.client(retry=None)
    patient = RetryOptions(attempts=4, delay_ms=0)
    with pytest.raises(ApiError):
        either.run(lambda: client.jobs.get("job_1", retry=patient))
    assert len(platform.requests) == 4
    with pytest.raises(ValidationError, match="`retry` must be `RetryOptions`"):
        either.run(lambda: client.jobs.get("job_1", retry=3))


def test_what_a_newer_platform_takes_can_be_sent(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, {**JOB, "data": []})
    client = either.client()
    either.run(lambda: client.jobs.list(limit=1, extra_query={"of_tomorrow": True}))
    assert dict(platform.last.url.params) == {"limit": "1", "of_tomorrow": "true"}
    either.run(lambda: client.jobs.update("job_1", name="n", extra_body={"new": None, "name": "m"}))
    assert platform.sent() == {"name": "m", "new": None}


def test_an_error_knows_the_rate_limit_and_the_instant_at_which_it_ends(
    either: Harness, platform: Platform
) -> None:
    date = {"date": "Fri, 02 Jan 2026 03:04:05 GMT"}
    platform.answers_with(429, headers={**LIMITS, **date})
    client = either.client(retry=None)
    with pytest.raises(RateLimitedError) as caught:
        either.run(lambda: client.jobs.get("job_1"))
    limit = pickle.loads(pickle.dumps(caught.value)).rate_limit
    assert limit == strait.RateLimit(10, 9, 60, datetime(2026, 1, 2, 3, 5, 5, tzinfo=UTC))


@pytest.mark.parametrize(
    ("reset", "instant"),
    [
        ("1767323045", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("60", None),
        ("soon", None),
        ("9" * 30, None),
    ],
)
def test_an_end_of_the_limit_that_cannot_be_told_is_none(reset: str, instant: Any) -> None:
    limit = strait.RateLimit.of({"x-ratelimit-limit": "1", "x-ratelimit-reset": reset})
    assert limit is not None
    assert limit.reset_at == instant


def test_layers_know_the_operation_and_the_attempt(either: Harness, platform: Platform) -> None:
    seen: list[tuple[str, int]] = []

    def layer(request: Any, call_next: Any) -> Any:
        seen.append((request.operation, request.attempt))
        return call_next(request)

    async def async_layer(request: Any, call_next: Any) -> Any:
        return await layer(request, call_next)

    platform.answers_with(503)
    platform.answers_with(200, JOB)
    client = either.client(middleware=[async_layer if either.is_async else layer])
    either.run(lambda: client.jobs.get("job_1"))
    either.run(lambda: client.get("/v1/x"))
    assert seen == [("jobs.get", 1), ("jobs.get", 2), ("", 1)]
