"""The plane of the handlers: run tokens, and what is written with them (`contract/runs.md` §5)."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import jwt
import pytest

from strait.clock import SECOND, from_timestamp
from strait.server import tokens
from support.handlers import Answer, Gate, ok
from support.world import World


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["error"]["message"])


class Running:
    """A run whose handler is held back, and the handler's client."""

    def __init__(self, world: World, job: dict[str, Any], run_id: str, token: str) -> None:
        self.world = world
        self.job = job
        self.id = run_id
        self.token = token
        self.client = world.handler(token)

    async def post(self, path: str, body: object = None) -> httpx.Response:
        return await self.client.post(f"/sdk/v1/runs/{self.id}/{path}", json=body)

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(f"/sdk/v1/runs/{self.id}/{path}")

    async def delete(self, path: str) -> httpx.Response:
        return await self.client.delete(f"/sdk/v1/runs/{self.id}/{path}")


@pytest.fixture
async def running(world: World) -> Running:
    world.handlers.script = Gate()
    job = await world.job(endpoint_signing_secret="0123456789abcdef")
    run_id = await world.trigger(job, {"n": 1})
    (call,) = await world.handlers.wait(1, run_id)
    return Running(world, job, run_id, call.token)


# ----------------------------------------------------------------------------------------- tokens


def test_a_token_is_what_the_library_would_write() -> None:
    key, now = tokens.new_signing_key(), 1_700_000_000 * SECOND
    written = tokens.issue(key, tokens.RunToken("run", 2, "3.4"), now=now, timeout_secs=30)
    claims = jwt.decode(written, options={"verify_signature": False})
    assert written == jwt.encode(claims, key, algorithm="HS256")
    assert tokens.read(key, written, now=now) == tokens.RunToken("run", 2, "3.4")


async def test_a_token_says_run_attempt_and_assignment(running: Running) -> None:
    claims = jwt.decode(running.token, options={"verify_signature": False})
    assert claims["iss"] == "strait:run-token"
    assert (claims["sub"], claims["attempt"]) == (running.id, 1)
    assert claims["assignment_id"]
    assert claims["exp"] - claims["iat"] == running.job["timeout_secs"] + 60


async def test_callers_without_a_run_token_are_refused_in_order(running: Running) -> None:
    world = running.world
    path = f"/sdk/v1/runs/{running.id}/heartbeat"

    async def post(authorization: str | None) -> tuple[int, str]:
        headers = {} if authorization is None else {"Authorization": authorization}
        return told(await world.client().post(path, headers=headers))

    missing = (401, "missing or invalid authorization header")
    assert await post(None) == missing
    assert await post("Basic abc") == missing
    invalid = (401, "invalid run token")
    assert await post(f"Bearer {world.key}") == invalid
    assert await post("Bearer a.b.c") == invalid
    assert await post(f"Bearer {forged(world, 'other key', sub=running.id)}") == invalid
    key = world.platform.token_key
    assert await post(f"Bearer {forged(world, key, iss='me')}") == invalid
    assert await post(f"Bearer {forged(world, key, exp=1)}") == invalid
    assert await post(f"Bearer {without_signature(running.token)}") == invalid
    assert await post(f"Bearer {forged(world, key)}") == (401, "missing run ID in token")
    assert await post(f"Bearer {forged(world, key, sub=running.id)}") == (
        401,
        "missing run attempt in token",
    )
    other = forged(world, key, sub="another", attempt=1)
    assert await post(f"Bearer {other}") == (403, "token does not match run ID")
    stale = forged(world, key, sub=running.id, attempt=9)
    assert await post(f"Bearer {stale}") == (401, "run token attempt is stale")
    mismatch = forged(world, key, sub=running.id, attempt=1, assignment_id="0.1")
    assert await post(f"Bearer {mismatch}") == (401, "run token assignment mismatch")


def forged(world: World, key: str, **claims: object) -> str:
    now = world.platform.clock.now() // 1_000_000
    filled = {"iss": tokens.ISSUER, "exp": now + 60, **claims}
    return jwt.encode(filled, key.ljust(32, "-"), algorithm="HS256")


def without_signature(token: str) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    return f"{head}.{token.split('.')[1]}."


async def test_a_token_of_a_run_that_is_gone_is_404(running: Running) -> None:
    token = forged(running.world, running.world.platform.token_key, sub="gone", attempt=1)
    answer = await running.world.handler(token).post("/sdk/v1/runs/gone/heartbeat")
    assert told(answer) == (404, "run not found")


