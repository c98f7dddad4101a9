"""What a handler is sent, and what comes of its answer (`contract/runs.md` §4)."""

from __future__ import annotations

import json

import pytest

from strait import signing
from support.handlers import Answer, Gate, Received, ok
from support.world import World


async def test_a_triggered_run_is_dispatched_and_completed(world: World) -> None:
    job = await world.job()
    run_id = await world.trigger(job, {"b": 1, "a": [2]})
    run = await world.until(run_id, "completed")
    assert run["result"] == {"ok": True}
    assert run["payload"] == {"a": [2], "b": 1}
    (call,) = world.handlers.received
    assert call.json == {"a": [2], "b": 1}
    assert call.headers["content-type"] == "application/json"
    assert call.headers["x-run-id"] == run_id
    assert call.headers["x-job-id"] == job["id"]
    assert call.headers["x-attempt"] == "1"
    assert call.headers["user-agent"] == "Strait"


async def test_a_run_without_payload_is_sent_an_empty_object(world: World) -> None:
    run_id = await world.trigger(await world.job())
    await world.until(run_id, "completed")
    assert world.handlers.received[0].body == b"{}"


async def test_a_signed_dispatch_verifies_over_its_raw_bytes(world: World) -> None:
    job = await world.job(endpoint_signing_secret="a-secret-of-32-characters-length")
    await world.until(await world.trigger(job, {"z": "ü", "a": 1}), "completed")
    (call,) = world.handlers.received
    stamp = int(call.headers["x-strait-timestamp"])
    expected = signing.sign("a-secret-of-32-characters-length", stamp, call.body)
    assert call.headers["x-strait-signature"] == expected
    assert expected.startswith("v1=")


async def test_trace_headers_of_the_trigger_reach_the_handler(world: World) -> None:
    job = await world.job()
    answer = await world.api.post(
        f"/v1/jobs/{job['id']}/trigger",
        headers={"Traceparent": "00-abc-def-01", "Baggage": "k=v"},
    )
    await world.until(answer.json()["id"], "completed")
    (call,) = world.handlers.received
    assert call.headers["traceparent"] == "00-abc-def-01"
    assert call.headers["baggage"] == "k=v"


@pytest.mark.parametrize(
    ("status", "body", "result"),
    [
        (200, b'{"a": 1}', {"a": 1}),
        (201, b"  [1, 2]  ", [1, 2]),
        (202, b"null", None),
        (200, b"plain text", "plain text"),
        (200, b"<html>hi</html>", "<html>hi</html>"),
        (200, b'{"broken": ', '{"broken": '),
        (200, b"[" * 50_000, "[" * 50_000),
        (200, b"caf\xe9", "caf�"),
    ],
)
async def test_any_2xx_completes_the_run_with_what_was_answered(
    world: World, status: int, body: bytes, result: object
) -> None:
    world.handlers.script = lambda call: Answer(status, body)
    run = await world.until(await world.trigger(await world.job()), "completed")
    assert run["result"] == result


@pytest.mark.parametrize("status", [200, 204])
async def test_an_empty_answer_leaves_no_result(world: World, status: int) -> None:
    raw = f"HTTP/1.1 {status} OK\r\n" + ("" if status == 204 else "Content-Length: 0\r\n") + "\r\n"
    world.handlers.script = lambda call: Answer(raw=raw.encode())
    run = await world.until(await world.trigger(await world.job()), "completed")
    assert "result" not in run


async def test_an_answer_that_is_too_long_is_refused_and_never_cut(world: World) -> None:
    world.handlers.script = lambda call: Answer(200, b"x" * (10 * 1024 * 1024))
    run = await world.until(await world.trigger(await world.job()), "dead_letter")
    assert run["error"] == "the endpoint answered more than 1048576 bytes"
    assert run["error_class"] == "client"
    assert run["attempt"] == 1
    assert "result" not in run


async def test_a_long_page_beside_an_error_does_not_hide_the_error(world: World) -> None:
    world.handlers.script = lambda call: Answer(500, b"x" * (3 * 1024 * 1024))
    job = await world.job(max_attempts=1)
    run = await world.until(await world.trigger(job), "dead_letter")
    assert (run["error"], run["error_class"]) == ("endpoint returned 500", "server")


