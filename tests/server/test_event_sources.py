"""Event sources: what they start, and whom they believe (`contract/runs.md` §9.2)."""

from __future__ import annotations

import hmac
import json
from typing import Any

import httpx
import pytest

from strait import AsyncClient
from support.handlers import Gate
from support.workflows import Flows, sleep, told
from support.world import PROJECT, World

SECRET = "event-secret-0123456789"


async def source(world: World, name: str = "github", **fields: Any) -> dict[str, Any]:
    body = {"project_id": PROJECT, "name": name, **fields}
    answer = await world.api.post("/v1/event-sources", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def subscribe(
    world: World, made: dict[str, Any], kind: str, target: str, **fields: Any
) -> dict[str, Any]:
    body = {"target_type": kind, "target_id": target, **fields}
    answer = await world.api.post(f"/v1/event-sources/{made['id']}/subscribe", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def dispatch(
    world: World, payload: object, name: str = "github", **headers: str
) -> httpx.Response:
    """Dispatch an event whose payload is written as `json.dumps` writes it."""
    body = (
        f'{{"source":{json.dumps(name)},"project_id":"{PROJECT}","payload":{json.dumps(payload)}}}'
    )
    headers["Content-Type"] = "application/json"
    return await world.api.post("/v1/events/dispatch", content=body, headers=headers)


def digest(secret: str, text: bytes) -> str:
    return hmac.digest(secret.encode(), text, "sha256").hex()


async def test_an_event_starts_jobs_and_workflows_with_its_payload(flows: Flows) -> None:
    world = flows.world
    world.handlers.script = Gate()
    job = await world.job()
    workflow = await flows.create(sleep("s", 1))
    made = await source(world)
    await subscribe(world, made, "job", job["id"])
    await subscribe(world, made, "workflow", workflow["id"])
    answer = await dispatch(world, {"action": "opened"})
    assert (answer.status_code, answer.json()) == (
        200,
        {"dispatched": 2, "source": "github", "skipped": []},
    )
    (call,) = await world.handlers.wait(1)
    assert call.json == {"action": "opened"}
    assert (await world.run(call.run_id))["triggered_by"] == "event"
    (run,) = (await world.api.get("/v1/workflow-runs")).json()["data"]
    assert (run["triggered_by"], run["payload"]) == ("event", {"action": "opened"})


@pytest.mark.parametrize(
    ("expression", "starts"),
    [
        ({"eq": [["action", "opened"]]}, True),
        ({"eq": [["action", "closed"]]}, False),
        ({"eq": [["issue.number", "7"]]}, True),
        ({"eq": [["issue.open", "true"]]}, True),
        ({"eq": [["issue.missing", ""]]}, False),
        ({"ne": [["action", "closed"]]}, True),
        ({"ne": [["action", "opened"]]}, False),
        ({"has": ["issue.number"]}, True),
        ({"has": ["issue.title"]}, False),
        ({"eq": [["action", "opened"]], "has": ["issue.title"]}, False),
        ({}, True),
    ],
)
async def test_a_filter_says_which_events_start_a_job(
    world: World, expression: dict[str, Any], starts: bool
) -> None:
    made = await source(world)
    job = await world.job()
    shown = await subscribe(world, made, "job", job["id"], filter_expr=expression)
    assert shown["filter_expr"] == expression
    event = {"action": "opened", "issue": {"number": 7, "open": True}}
    answer = await dispatch(world, event)
    assert answer.json()["dispatched"] == int(starts)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("payload.action == 'x'", "expressions written as text are not supported"),
        ({"gt": [["a", "1"]]}, "filter_expr has `eq`, `ne` and `has`, not `gt`"),
        ({"eq": {"a": "1"}}, "filter_expr.eq must be an array"),
        ({"eq": [["a"]]}, 'filter_expr.eq must be an array of ["path", "value"] pairs'),
        ({"has": [1]}, "filter_expr.has must be an array of paths"),
    ],
)
async def test_a_filter_that_cannot_work_is_refused_when_it_is_given(
    world: World, expression: object, message: str
) -> None:
    made = await source(world)
    body = {"target_type": "job", "target_id": (await world.job())["id"]}
    answer = await world.api.post(
        f"/v1/event-sources/{made['id']}/subscribe", json={**body, "filter_expr": expression}
    )
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