async def test_a_terminal_run_is_gone_for_its_handler(running: Running) -> None:
    assert (await running.post("complete", {"result": 1})).json()["status"] == "completed"
    for answer in (
        await running.post("log", {"message": "late"}),
        await running.get("payload"),
        await running.get("state"),
        await running.post("fail", {"error": "late"}),
    ):
        assert told(answer) == (410, "run has reached a terminal state")
        assert answer.json()["error"]["code"] == "internal_error"


async def test_a_token_ends_a_minute_after_its_attempt_may(virtual: World) -> None:
    virtual.handlers.script = Gate()
    run_id = await virtual.trigger(await virtual.job(timeout_secs=10, max_attempts=2))
    (call,) = await virtual.handlers.wait(1, run_id)
    await virtual.api.post(f"/v1/runs/{run_id}/pause")
    await virtual.pass_time(71)
    answer = await virtual.handler(call.token).post(f"/sdk/v1/runs/{run_id}/heartbeat")
    assert told(answer) == (401, "invalid run token")


@pytest.mark.parametrize(
    ("version", "accepted", "capabilities"),
    [
        ("", "legacy", "none"),
        ("1.9.0", "1.9.0", "none"),
        ("2.0.0-rc.1", "2.0.0-rc.1", "progress,checkpoint"),
        ("12.1", "12.1", "progress,checkpoint"),
        ("<script>", "legacy", "none"),
    ],
)
async def test_an_sdk_is_told_what_it_may_rely_on(
    running: Running, version: str, accepted: str, capabilities: str
) -> None:
    headers = {"X-SDK-Version": version} if version else {}
    for path in (f"/sdk/v1/runs/{running.id}/heartbeat", "/sdk/v1/runs/other/heartbeat"):
        answer = await running.client.post(path, headers=headers)
        assert answer.headers["x-sdk-version-accepted"] == accepted
        assert answer.headers["x-sdk-capabilities"] == capabilities
    assert "x-sdk-capabilities" not in (await running.world.api.get("/v1/stats")).headers


# ------------------------------------------------------------------------------- what it may write


async def test_a_heartbeat_is_remembered_with_its_instant(virtual: World) -> None:
    virtual.handlers.script = Gate()
    run_id, handler = await virtual.executing(await virtual.job())
    begun = await virtual.run(run_id)
    await virtual.pass_time(40)
    path = f"/sdk/v1/runs/{run_id}/heartbeat"
    assert (await handler.post(path)).json() == {"status": "ok"}
    beaten = await virtual.run(run_id)
    passed = from_timestamp(beaten["heartbeat_at"]) - from_timestamp(begun["heartbeat_at"])
    assert passed // SECOND in {39, 40}
    assert {**begun, "heartbeat_at": beaten["heartbeat_at"]} == beaten
    assert (await virtual.api.delete(f"/v1/runs/{run_id}")).status_code == 200
    assert (await handler.post(path)).status_code == 410


async def test_the_payload_can_be_read_again(running: Running) -> None:
    assert (await running.get("payload")).json() == {"n": 1}


async def test_a_log_line_is_in_the_history_of_the_run(running: Running) -> None:
    answer = await running.post("log", {"message": "hello", "data": {"k": 1}, "level": "warn"})
    assert answer.status_code == 201
    line = answer.json()
    assert (line["type"], line["level"], line["message"], line["data"]) == (
        "log",
        "warn",
        "hello",
        {"k": 1},
    )
    listed = (await running.world.api.get(f"/v1/runs/{running.id}/events")).json()["data"]
    assert listed[-1] == line
    assert (await running.post("log", {})).status_code == 422


async def test_a_handler_cannot_tell_a_change_of_status_that_was_none(running: Running) -> None:
    end = {"message": "done", "type": "state_change", "data": {"to": "completed"}}
    refused = await running.post("log", end)
    assert refused.status_code == 400
    assert "'state_change'" in refused.json()["error"]["message"]
    listed = (await running.world.api.get(f"/v1/runs/{running.id}/events")).json()["data"]
    assert [line["data"]["to"] for line in listed] == ["queued", "executing"]


async def test_progress_is_an_event_with_numbers(running: Running) -> None:
    answer = await running.post("progress", {"percent": 40, "message": "half", "step": "a"})
    assert answer.json()["type"] == "progress"
    assert answer.json()["data"] == {"percent": 40, "step": "a"}
    assert (await running.post("progress", {"percent": 101, "message": "x"})).status_code == 422