@pytest.mark.parametrize(
    ("status", "error_class", "retried"),
    [
        (302, "unknown", True),
        (400, "client", False),
        (401, "auth", False),
        (403, "auth", False),
        (404, "client", False),
        (408, "client", False),
        (429, "rate_limited", True),
        (500, "server", True),
        (503, "server", True),
    ],
)
async def test_other_statuses_are_errors_of_their_class(
    virtual: World, status: int, error_class: str, retried: bool
) -> None:
    virtual.handlers.script = lambda call: Answer(status, b"<html>", {"Location": "/other"})
    run_id = await virtual.trigger(await virtual.job(max_attempts=2))
    if retried:
        run = await virtual.until(run_id, "queued", attempt=2)
        assert run["attempt"] == 2
    else:
        run = await virtual.until(run_id, "dead_letter")
        assert run["attempt"] == 1
    assert run["error"] == f"endpoint returned {status}"
    assert run["error_class"] == error_class


async def test_what_the_host_tells_of_an_exception_becomes_the_error(world: World) -> None:
    body = json.dumps({"error": {"type": "ValueError", "message": "no such order"}}).encode()
    world.handlers.script = lambda call: Answer(500, body)
    run = await world.until(await world.trigger(await world.job(max_attempts=1)), "dead_letter")
    assert run["error"] == "ValueError: no such order"


async def test_an_answer_that_is_no_http_is_an_error(world: World) -> None:
    world.handlers.script = lambda call: Answer(raw=b"hello\r\n\r\n", hang_up=True)
    run = await world.until(await world.trigger(await world.job(max_attempts=1)), "dead_letter")
    assert run["error"] == "the endpoint's answer is not valid HTTP"
    assert run["error_class"] == "unknown"