async def test_what_is_off_paused_or_gone_is_passed_over(flows: Flows) -> None:
    world = flows.world
    made = await source(world)
    paused, disabled, deleted, on = [await world.job() for _ in range(4)]
    off = await flows.create(sleep("s", 1))
    for job in (paused, disabled, deleted, on):
        await subscribe(world, made, "job", job["id"])
    await subscribe(world, made, "job", on["id"], enabled=False)
    await subscribe(world, made, "workflow", off["id"])
    for answer in (
        await world.api.post(f"/v1/jobs/{paused['id']}/pause", json={}),
        await world.api.patch(f"/v1/jobs/{disabled['id']}", json={"enabled": False}),
        await world.api.delete(f"/v1/jobs/{deleted['id']}"),
        await world.api.patch(f"/v1/workflows/{off['id']}", json={"enabled": False}),
    ):
        assert answer.status_code in {200, 204}, answer.text
    answered = (await dispatch(world, {})).json()
    assert answered["dispatched"] == 1
    assert {row["reason"].partition(" -- ")[0] for row in answered["skipped"]} == {
        "job is paused", "job is disabled", "job not found", "workflow is disabled"
    }  # fmt: skip
    (call,) = await world.handlers.wait(1)
    assert (await world.run(call.run_id))["job_id"] == on["id"]


async def test_an_event_comes_in_by_the_gate_that_triggers_come_in_by(world: World) -> None:
    made = await source(world)
    schema = {"type": "object", "required": ["order"]}
    strict = await world.job(payload_schema=schema)
    limited = await world.job(rate_limit_max=1, rate_limit_window_secs=60)
    once = await world.job(dedup_window_secs=60)
    later = await world.job(debounce_window_secs=60)
    batched = await world.job(batch_window_secs=60, batch_max_size=2)
    jobs = {job["id"]: job for job in (strict, limited, once, later, batched)}
    subscriptions = {(await subscribe(world, made, "job", job_id))["id"]: job_id for job_id in jobs}
    reasons = [
        {subscriptions[row["subscription_id"]]: row["reason"] for row in answer.json()["skipped"]}
        for answer in [await dispatch(world, {"kind": "ping"}) for _ in range(2)]
    ]
    first, second = reasons
    assert set(first) == {strict["id"]}
    assert first[strict["id"]].startswith("payload validation failed")
    assert set(second) == {strict["id"], limited["id"]}
    assert second[limited["id"]] == "job rate limit exceeded"
    runs = (await world.api.get("/v1/runs?limit=100")).json()["data"]
    assert sorted(run["job_id"] for run in runs) == sorted(
        [limited["id"], once["id"], batched["id"]]
    )
    full = next(run for run in runs if run["job_id"] == batched["id"])
    assert full["payload"] == {"items": [{"kind": "ping"}, {"kind": "ping"}]}


async def test_an_event_that_does_not_fit_the_schema_of_its_source_starts_nothing(
    world: World,
) -> None:
    shape = {"type": "object", "required": ["order"], "properties": {"order": {"type": "integer"}}}
    made = await source(world, schema=shape)
    await subscribe(world, made, "job", (await world.job())["id"])
    for payload, why in (
        ({}, "$.order is required"),
        ({"order": "7"}, "$.order must be of type integer"),
        ([], "$ must be of type object"),
    ):
        refused = await dispatch(world, payload)
        assert told(refused) == (400, f"payload validation failed: {why}")
    assert (await world.api.get("/v1/runs")).json()["data"] == []
    assert (await dispatch(world, {"order": 7})).json()["dispatched"] == 1
    assert (
        await world.api.patch(f"/v1/event-sources/{made['id']}", json={"schema": None})
    ).status_code == 204
    assert (await dispatch(world, {})).json()["dispatched"] == 1


async def test_a_disabled_source_starts_nothing_and_an_unknown_one_is_not_found(
    world: World,
) -> None:
    made = await source(world)
    answer = await world.api.patch(f"/v1/event-sources/{made['id']}", json={"enabled": False})
    assert (answer.status_code, answer.content) == (204, b"")
    answer = await dispatch(world, {})
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        400, "event source is disabled"
    )  # fmt: skip
    assert (await dispatch(world, {}, "other")).status_code == 404