async def test_annotations_are_merged_into_the_metadata(running: Running) -> None:
    await running.post("annotate", {"annotations": {"a": "1", "b": "1"}})
    answer = await running.post("annotate", {"annotations": {"b": "2"}})
    assert answer.json()["metadata"] == {"a": "1", "b": "2"}
    for wrong in ({}, {" ": "x"}, {"k" * 129: "x"}, {"k": "x" * 1025}):
        answer = await running.post("annotate", {"annotations": wrong})
        assert answer.status_code in {400, 422}


async def test_the_last_checkpoint_reaches_the_next_attempt(virtual: World) -> None:
    virtual.handlers.script = Gate(Answer(500))
    run_id = await virtual.trigger(await virtual.job())
    (call,) = await virtual.handlers.wait(1, run_id)
    handler = virtual.handler(call.token)
    for at in ("one", "zwölf"):
        answer = await handler.post(f"/sdk/v1/runs/{run_id}/checkpoint", json={"state": {"at": at}})
        assert answer.status_code == 201
    assert answer.json()["sequence"] == 2
    virtual.handlers.script.open()  # type: ignore[attr-defined]  # it is the gate from above
    await virtual.until(run_id, "queued", attempt=2)
    virtual.handlers.script = lambda call: ok()
    await virtual.pass_time(1.3)
    _, second = await virtual.handlers.wait(2, run_id)
    assert json.loads(second.headers["x-last-checkpoint"]) == {"at": "zwölf"}
    assert second.headers["x-checkpoint-at"].endswith("Z")
    listed = await virtual.api.get(f"/v1/runs/{run_id}/checkpoints")
    assert [row["sequence"] for row in listed.json()["data"]] == [2, 1]


async def test_an_output_is_kept_under_its_key_and_checked_by_its_schema(running: Running) -> None:
    schema = {"type": "object", "required": ["total"]}
    good = {"output_key": "sum", "value": {"total": 3}, "schema": schema}
    assert (await running.post("output", good)).status_code == 201
    again = {"output_key": "sum", "value": {"total": 4}}
    assert (await running.post("output", again)).status_code == 201
    bad = await running.post("output", {**good, "value": {}})
    assert told(bad) == (400, "output schema validation failed: $.total is required")
    listed = (await running.world.api.get(f"/v1/runs/{running.id}/outputs")).json()["data"]
    assert [(row["output_key"], row["value"]) for row in listed] == [("sum", {"total": 4})]


async def test_state_is_read_written_and_deleted_by_key(running: Running) -> None:
    assert (await running.post("state", {"key": "a", "value": [1]})).status_code == 201
    assert (await running.get("state/a")).json()["value"] == [1]
    assert [row["state_key"] for row in (await running.get("state")).json()] == ["a"]
    shown = await running.world.api.get(f"/v1/runs/{running.id}/state")
    assert [row["value"] for row in shown.json()] == [[1]]
    assert (await running.delete("state/a")).status_code == 204
    assert told(await running.get("state/a")) == (404, "state key not found")
    for value in (1, {"b": 2}):
        assert (await running.post("state", {"key": "b", "value": value})).status_code == 201
    assert [row["value"] for row in (await running.get("state")).json()] == [{"b": 2}]
    assert await hidden(running, "state")
    for wrong in (
        {"key": "k" * 257, "value": 1},
        {"key": "k", "value": "x" * 70_000},
        {"key": "k"},
    ):
        assert (await running.post("state", wrong)).status_code in {400, 422}


async def test_the_keys_of_the_runtime_are_not_the_handlers(running: Running) -> None:
    answer = await running.post("state", {"key": "strait.event.0.x", "value": 1})
    assert told(answer) == (400, "state keys that start with 'strait.' are reserved")
    assert (await running.delete("state/strait.event.0.x")).status_code == 400


async def test_memory_outlives_the_run(running: Running) -> None:
    world = running.world
    assert (await running.post("memory/seen", {"value": {"n": 1}})).status_code == 201
    await running.post("complete")
    run_id = await world.trigger(running.job)
    (call,) = await world.handlers.wait(1, run_id)
    second = Running(world, running.job, run_id, call.token)
    assert (await second.get("memory/seen")).json()["value"] == {"n": 1}
    for path in ("memory", "memory/"):
        assert [row["memory_key"] for row in (await second.get(path)).json()] == ["seen"]
    assert (await second.delete("memory/seen")).status_code == 204
    assert told(await second.get("memory/seen")) == (404, "memory key not found")


