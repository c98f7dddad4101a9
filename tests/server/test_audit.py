"""The audit log: what is in it, and that nobody can change it unseen (`contract` §5.17)."""

from __future__ import annotations

import csv
import hmac
import io
import json
import sqlite3
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from strait.client import AsyncClient
from strait.clock import VirtualClock
from strait.server._generated.routes import ROUTES
from strait.server.audit_actions import UNRECORDED, action_of, is_recorded
from support.handlers import Handlers
from support.workflows import Flows, sleep
from support.world import PROJECT, World
from support.world import world as running

DAY = 24 * 3600


async def events(world: World, **params: Any) -> list[dict[str, Any]]:
    answer = await world.api.get("/v1/audit-events", params={"order": "asc", **params})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


async def verdict(world: World, **params: Any) -> dict[str, Any]:
    answer = await world.api.get("/v1/audit-events/verify", params=params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def tamper(database: Path, sql: str, *values: object) -> None:
    with sqlite3.connect(database) as connection:
        assert connection.execute(sql, values).rowcount > 0
    connection.close()


# --------------------------------------------------------------------------------------- recording


def test_every_operation_that_changes_something_has_an_action() -> None:
    recorded = [route for route in ROUTES if is_recorded(route)]
    assert len(recorded) > 90
    for route in recorded:
        action, kind = action_of(route.id)
        assert action.startswith(f"{kind}."), route.id


def test_what_is_not_recorded_exists_and_has_a_reason() -> None:
    assert set(UNRECORDED) <= {route.id for route in ROUTES}
    assert all(UNRECORDED.values())


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("trigger-workflow", "workflow.triggered"),
        ("clone-workflow", "workflow.cloned"),
        ("cancel-workflow-run", "workflow_run.cancelled"),
        ("retry-workflow-run", "workflow_run.retried"),
        ("replay-workflow-subtree", "workflow_run.subtree_replayed"),
        ("bulk-cancel-workflow-runs", "workflow_run.bulk_cancelled"),
        ("compensate-workflow-run", "workflow_run.compensated"),
        ("approve-workflow-step", "workflow_step.approved"),
        ("force-complete-workflow-step", "workflow_step.force_completed"),
        ("retry-workflow-step", "workflow_step.retried"),
    ],
)
def test_actions_have_the_names_of_the_platform(operation: str, action: str) -> None:
    assert action_of(operation)[0] == action


async def test_a_breaking_change_of_a_workflow_is_recorded_as_one(flows: Flows) -> None:
    made = await flows.create(sleep("a", 1))
    for breaking in (True, False):
        body = {"breaking_change": breaking}
        assert (await flows.api.patch(f"/v1/workflows/{made['id']}", json=body)).is_success
    recorded = [event["action"] for event in await events(flows.world)]
    assert recorded == ["workflow.created", "workflow.updated_breaking", "workflow.updated"]


async def test_an_event_says_who_did_what_from_where(world: World) -> None:
    job = await world.job()
    headers = {"User-Agent": "tests/1", "X-Request-Id": "req-1"}
    path = f"/v1/jobs/{job['id']}/pause"
    assert (await world.api.post(path, json={"reason": "secret"}, headers=headers)).is_success
    created, paused = await events(world)
    assert (created["action"], created["resource_id"]) == ("job.created", job["id"])
    assert paused["action"] == "job.paused"
    assert paused["actor_type"] == "api_key"
    assert paused["actor_id"].startswith("apikey:")
    assert (paused["resource_type"], paused["resource_id"]) == ("job", job["id"])
    assert (paused["user_agent"], paused["request_id"]) == ("tests/1", "req-1")
    assert paused["remote_ip"] == "127.0.0.1"
    assert paused["details"] == {"operation": "pause-job", "fields": ["reason"]}
    shown = (await world.api.get(f"/v1/audit-events/{paused['id']}")).json()
    assert shown == paused


async def test_only_what_happened_is_recorded(world: World) -> None:
    job = await world.job()
    body = {"project_id": PROJECT, "name": "x", "slug": job["slug"], "endpoint_url": "http://x"}
    assert (await world.api.post("/v1/jobs", json=body)).status_code == 409
    assert (await world.api.delete("/v1/jobs/nope")).status_code == 404
    assert (await world.api.get("/v1/jobs")).status_code == 200
    await world.until(await world.trigger(job), "completed")
    assert [event["action"] for event in await events(world)] == ["job.created"]


