"""What who runs a server sees of it: metrics, logs, health, limits, and a proxy in front."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from strait.clock import VirtualClock
from strait.server import logs
from strait.server.auth import hash_key
from strait.server.unit import Unit
from strait.store import meta
from support.handlers import Answer, Handlers, Received, ok
from support.workflows import told
from support.world import PROJECT, SECRET, World, world


async def metrics(world: World) -> dict[str, dict[tuple[str, ...], float]]:
    """What the server exposes, read by the library's own parser: by name, then by labels."""
    answer = await world.internal().get("/metrics")
    assert answer.status_code == 200, answer.text
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


# --------------------------------------------------------------------------------------- metrics


async def test_metrics_count_requests_runs_dispatches_and_commits(world: World) -> None:
    job = await world.job(max_attempts=1)
    for _ in range(3):
        await world.until(await world.trigger(job), "completed")
    world.handlers.script = lambda call: Answer(500)
    await world.until(await world.trigger(job), "dead_letter", "failed")
    assert (await world.api.get("/v1/jobs/unknown")).status_code == 404
    found = await metrics(world)
    requests = found["strait_http_requests_total"]
    assert requests["trigger-job", "201"] == 4
    assert requests["get-job", "404"] == 1
    ended = found["strait_runs_ended_total"]
    assert ended["completed",] == 3
    assert sum(ended.values()) == 4
    assert found["strait_dispatch_latency_seconds_count"][()] == 4
    assert found["strait_dispatch_latency_seconds_bucket"]["+Inf",] == 4
    assert found["strait_commit_seconds_count"][()] >= 5
    assert found["strait_commit_operations_sum"][()] >= found["strait_commit_seconds_count"][()]
    assert found["strait_database_bytes"][()] > 10_000


async def test_metrics_show_what_is_going_on(world: World) -> None:
    job = await world.job()
    answered = asyncio.Event()

    async def script(call: Received) -> Answer:
        await answered.wait()
        return ok()

    world.handlers.script = script
    run_id = await world.trigger(job)
    await world.until(run_id, "executing")
    delayed = await world.trigger(job, scheduled_at=_tomorrow(world))
    found = await metrics(world)
    assert found["strait_runs"]["executing",] == 1
    assert found["strait_runs"]["delayed",] == 1
    assert found["strait_dispatches"][()] == 1
    assert found["strait_timers"][()] >= 2
    async with world.api.stream("GET", f"/v1/runs/{run_id}/stream") as stream:
        assert stream.status_code == 200
        assert (await metrics(world))["strait_event_streams"][()] == 1
    answered.set()
    await world.until(run_id, "completed")
    await world.api.delete(f"/v1/runs/{delayed}")
    assert (await metrics(world))["strait_runs"]["executing",] == 0


def _tomorrow(world: World) -> str:
    from strait.clock import to_timestamp

    return to_timestamp(world.platform.clock.now() + 86_400_000_000)


async def test_metrics_are_for_who_has_the_internal_secret_unless_opened(
    handlers: Handlers,
) -> None:
    async with world(handlers) as closed:
        assert (await closed.client().get("/metrics")).status_code == 401
        own = await closed.api.get("/metrics")
        assert told(own) == (403, "metrics require internal secret")
    async with world(handlers, open_metrics=True) as opened:
        assert (await opened.client().get("/metrics")).status_code == 200