async def test_memory_may_have_an_end(virtual: World) -> None:
    virtual.handlers.script = Gate()
    run_id = await virtual.trigger(await virtual.job())
    (call,) = await virtual.handlers.wait(1, run_id)
    handler = virtual.handler(call.token)
    path = f"/sdk/v1/runs/{run_id}/memory/soon"
    await handler.post(path, json={"value": 1, "ttl_secs": 30})
    await virtual.pass_time(31)
    assert (await handler.get(path)).status_code == 404


async def test_the_memory_of_a_job_is_bounded(running: Running) -> None:
    for n in range(11):
        answer = await running.post(f"memory/k{n}", {"value": "x" * 1_000_000})
    assert told(answer) == (400, "memory of a job must be at most 10485760 bytes")


async def test_samples_of_resources_are_kept_and_warn(running: Running) -> None:
    assert (await running.post("resources", {"cpu_percent": 95})).status_code == 201
    snapshot = await running.post(
        "resource-snapshot", {"cpu_percent": 5, "memory_mb": 95, "memory_limit_mb": 100}
    )
    assert snapshot.status_code == 201
    api = running.world.api
    listed = (await api.get(f"/v1/runs/{running.id}/resources")).json()
    assert [row["memory_mb"] for row in listed] == [95]
    events = (await api.get(f"/v1/runs/{running.id}/events")).json()["data"]
    assert [(row["type"], row["level"]) for row in events[-2:]] == [
        ("resource_sample", "error"),
        ("resource.oom_risk", "warn"),
    ]


async def listed(running: Running, what: str, **params: Any) -> dict[str, Any]:
    answer = await running.world.api.get(f"/v1/runs/{running.id}/{what}", params=params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def hidden(running: Running, what: str) -> bool:
    stranger = running.world.client(await running.world.key_for("*", project="proj-2"))
    return told(await stranger.get(f"/v1/runs/{running.id}/{what}")) == (404, "run not found")


async def test_usage_is_kept_with_its_tokens_and_cost_and_listed_in_pages(running: Running) -> None:
    calls = [
        {"prompt_tokens": 3, "completion_tokens": 4, "cost_microusd": 5},
        {"total_tokens": 9},
        {},
    ]
    kept = [
        (await running.post("usage", {"provider": "p", "model": "m", **call})).json()
        for call in calls
    ]
    figures = ("prompt_tokens", "completion_tokens", "total_tokens", "cost_microusd")
    assert [tuple(row[name] for name in figures) for row in kept] == [
        (3, 4, 7, 5), (0, 0, 9, 0), (0, 0, 0, 0),
    ]  # fmt: skip
    assert {(row["provider"], row["model"], row["run_id"]) for row in kept} == {
        ("p", "m", running.id)
    }
    page = await listed(running, "usage", limit=2)
    rest = await listed(running, "usage", limit=2, cursor=page["next_cursor"])
    rows = page["data"] + rest["data"]
    assert sorted(rows, key=kept.index) == kept
    for name in figures:
        negative = await running.post("usage", {"provider": "p", "model": "m", name: -1})
        assert negative.status_code == 422
        assert negative.json()["error"]["details"] == [f"{name}: failed on 'min'"]
    assert len((await listed(running, "usage"))["data"]) == 3
    assert await hidden(running, "usage")


@pytest.mark.parametrize("header", ["Idempotency-Key", "X-Idempotency-Key"])
async def test_what_is_reported_twice_under_one_key_counts_once(
    running: Running, header: str
) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "usage": {"provider": "p", "model": "m", "cost_microusd": 5},
        "tool-call": {"tool_name": "t"},
    }
    for what, body in bodies.items():
        path = f"/sdk/v1/runs/{running.id}/{what}"
        first, again, other = [
            await running.client.post(path, json=body, headers={header: key})
            for key in ("k", "k", "other")
        ]
        assert (again.status_code, again.json()) == (first.status_code, first.json())
        assert again.headers["Idempotency-Replayed"] == "true"
        assert other.json()["id"] != first.json()["id"]
        stranger = await running.world.client().post(path, json=body, headers={header: "k"})
        assert stranger.status_code == 401
    assert len((await listed(running, "usage"))["data"]) == 2
    assert len((await listed(running, "tool-calls"))["data"]) == 2