async def test_a_repeated_request_is_recorded_once(world: World) -> None:
    body = {"project_id": PROJECT, "name": "Group", "slug": "group"}
    for _ in range(2):
        answer = await world.api.post("/v1/job-groups", json=body, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 201
    assert [event["action"] for event in await events(world)] == ["job_group.created"]


async def test_an_internal_caller_is_recorded_as_the_user_it_acts_for(world: World) -> None:
    job = await world.job()
    internal = world.internal(PROJECT)
    path = f"/v1/jobs/{job['id']}"
    headers = {"X-Actor-Id": "user-7"}
    await internal.patch(path, json={"name": "A"}, headers=headers)
    await internal.patch(path, json={"name": "B"})
    actors = [(e["actor_type"], e["actor_id"]) for e in await events(world)][1:]
    assert actors == [("user", "user-7"), ("system", "internal")]
    of_user = await events(world, actor_id="user-7")
    assert [event["action"] for event in of_user] == ["job.updated"]


async def test_no_secret_gets_into_the_log(world: World) -> None:
    body = {"project_id": PROJECT, "secret_key": "TOKEN", "value": "hush-hush"}
    assert (await world.api.post("/v1/secrets", json=body)).status_code == 201
    (event,) = await events(world)
    assert event["details"]["fields"] == ["project_id", "secret_key", "value"]
    assert "hush" not in json.dumps(event)


# ----------------------------------------------------------------------------------------- listing


async def test_events_are_listed_in_both_orders_in_pages(world: World) -> None:
    jobs = [await world.job() for _ in range(3)]
    for order, expected in (("asc", jobs), ("desc", jobs[::-1])):
        found: list[str] = []
        params: dict[str, Any] = {"limit": 2, "order": order}
        while True:
            body = (await world.api.get("/v1/audit-events", params=params)).json()
            found += [event["resource_id"] for event in body["data"]]
            if not body["has_more"]:
                break
            params["cursor"] = body["next_cursor"]
        assert found == [job["id"] for job in expected]


async def test_events_are_found_by_what_they_are_about_and_when(world: World) -> None:
    job = await world.job()
    await world.api.post("/v1/job-groups", json={"project_id": PROJECT, "name": "g", "slug": "g"})
    assert [e["action"] for e in await events(world, resource_type="job_group")] == [
        "job_group.created"
    ]
    (made,) = await events(world, resource_id=job["id"])
    inside = await events(world, **{"from": made["created_at"], "to": made["created_at"]})
    assert inside == [made]
    long = {"from": "2026-01-01T00:00:00Z", "to": "2026-06-01T00:00:00Z"}
    refused = await world.api.get("/v1/audit-events", params=long)
    assert refused.status_code == 400
    assert "90 days" in refused.json()["error"]["message"]


async def test_another_projects_events_are_not_there(world: World) -> None:
    await world.job()
    (event,) = await events(world)
    stranger = world.client(await world.key_for("*", project="proj-2"))
    assert (await stranger.get("/v1/audit-events")).json()["data"] == []
    assert (await stranger.get(f"/v1/audit-events/{event['id']}")).status_code == 404
    reader = world.client(await world.key_for("jobs:read"))
    assert (await reader.get("/v1/audit-events")).status_code == 403


async def test_our_own_client_reads_and_verifies_the_log(world: World) -> None:
    job = await world.job()
    async with AsyncClient(base_url=world.server.base_url, api_key=world.key) as client:
        listed = [event async for event in await client.rbac.list_audit_events()]
        assert [event.resource_id for event in listed] == [job["id"]]
        found = await client.rbac.verify_audit_chain()
        assert (found.valid, found.events_checked) == (True, 1)


# --------------------------------------------------------------------------------------- verifying


async def test_a_chain_is_whole_over_restarts(handlers: Handlers, tmp_path: Path) -> None:
    database = tmp_path / "strait.db"
    for start in range(1, 3):
        async with running(handlers, database) as world:
            await world.job()
            found = await verdict(world)
            assert (found["valid"], found["events_checked"]) == (True, start)
    assert len({found["first_event_id"], found["last_event_id"]}) == 2


_TAMPERINGS = {
    "changed": ("UPDATE audit_events SET doc = replace(doc, 'job.created', 'job.deleted') "
                "WHERE seq = 2"),
    "no JSON any more": "UPDATE audit_events SET doc = 'x' WHERE seq = 2",
    "no event": "UPDATE audit_events SET doc = '[1]' WHERE seq = 3",
    "no text": "UPDATE audit_events SET doc = CAST(x'ff' AS TEXT) WHERE seq = 3",
    "signed with what no signature is": "UPDATE audit_events SET signature = 'é' WHERE seq = 3",
    "sealed with what no signature is": "UPDATE audit_chains SET signature = 'é'",
    "sealed without text": "UPDATE audit_chains SET doc = CAST(x'ff' AS TEXT)",
    "its key changed": "UPDATE audit_keys SET sealed = 'é'",
    "filed under another actor": "UPDATE audit_events SET actor_id = 'me' WHERE seq = 2",
    "taken out": "DELETE FROM audit_events WHERE seq = 2",
    "cut off at the end": "DELETE FROM audit_events WHERE seq = 3",
    "cut off at the beginning": "DELETE FROM audit_events WHERE seq = 1",
    "gone with its seal": "DELETE FROM audit_chains",
    "cut off with a new seal": "UPDATE audit_chains SET doc = "
                               "json_set(doc, '$.last_seq', 2)",
    "put in the place of another": "UPDATE audit_events SET (doc, signature, id, created_at, "
        "resource_id) = (SELECT doc, signature, 'x', created_at, resource_id FROM audit_events "
        "WHERE seq = 1) WHERE seq = 2",
}  # fmt: skip


@pytest.mark.parametrize("how", _TAMPERINGS)
async def test_an_event_that_was_tampered_with_is_found(
    handlers: Handlers, tmp_path: Path, how: str
) -> None:
    database = tmp_path / "strait.db"
    async with running(handlers, database) as world:
        for _ in range(3):
            await world.job()
        assert (await verdict(world))["valid"] is True
    tamper(database, _TAMPERINGS[how])
    async with running(handlers, database) as world:
        found = await verdict(world)
        assert found["valid"] is False
        assert found["error"]
        # The rest can be read, and what is done afterwards does not make it good again.
        listed = await events(world)
        assert [event["project_id"] for event in listed] == [PROJECT] * len(listed)
        await world.job()
        assert (await verdict(world))["valid"] is False


async def test_a_broken_event_is_named(handlers: Handlers, tmp_path: Path) -> None:
    database = tmp_path / "strait.db"
    async with running(handlers, database) as world:
        for _ in range(3):
            await world.job()
        listed = await events(world)
    tamper(database, _TAMPERINGS["changed"])
    async with running(handlers, database) as world:
        found = await verdict(world)
    assert found["broken_at_id"] == listed[1]["id"]
    assert found["last_event_id"] == listed[0]["id"]


async def test_an_incremental_verification_looks_at_what_is_new(
    handlers: Handlers, tmp_path: Path
) -> None:
    database = tmp_path / "strait.db"
    async with running(handlers, database) as world:
        await world.job()
        await world.job()
        assert (await verdict(world))["events_checked"] == 2
        assert await verdict(world, incremental=True) == {
            "project_id": PROJECT, "valid": True, "events_checked": 0, "incremental": True,
        }  # fmt: skip
        await world.job()
        found = await verdict(world, incremental=True)
        assert (found["valid"], found["events_checked"]) == (True, 1)
        await world.job()
    tamper(database, "UPDATE audit_events SET doc = replace(doc, 'job.', 'jab.') WHERE seq = 4")
    async with running(handlers, database) as world:
        assert (await verdict(world, incremental=True))["valid"] is False


# ------------------------------------------------------------------------------------------- export


async def export(world: World, form: str, **params: str) -> Any:
    span = {"from": "2026-01-01T00:00:00Z", "to": "2026-03-01T00:00:00Z"}
    return await world.api.get("/v1/audit-events/export", params={"format": form, **span, **params})


async def test_events_are_downloaded_in_three_forms_and_signed(virtual: World) -> None:
    world = virtual
    first, second = await world.job(), await world.job()
    now = await events(world)
    span = {"from": now[0]["created_at"], "to": now[1]["created_at"]}
    as_json = await export(world, "json", **span)
    assert as_json.json() == now
    lines = await export(world, "ndjson", **span)
    assert [json.loads(line) for line in lines.text.splitlines()] == now
    table = await export(world, "csv", **span)
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["resource_id"] for row in rows] == [first["id"], second["id"]]
    assert [row["signature"] for row in rows] == [event["signature"] for event in now]
    key = world.platform.audit_keys.find(world.platform.reader, PROJECT, 1)
    for answer in (as_json, lines, table):
        expected = hmac.new(key, b"export\n" + answer.content, sha256).hexdigest()
        assert answer.headers["x-audit-signature"] == f"sha256={expected}"
    assert (await export(world, "json", **span, resource_type="role")).json() == []