# ------------------------------------------------------------------------------------------ logs


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the server logs, as JSON, down to each request."""
    logger = logging.getLogger("strait")
    before = logger.handlers[:], logger.level, logger.propagate
    stream = io.StringIO()
    logs.configure("json", "debug", stream)
    yield stream
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_each_request_is_a_line_with_its_id_and_without_what_is_secret(
    world: World, written: io.StringIO
) -> None:
    job = await world.job()
    headers = {"X-Request-Id": "req-7"}
    path = f"/v1/jobs/{job['id']}/trigger"
    body = {"payload": {"card": "4111-secret"}}
    await world.api.post(path, json=body, headers=headers, params={"token": "query-secret"})
    (line,) = [line for line in lines(written) if line.get("request_id") == "req-7"]
    assert (line["level"], line["message"]) == ("debug", "request")
    assert (line["operation"], line["method"], line["status"]) == ("trigger-job", "POST", 201)
    assert line["path"] == path
    assert line["ms"] > 0
    assert line["time"].endswith("Z")
    for secret in ("4111-secret", "query-secret", world.key, SECRET):
        assert secret not in written.getvalue()


async def test_a_failure_is_logged_with_its_request(
    world: World, written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("it broke")

    from strait.server.routes import registry

    monkeypatch.setitem(registry.reads, "get-stats", broken)
    answer = await world.api.get("/v1/stats", headers={"X-Request-Id": "req-8"})
    assert told(answer) == (500, "internal server error")
    (error,) = [line for line in lines(written) if line["level"] == "error"]
    assert error["request_id"] == "req-8"
    assert "RuntimeError: it broke" in error["error"]


async def test_the_life_of_a_run_is_told_without_what_is_in_it(
    world: World, written: io.StringIO
) -> None:
    world.handlers.script = lambda call: Answer(
        400, b'{"error":{"type":"E","message":"4111-secret"}}'
    )
    run_id = await world.trigger(await world.job(), {"card": "4111-secret"})
    await world.until(run_id, "dead_letter")
    await world.settled()
    told_of_it = [line for line in lines(written) if line.get("run_id") == run_id]
    assert [(line["level"], line["message"]) for line in told_of_it] == [
        ("debug", "run was made, queued, by manual"),
        ("debug", "run went from queued to executing in attempt 1"),
        ("info", "run went from executing to dead_letter in attempt 1 (client)"),
    ]
    assert {line["project_id"] for line in told_of_it} == {PROJECT}
    assert "4111-secret" not in written.getvalue()


def test_text_logs_have_their_fields_behind_the_message() -> None:
    record = logging.LogRecord("strait", logging.INFO, "f", 1, "started %s", ("it",), None)
    record.run_id = "r1"
    line = logs.TextFormatter().format(record)
    assert line.endswith("INFO    started it  run_id=r1")


# ---------------------------------------------------------------------------------------- health


async def test_health_says_why_a_server_is_not_ready(handlers: Handlers) -> None:
    async with world(handlers, hold=True) as held:
        client = held.client()
        assert (await client.get("/health/live")).json()["status"] == "ok"
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()) == (
            503,
            {
                "status": "not_ready",
                "reasons": ["the server is starting; no runs are started yet"],
            },
        )
        held.platform.scheduler.start()
        assert (await client.get("/health/ready")).json() == {"status": "ready"}
        await held.platform.drain()
        answer = await client.get("/health/ready")
        assert answer.json()["reasons"] == ["the server is stopping"]


async def test_a_disk_that_cannot_be_written_makes_a_server_not_ready(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    writer = world.platform.writer
    monkeypatch.setattr(
        writer, "_try_commit", lambda: sqlite3.OperationalError("database or disk is full")
    )
    body = {"project_id": "proj-1", "name": "n", "slug": "s", "endpoint_url": "http://127.0.0.1:1"}
    assert (await world.api.post("/v1/jobs", json=body)).status_code == 503
    answer = await world.client().get("/health/ready")
    assert answer.json()["reasons"] == ["the last commit failed; the disk may be full"]
    monkeypatch.undo()
    assert (await world.api.post("/v1/jobs", json=body)).status_code == 201
    assert (await world.client().get("/health/ready")).status_code == 200


# ---------------------------------------------------------------------------------------- limits


async def test_the_limit_of_a_key_always_holds_and_is_told(virtual: World) -> None:
    key = await virtual.key_for("*")

    def limit(unit: Unit) -> None:
        record = meta.key_by_hash(unit.db, hash_key(key))
        assert record is not None
        limited = replace(record, rate_limit_requests=2, rate_limit_window_secs=60)
        meta.update_key(unit.db, limited)
        unit.platform.keys.forget()

    await virtual.platform.write(limit)
    client = virtual.client(key)
    first, second, third = [await client.get("/v1/stats") for _ in range(3)]
    assert [first.headers["x-ratelimit-remaining"], second.headers["x-ratelimit-remaining"]] == [
        "1", "0"
    ]  # fmt: skip
    assert told(third) == (429, "rate limit exceeded")
    assert third.json()["error"]["code"] == "rate_limited"
    assert (third.headers["retry-after"], third.headers["x-ratelimit-limit"]) == ("60", "2")
    assert (await virtual.api.get("/v1/stats")).status_code == 200
    await virtual.pass_time(61)
    assert (await client.get("/v1/stats")).status_code == 200


async def test_without_the_platforms_limits_an_address_may_ask_as_often_as_it_likes(
    world: World,
) -> None:
    answers = [await world.api.get("/v1/stats") for _ in range(120)]
    assert {answer.status_code for answer in answers} == {200}
    assert "x-ratelimit-limit" not in answers[0].headers


async def test_with_the_platforms_limits_an_address_triggers_ten_times_a_minute(
    handlers: Handlers,
) -> None:
    async with world(handlers, clock=VirtualClock(), limits="platform") as limited:
        job = await limited.job()
        path = f"/v1/jobs/{job['id']}/trigger"
        answers = [await limited.api.post(path, json={}) for _ in range(11)]
        assert [answer.status_code for answer in answers] == [201] * 10 + [429]
        assert answers[0].headers["x-ratelimit-limit"] == "1000"
        assert int(answers[10].headers["retry-after"]) <= 60
        # Other operations have a count of their own.
        assert (await limited.api.get("/v1/stats")).status_code == 200
        await limited.pass_time(61)
        assert (await limited.api.post(path, json={})).status_code == 201
        for run in (await limited.api.get("/v1/runs")).json()["data"]:
            await limited.until(run["id"], "completed")


@pytest.mark.parametrize("headers", [
    {"Authorization": "Bearer strait_guessed"}, {"X-Internal-Secret": "guessed"},
])  # fmt: skip
async def test_with_the_platforms_limits_who_guesses_credentials_is_shut_out(
    handlers: Handlers, headers: dict[str, str]
) -> None:
    async with world(handlers, clock=VirtualClock(), limits="platform") as limited:
        stranger = limited.client()

        async def guesses(count: int) -> list[int]:
            answers = [await stranger.get("/v1/stats", headers=headers) for _ in range(count)]
            return [answer.status_code for answer in answers]

        assert await guesses(11) == [401] * 10 + [429]
        shut = await stranger.get("/v1/stats", headers=headers)
        assert (told(shut), shut.headers["retry-after"]) == (
            (429, "too many failed authentication attempts"), "60"
        )  # fmt: skip
        # The other kind of credential is not concerned.
        other = limited.internal(PROJECT) if "Authorization" in headers else limited.api
        assert (await other.get("/v1/stats")).status_code == 200
        await limited.pass_time(61)
        assert await guesses(16) == [401] * 15 + [429]
        await limited.pass_time(60)
        assert await guesses(1) == [429], "the second time it takes five minutes"
        await limited.pass_time(241)
        assert await guesses(1) == [401]


async def test_without_the_platforms_limits_nobody_is_shut_out(world: World) -> None:
    stranger = world.client("strait_guessed")
    answers = [await stranger.get("/v1/stats") for _ in range(60)]
    assert {answer.status_code for answer in answers} == {401}


async def test_with_the_platforms_limits_a_call_of_a_handler_takes_five_minutes_at_most(
    handlers: Handlers,
) -> None:
    async with world(handlers, clock=VirtualClock(), limits="platform") as limited:
        handlers.script = lambda call: _never()
        job = await limited.job(timeout_secs=3600, max_attempts=1)
        run_id = await limited.trigger(job)
        (call,) = await handlers.wait(1, run_id)
        assert call.headers["x-strait-timeout-secs"] == "300"
        await limited.until(run_id, "executing")
        await limited.pass_time(301)
        await limited.until(run_id, "timed_out", "dead_letter")


async def _never() -> Answer:
    await asyncio.Event().wait()
    return ok()


async def test_with_the_platforms_limits_endpoints_listen_where_it_calls(
    handlers: Handlers,
) -> None:
    async with world(handlers, limits="platform") as limited:
        body = {"project_id": "proj-1", "name": "n", "slug": "s"}
        odd = {**body, "endpoint_url": "https://example.com:8123/x"}
        status, message = told(await limited.api.post("/v1/jobs", json=odd))
        assert (status, message.partition(",")[0]) == (
            400, "invalid endpoint_url: the platform calls no port 8123"
        )  # fmt: skip
        made = await limited.job()
        path = f"/v1/jobs/{made['id']}"
        answer = await limited.api.patch(path, json={"endpoint_url": odd["endpoint_url"]})
        assert answer.status_code == 400
        good = {"endpoint_url": "https://example.com:8443/x"}
        assert (await limited.api.patch(path, json=good)).status_code == 200


# ----------------------------------------------------------------------------------------- proxy


async def test_a_server_works_below_a_path_whether_the_proxy_takes_it_off_or_not(
    handlers: Handlers,
) -> None:
    async with world(handlers, root_path="/strait/") as below:
        client = below.client(below.key)
        for path in ("/v1/stats", "/strait/v1/stats", "/strait/health"):
            assert (await client.get(path)).status_code == 200
        assert (await client.get("/strait")).status_code == 404
        async with httpx.AsyncClient(base_url=f"{below.server.base_url}/strait") as api:
            assert (await api.get("/health/ready")).status_code == 200