@pytest.mark.parametrize(
    "raw", [b"", b"HTTP/1.1 200 OK\r\nContent-Ty", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1"]
)
async def test_an_answer_that_breaks_off_is_a_connection_error(world: World, raw: bytes) -> None:
    world.handlers.script = lambda call: Answer(raw=raw, hang_up=True)
    run = await world.until(await world.trigger(await world.job(max_attempts=1)), "dead_letter")
    assert run["error"] == "the endpoint closed the connection early"
    assert run["error_class"] == "connection"


async def test_an_answer_may_end_with_its_connection(world: World) -> None:
    raw = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[1]"
    world.handlers.script = lambda call: Answer(raw=raw, hang_up=True)
    run = await world.until(await world.trigger(await world.job()), "completed")
    assert run["result"] == [1]


async def test_an_interim_answer_is_passed_over(world: World) -> None:
    raw = (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n7"
    )
    world.handlers.script = lambda call: Answer(raw=raw)
    run = await world.until(await world.trigger(await world.job()), "completed")
    assert run["result"] == 7


async def test_an_endpoint_that_nobody_listens_at_is_a_connection_error(world: World) -> None:
    job = await world.job(max_attempts=1)
    await world.api.patch(f"/v1/jobs/{job['id']}", json={"endpoint_url": "http://127.0.0.1:1/"})
    run = await world.until(await world.trigger(job), "dead_letter")
    assert run["error_class"] == "connection"
    assert run["error"].startswith("connection to the endpoint failed")


async def test_connections_to_an_endpoint_are_kept(world: World) -> None:
    job = await world.job()
    for _ in range(3):
        await world.until(await world.trigger(job), "completed")
    assert {call.connection for call in world.handlers.received} == {1}


async def test_a_kept_connection_that_went_stale_costs_no_attempt(world: World) -> None:
    job = await world.job(max_attempts=1)
    await world.until(await world.trigger(job), "completed")

    def hang_up_on_the_first(call: Received) -> Answer:
        return Answer(None) if call.connection == 1 else ok("second")

    world.handlers.script = hang_up_on_the_first
    run_id = await world.trigger(job)
    run = await world.until(run_id, "completed")
    assert (run["attempt"], run["result"]) == (1, "second")
    first, second = world.handlers.of(run_id)
    assert (first.attempt, second.attempt) == (1, 1)
    assert first.token != second.token


@pytest.mark.parametrize("path", ["caf%C3%A9/x?q=a%20b", "a/b;c=1?x=1&y=2"])
async def test_the_path_of_the_endpoint_is_kept_as_it_is(world: World, path: str) -> None:
    await world.until(await world.trigger(await world.job(path)), "completed")
    assert world.handlers.received[0].path == "/" + path


# ------------------------------------------------------------------------- fallback and circuit


async def test_the_fallback_is_asked_when_the_primary_may_be_down(world: World) -> None:
    world.handlers.script = lambda call: Answer(429) if call.path == "/main" else ok("fallback")
    job = await world.job("main", fallback_endpoint_url=world.handlers.url + "spare")
    run = await world.until(await world.trigger(job), "completed")
    assert run["result"] == "fallback"
    main, spare = world.handlers.received
    assert (main.path, spare.path) == ("/main", "/spare")
    assert main.token == spare.token


async def test_the_fallback_is_not_asked_when_the_primary_answered_with_an_error(
    world: World,
) -> None:
    world.handlers.script = lambda call: Answer(500)
    job = await world.job(
        "main", fallback_endpoint_url=world.handlers.url + "spare", max_attempts=1
    )
    await world.until(await world.trigger(job), "dead_letter")
    assert [call.path for call in world.handlers.received] == ["/main"]


async def test_both_errors_are_told_when_the_fallback_fails_too(world: World) -> None:
    world.handlers.script = lambda call: Answer(429 if call.path == "/main" else 404)
    job = await world.job("main", fallback_endpoint_url=world.handlers.url + "spare")
    run = await world.until(await world.trigger(job), "dead_letter")
    assert run["error"] == "endpoint returned 429; fallback: endpoint returned 404"
    assert run["error_class"] == "client"


async def test_an_endpoint_that_keeps_failing_is_left_alone_for_a_minute(virtual: World) -> None:
    virtual.handlers.script = lambda call: Answer(500)
    job = await virtual.job(max_attempts=1)
    for _ in range(5):
        await virtual.until(await virtual.trigger(job), "dead_letter")
    run_id = await virtual.trigger(job)
    await virtual.settled()
    run = await virtual.run(run_id)
    assert (run["status"], run["attempt"]) == ("queued", 1)
    assert run["error"] == "endpoint circuit breaker open"
    assert run["metadata"] == {"snooze_count": "1"}
    assert len(virtual.handlers.received) == 5
    virtual.handlers.script = lambda call: ok("up again")
    await virtual.pass_time(61)
    run = await virtual.until(run_id, "completed")
    assert (run["attempt"], run["result"]) == (1, "up again")


async def test_a_trial_that_is_canceled_does_not_keep_the_circuit_open(virtual: World) -> None:
    virtual.handlers.script = lambda call: Answer(500)
    job = await virtual.job(max_attempts=1)
    for _ in range(5):
        await virtual.until(await virtual.trigger(job), "dead_letter")
    virtual.handlers.script = Gate()
    trial, next_one = await virtual.trigger(job), await virtual.trigger(job)
    await virtual.pass_time(61)
    calls = await virtual.handlers.wait(6)
    tried = calls[5].run_id
    assert tried in {trial, next_one}
    await virtual.api.delete(f"/v1/runs/{tried}")
    virtual.handlers.script = lambda call: ok("up")
    await virtual.pass_time(10)
    (other,) = {trial, next_one} - {tried}
    await virtual.until(other, "completed")


async def test_an_answer_that_does_not_fit_the_result_schema_is_a_failed_attempt(
    virtual: World,
) -> None:
    bodies = [b'{"total": "7"}', b"", b'{"total": 7}']
    virtual.handlers.script = lambda call: Answer(body=bodies[call.attempt - 1])
    shape = {"type": "object", "properties": {"total": {"type": "integer"}}}
    job = await virtual.job(result_schema=shape, retry_strategy="fixed", retry_delays_secs=[1])
    run_id = await virtual.trigger(job)
    waiting = await virtual.until(run_id, "queued", attempt=2)
    assert (waiting["error"], waiting["error_class"]) == (
        "result schema validation failed: $.total must be of type integer", "server"
    )  # fmt: skip
    await virtual.pass_time(60)
    assert (await virtual.until(run_id, "completed"))["result"] == {"total": 7}
    lines = (await virtual.api.get(f"/v1/runs/{run_id}/events")).json()["data"]
    told = [line["message"] for line in lines if "attempt 2 failed" in line["message"]]
    assert len(told) == 1
    assert "result schema validation failed: $ must be of type object" in told[0]