async def test_a_download_has_a_cap(world: World) -> None:
    await world.job()
    await world.job()
    internal = world.internal()
    path = f"/v1/projects/{PROJECT}/quotas/audit-export-cap"
    assert (await internal.put(path, json={"row_cap": 1})).json() == {
        "project_id": PROJECT, "row_cap": 1,
    }  # fmt: skip
    now = await events(world)
    span = {"from": now[0]["created_at"], "to": now[1]["created_at"]}
    refused = await export(world, "json", **span)
    assert refused.status_code == 400
    assert "more than 1 audit events" in refused.json()["error"]["message"]
    assert (await internal.put(path, json={"row_cap": 0})).status_code == 400
    assert (await world.api.put(path, json={"row_cap": 5})).status_code in {401, 403}


# ------------------------------------------------------------------------------ retention and keys


async def test_events_are_kept_as_long_as_is_set_and_the_rest_stays_verifiable(
    handlers: Handlers, tmp_path: Path
) -> None:
    clock = VirtualClock()
    async with running(handlers, tmp_path / "strait.db", clock=clock) as world:
        internal = world.internal()
        path = f"/v1/projects/{PROJECT}/audit/retention"
        assert (await internal.get(path)).json() == {
            "project_id": PROJECT, "days": 365, "inherited_from_default": True,
        }  # fmt: skip
        await world.job()
        assert (await internal.put(path, json={"days": 2})).json()["days"] == 2
        assert (await internal.get(path)).json()["inherited_from_default"] is False
        await world.pass_time(1.5 * DAY)
        kept = await world.job()
        await world.pass_time(DAY)
        assert [event["resource_id"] for event in await events(world)] == [kept["id"]]
        found = await verdict(world)
        assert (found["valid"], found["events_checked"]) == (True, 1)
        assert (await internal.put(path, json={"days": 0})).status_code == 400
        nowhere = "/v1/projects/nope/audit/retention"
        assert (await internal.get(nowhere)).status_code == 404