@pytest.mark.parametrize(
    ("algorithm", "header"),
    [("hmac-sha256", "X-Signature"), ("github-sha256", "X-Hub-Signature-256")],
)
async def test_a_signed_source_believes_only_who_has_its_secret(
    world: World, algorithm: str, header: str
) -> None:
    made = await source(world, signature_algorithm=algorithm, signature_secret=SECRET)
    assert SECRET not in json.dumps(made)
    await subscribe(world, made, "job", (await world.job())["id"])
    payload = {"b": 1, "a": "ü"}
    signature = "sha256=" + digest(SECRET, json.dumps(payload).encode())
    assert (await dispatch(world, payload, **{header: signature})).json()["dispatched"] == 1
    # The same thing may well happen twice.
    assert (await dispatch(world, payload, **{header: signature})).json()["dispatched"] == 1
    other = {**payload, "b": 2}
    wrong = "sha256=" + digest("x", json.dumps(payload).encode())
    for refused in (
        await dispatch(world, payload),
        await dispatch(world, other, **{header: signature}),
        await dispatch(world, payload, **{header: wrong}),
        await dispatch(world, payload, **{header: "sha256="}),
    ):
        assert refused.status_code == 401
        assert "invalid event signature" in refused.json()["error"]["message"]


async def test_a_header_of_ones_own_has_the_signature(world: World) -> None:
    await source(
        world, signature_algorithm="hmac-sha256", signature_secret=SECRET, signature_header="X-Mine"
    )
    answer = await dispatch(world, 1, **{"X-Mine": "sha256=" + digest(SECRET, b"1")})
    assert answer.status_code == 200


async def test_an_event_signed_with_a_time_is_taken_once_and_only_while_fresh(
    virtual: World,
) -> None:
    await source(virtual, signature_algorithm="stripe-v1", signature_secret=SECRET)

    def signed(seconds: int, extra: str = "") -> dict[str, str]:
        stamp = virtual.clock.now() // 1_000_000 + seconds
        value = digest(SECRET, f"{stamp}.{{}}".encode())
        return {"Stripe-Signature": f"t={stamp},{extra}v1={value}"}

    first = signed(0)
    assert (await dispatch(virtual, {}, **first)).status_code == 200
    for again in (first, signed(0, "v0=00,")):
        refused = await dispatch(virtual, {}, **again)
        assert refused.status_code == 401
        assert "taken already" in refused.json()["error"]["message"]
    assert (await dispatch(virtual, {}, **signed(1))).status_code == 200
    for stale in (signed(-301), signed(301)):
        assert (await dispatch(virtual, {}, **stale)).status_code == 401
    ahead = signed(299)
    assert (await dispatch(virtual, {}, **ahead)).status_code == 200
    await virtual.pass_time(500)
    assert (await dispatch(virtual, {}, **ahead)).status_code == 401
    assert (await dispatch(virtual, {}, **{"Stripe-Signature": "v1=x"})).status_code == 401


async def test_a_name_is_there_once_in_a_project(world: World) -> None:
    await source(world)
    body = {"project_id": PROJECT, "name": "github"}
    answer = await world.api.post("/v1/event-sources", json=body)
    assert answer.status_code == 409
    other = await source(world, "other")
    path = f"/v1/event-sources/{other['id']}"
    assert (await world.api.patch(path, json={"name": "github"})).status_code == 409


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"signature_algorithm": "hmac-sha256"}, "signature_secret is required with"),
        ({"signature_secret": SECRET}, "signature_algorithm is required when"),
        ({"signature_header": "X-Signed"}, "signature_algorithm is required when"),
    ],
)
async def test_half_of_a_signature_is_refused(
    world: World, fields: dict[str, str], message: str
) -> None:
    body = {"project_id": PROJECT, "name": "github", **fields}
    answer = await world.api.post("/v1/event-sources", json=body)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


async def test_an_event_source_is_made_shown_changed_and_deleted(world: World) -> None:
    made = await source(world, description="from outside", schema={"type": "object"})
    assert (made["name"], made["enabled"]) == ("github", True)
    assert (made["description"], made["schema"]) == ("from outside", {"type": "object"})
    path = f"/v1/event-sources/{made['id']}"
    assert (await world.api.get(path)).json() == made
    changed = await world.api.patch(path, json={"name": "gitlab", "enabled": False})
    assert (changed.status_code, changed.content) == (204, b"")
    shown = (await world.api.get(path)).json()
    assert (shown["name"], shown["enabled"], shown["description"]) == (
        "gitlab", False, "from outside",
    )  # fmt: skip
    other = await source(world)
    assert (await world.api.get("/v1/event-sources")).json() == [other, shown]
    assert (await world.api.delete(path)).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        answer = await world.api.request(method, path, json={"name": "x"})
        assert told(answer) == (404, "event source not found")
    assert (await world.api.get("/v1/event-sources")).json() == [other]