async def test_calls_of_tools_are_kept_with_what_went_in_and_came_out(running: Running) -> None:
    search = {
        "tool_name": "search", "input": {"q": "a"}, "output": [1], "duration_ms": 12,
        "status": "failed",
    }  # fmt: skip
    first = await running.post("tool-call", search)
    assert (first.status_code, {**first.json(), **search}) == (201, first.json())
    second = (await running.post("tool-call", {"tool_name": "read"})).json()
    assert second["status"] == "completed"
    assert not {"input", "output", "duration_ms"} & set(second)
    rows = (await listed(running, "tool-calls"))["data"]
    assert sorted(rows, key=str) == sorted([first.json(), second], key=str)
    assert (await running.post("tool-call", {"input": 1})).status_code == 422
    assert await hidden(running, "tool-calls")


async def test_rounds_are_answered_while_the_run_is_under_way(running: Running) -> None:
    for number in (1, 2):
        body = {"iteration": number, "description": f"round {number}"}
        answer = await running.post("iteration", body)
        assert answer.status_code == 200
        assert {**answer.json(), **body, "run_id": running.id} == answer.json()
    assert (await running.post("complete", {"result": 1})).status_code == 200
    for what, body in (
        ("iteration", {"iteration": 3}),
        ("tool-call", {"tool_name": "late"}),
        ("usage", {"provider": "p", "model": "m"}),
    ):
        assert (await running.post(what, body)).status_code == 410


# ---------------------------------------------------------------------------------------- the end


async def test_what_the_handler_completed_with_stands_whatever_it_answers(world: World) -> None:
    gate = Gate(Answer(500))
    world.handlers.script = gate
    run_id, handler = await world.executing(await world.job())
    done = await handler.post(f"/sdk/v1/runs/{run_id}/complete", json={"result": "said"})
    assert (done.status_code, done.json()["result"]) == (200, "said")
    gate.open()
    await world.settled()
    run = await world.run(run_id)
    assert (run["status"], run["result"]) == ("completed", "said")


async def test_a_handler_that_fails_its_run_is_not_tried_again(world: World) -> None:
    world.handlers.script = Gate()
    run_id, handler = await world.executing(await world.job(max_attempts=5))
    failed = await handler.post(f"/sdk/v1/runs/{run_id}/fail", json={"error": "no such order"})
    assert failed.json()["status"] == "failed"
    run = await world.run(run_id)
    assert (run["attempt"], run["error"]) == (1, "no such order")
    assert "error_class" not in run


async def test_a_result_must_fit_the_schema_of_the_job(world: World) -> None:
    world.handlers.script = Gate()
    job = await world.job(result_schema={"type": "object", "required": ["total"]})
    run_id, handler = await world.executing(job)
    path = f"/sdk/v1/runs/{run_id}/complete"
    wrong = await handler.post(path, json={"result": {}})
    assert wrong.status_code == 422
    assert wrong.json()["error"]["code"] == "result_schema_validation_failed"
    assert (await handler.post(path, json={"result": {"total": 1}})).status_code == 200


async def test_an_older_dispatch_writes_nothing_any_more(world: World) -> None:
    world.handlers.script = Gate()
    run_id, old = await world.executing(await world.job())
    await world.api.post(f"/v1/runs/{run_id}/restart")
    _, second = await world.handlers.wait(2, run_id)
    for path, body in (
        ("log", {"message": "x"}),
        ("complete", {"result": "old"}),
        ("state", {"key": "k", "value": 1}),
        ("wait-for-event", {"event_key": "e"}),
    ):
        answer = await old.post(f"/sdk/v1/runs/{run_id}/{path}", json=body)
        assert told(answer) == (401, "run token assignment mismatch")
    new = world.handler(second.token)
    assert (await new.post(f"/sdk/v1/runs/{run_id}/complete")).status_code == 200


async def test_a_run_can_be_continued_by_another_ten_times_deep(world: World) -> None:
    world.handlers.script = Gate()
    run_id, handler = await world.executing(await world.job(), {"page": 0})
    chain = [run_id]
    for depth in range(1, 11):
        answer = await handler.post(
            f"/sdk/v1/runs/{chain[-1]}/continue", json={"payload": {"page": depth}}
        )
        assert answer.status_code == 201
        assert answer.json()["lineage_depth"] == depth
        assert answer.json()["continuation_of"] == chain[-1]
        chain.append(answer.json()["id"])
        (call,) = await world.handlers.wait(1, chain[-1])
        handler = world.handler(call.token)
    too_deep = await handler.post(f"/sdk/v1/runs/{chain[-1]}/continue")
    assert too_deep.status_code == 400
    for run_id in (chain[0], chain[5], chain[-1]):
        listed = (await world.api.get(f"/v1/runs/{run_id}/lineage")).json()["data"]
        assert [row["id"] for row in listed] == chain[::-1]