async def test_a_new_key_signs_what_follows_and_the_old_one_still_verifies(world: World) -> None:
    await world.job()
    answer = await world.internal().post(f"/v1/projects/{PROJECT}/audit/rotate-key", json={})
    assert answer.json() == {"previous_epoch": 1, "new_epoch": 2}
    await world.job()
    found = await events(world)
    assert [event["rotation_epoch"] for event in found] == [1, 2, 2]
    assert [event.get("is_anchor", False) for event in found] == [True, True, False]
    assert found[1]["action"] == "audit.key_rotated"
    assert (await verdict(world))["valid"] is True


async def test_keys_lie_sealed_in_the_database(handlers: Handlers, tmp_path: Path) -> None:
    database = tmp_path / "strait.db"
    async with running(handlers, database) as world:
        await world.job()
        key = world.platform.audit_keys.find(world.platform.reader, PROJECT, 1)
        assert len(key) == 32
        assert repr(world.platform.audit_keys) == "SigningKeys(…)"
    raw = database.read_bytes()
    assert key not in raw
    assert key.hex().encode() not in raw


async def test_no_event_can_be_left_over_so_there_are_no_dead_letters(world: World) -> None:
    internal = world.internal()
    assert (await internal.get("/v1/audit/deadletter")).json() == {"entries": []}
    assert (await internal.post("/v1/audit/deadletter/x/replay")).status_code == 404
    dropped = await internal.delete("/v1/audit/deadletter/x", params={"reason": "old"})
    assert dropped.status_code == 404
    assert (await internal.delete("/v1/audit/deadletter/x")).status_code == 400
    assert (await world.api.get("/v1/audit/deadletter")).status_code in {401, 403}