async def test_subscriptions_are_listed_ended_and_go_with_their_source(world: World) -> None:
    made = await source(world, description="from outside", schema={"type": "object"})
    job = (await world.job())["id"]
    first = await subscribe(world, made, "job", job)
    second = await subscribe(world, made, "job", job)
    path = f"/v1/event-sources/{made['id']}"
    listed = (await world.api.get(f"{path}/subscriptions")).json()
    assert [one["id"] for one in listed] == [second["id"], first["id"]]
    other = await source(world, "other")
    foreign = f"/v1/event-sources/{other['id']}/subscriptions/{first['id']}"
    assert (await world.api.delete(foreign)).status_code == 404
    assert (await world.api.delete(f"{path}/subscriptions/{first['id']}")).status_code == 204
    assert (await world.api.get(path)).json() == made
    assert [one["id"] for one in (await world.api.get("/v1/event-sources")).json()] == [
        other["id"], made["id"]
    ]  # fmt: skip
    assert (await world.api.delete(path)).status_code == 204
    assert (await world.api.get(f"{path}/subscriptions")).status_code == 404
    assert (await dispatch(world, {})).status_code == 404


async def test_another_project_reaches_none_of_it_and_scopes_hold(world: World) -> None:
    made = await source(world)
    stranger = world.client(await world.key_for("*", project="other"))
    path = f"/v1/event-sources/{made['id']}"
    assert (await stranger.get("/v1/event-sources")).json() == []
    assert (await stranger.get(path)).status_code == 404
    assert (await stranger.get(f"{path}/subscriptions")).status_code == 404
    body = {"source": "github", "project_id": "other"}
    assert (await stranger.post("/v1/events/dispatch", json=body)).status_code == 404
    body = {"source": "github", "project_id": PROJECT}
    assert (await stranger.post("/v1/events/dispatch", json=body)).status_code == 403
    foreign = {"target_type": "job", "target_id": "nobody"}
    assert (await world.api.post(f"{path}/subscribe", json=foreign)).status_code == 404
    reader = world.client(await world.key_for("jobs:read"))
    assert (await reader.get(path)).status_code == 200
    assert (await reader.delete(path)).status_code == 403
    assert (await reader.post("/v1/events/dispatch", json=body)).status_code == 403
    sender = world.client(await world.key_for("workflows:trigger"))
    assert (await sender.post("/v1/events/dispatch", json=body)).status_code == 200


async def test_the_typed_client_does_all_of_it(world: World) -> None:
    job = await world.job()
    async with AsyncClient(base_url=world.server.base_url, api_key=world.key) as client:
        made = await client.event_sources.create(project_id=PROJECT, name="github")
        await client.event_sources.subscribe(made.id, target_type="job", target_id=job["id"])
        answer = await client.event_sources.dispatch(
            source="github", project_id=PROJECT, payload={"n": 1}
        )
        assert answer.dispatched == 1
        await client.event_sources.delete(made.id)
    (call,) = await world.handlers.wait(1)
    assert call.json == {"n": 1}


async def test_a_filter_of_unreasonable_size_is_refused(world: World) -> None:
    target, made = await world.job(), await source(world)
    path = f"/v1/event-sources/{made['id']}/subscribe"
    for expression, message in (
        ({"has": ["a"] * 200, "eq": [["b", "1"]] * 57}, "filter_expr has at most 256 conditions"),
        ({"ne": [["é" * 257, "1"]]}, "filter_expr.ne has a path of more than 512 bytes"),
        ({"has": [".".join("a" * 33)]}, "filter_expr.has has a path of more than 32 names"),
    ):
        body = {"target_type": "job", "target_id": target["id"], "filter_expr": expression}
        assert told(await world.api.post(path, json=body)) == (400, message)


async def test_a_number_is_compared_as_its_shortest(world: World) -> None:
    target, made = await world.job(), await source(world)
    for value in ("1", "1.5", "-2"):
        await subscribe(world, made, "job", target["id"], filter_expr={"eq": [["n", value]]})
    for number, started in ((1.0, 1), (1, 1), (1.5, 1), (-2.0, 1), (1.25, 0)):
        answer = await dispatch(world, {"n": number})
        assert (number, answer.json()["dispatched"]) == (number, started)
