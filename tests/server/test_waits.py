"""Waiting for events and for children (`contract/runs.md` §5, §9.1)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from strait.reserved import child_outcome_key, event_state_key
from support.handlers import Answer, Gate, Received, ok
from support.world import World


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["error"]["message"])


async def waiting(
    world: World, event_key: str = "paid", **fields: Any
) -> tuple[str, httpx.AsyncClient]:
    """A run that waits for an event, with its handler gone."""
    gate = Gate()
    world.handlers.script = gate
    run_id, handler = await world.executing(await world.job())
    answer = await handler.post(
        f"/sdk/v1/runs/{run_id}/wait-for-event", json={"event_key": event_key, **fields}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "waiting"
    gate.open()
    world.handlers.script = lambda call: ok("after")
    await world.settled()
    return run_id, handler


# ----------------------------------------------------------------------------------------- events


async def test_a_run_waits_and_goes_on_with_the_payload_of_the_event(world: World) -> None:
    run_id, _ = await waiting(world)
    assert (await world.run(run_id))["status"] == "waiting"
    world.handlers.script = Gate()
    sent = await world.api.post("/v1/events/paid/send", json={"payload": {"sum": 3}})
    assert sent.status_code == 200
    assert (sent.json()["status"], sent.json()["response_payload"]) == ("received", {"sum": 3})
    _, second = await world.handlers.wait(2, run_id)
    assert second.attempt == 1
    handler = world.handler(second.token)
    kept = await handler.get(f"/sdk/v1/runs/{run_id}/state/{event_state_key('paid', 0)}")
    assert kept.json()["value"]["payload"] == {"sum": 3}
    assert kept.json()["value"]["event_key"] == "paid"
    points = (await world.api.get(f"/v1/runs/{run_id}/checkpoints")).json()["data"]
    assert [(row["source"], row["state"]) for row in points] == [("event_trigger", {"sum": 3})]


async def test_each_wait_for_the_same_key_has_its_own_payload(world: World) -> None:
    run_id, _ = await waiting(world, "tick")
    for n in range(2):
        world.handlers.script = Gate()
        await world.api.post("/v1/events/tick/send", json={"payload": n})
        calls = await world.handlers.wait(2 + n, run_id)
        handler = world.handler(calls[-1].token)
        kept = await handler.get(f"/sdk/v1/runs/{run_id}/state/{event_state_key('tick', n)}")
        assert kept.json()["value"]["payload"] == n
        await handler.post(f"/sdk/v1/runs/{run_id}/wait-for-event", json={"event_key": "tick"})


async def test_an_event_before_anybody_waits_is_lost(world: World) -> None:
    assert told(await world.api.post("/v1/events/early/send", json={"payload": 1})) == (
        404,
        "event trigger not found",
    )


async def test_an_event_is_received_once(world: World) -> None:
    run_id, _ = await waiting(world)
    first = await world.api.post("/v1/events/paid/send", json={"payload": {"n": 1}})
    await world.until(run_id, "completed")
    same = await world.api.post("/v1/events/paid/send", json={"payload": {"n": 1}})
    assert (same.status_code, same.json()["id"]) == (200, first.json()["id"])
    for other in ({"n": 2}, {"n": True}):
        answer = await world.api.post("/v1/events/paid/send", json={"payload": other})
        assert told(answer) == (409, "event trigger is not in waiting state")


async def test_two_runs_cannot_wait_for_the_same_key(world: World) -> None:
    await waiting(world)
    world.handlers.script = Gate()
    run_id, handler = await world.executing(await world.job())
    answer = await handler.post(f"/sdk/v1/runs/{run_id}/wait-for-event", json={"event_key": "paid"})
    assert answer.status_code == 409
    assert "event key already in use" in told(answer)[1]
    assert (await world.run(run_id))["status"] == "executing"


async def test_a_run_that_waits_cannot_begin_another_wait(world: World) -> None:
    run_id, handler = await waiting(world)
    answer = await handler.post(f"/sdk/v1/runs/{run_id}/wait-for-event", json={"event_key": "b"})
    assert answer.status_code == 409


@pytest.mark.parametrize("key", ["x" * 513, "a\nb", ""])
async def test_event_keys_are_checked(world: World, key: str) -> None:
    world.handlers.script = Gate()
    run_id, handler = await world.executing(await world.job())
    answer = await handler.post(f"/sdk/v1/runs/{run_id}/wait-for-event", json={"event_key": key})
    assert answer.status_code in {400, 422}


async def test_a_wait_in_vain_times_the_run_out(virtual: World) -> None:
    run_id, _ = await waiting(virtual, timeout_secs=60)
    await virtual.pass_time(61)
    run = await virtual.until(run_id, "timed_out")
    assert run["error"] == "event trigger timed out"
    trigger = (await virtual.api.get("/v1/events/paid")).json()
    assert (trigger["status"], trigger["error"]) == ("timed_out", "event trigger timed out")
    assert (await virtual.api.post("/v1/events/paid/send")).status_code == 409


async def test_a_wait_may_last_the_night_and_longer_than_the_run_may_queue(virtual: World) -> None:
    run_id, _ = await waiting(virtual, timeout_secs=24 * 3600)
    await virtual.pass_time(20 * 3600)
    await virtual.api.post("/v1/events/paid/send", json={"payload": 1})
    await virtual.until(run_id, "completed")


async def test_canceling_a_wait_cancels_its_run(world: World) -> None:
    run_id, _ = await waiting(world)
    answer = await world.api.delete("/v1/events/paid")
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    await world.until(run_id, "canceled")
    assert (await world.api.delete("/v1/events/paid")).status_code == 409


async def test_canceling_a_run_ends_its_wait_and_frees_the_key(world: World) -> None:
    run_id, _ = await waiting(world)
    await world.api.delete(f"/v1/runs/{run_id}")
    assert (await world.api.get("/v1/events/paid")).json()["status"] == "canceled"
    await waiting(world)


async def test_a_handler_that_answers_after_it_waits_changes_nothing(world: World) -> None:
    run_id, _ = await waiting(world)
    run = await world.run(run_id)
    assert run["status"] == "waiting"
    assert "result" not in run


async def test_an_event_by_prefix_wakes_all_below_it(world: World) -> None:
    ids = [(await waiting(world, f"order.{n}"))[0] for n in range(2)]
    other, _ = await waiting(world, "invoice.1")
    answer = await world.api.post("/v1/events/prefix/order./send", json={"payload": 1})
    assert answer.json()["resolved"] == 2
    for run_id in ids:
        await world.until(run_id, "completed")
    assert (await world.run(other))["status"] == "waiting"


async def test_sending_needs_the_scope_of_who_waits(world: World) -> None:
    await waiting(world)
    caller = world.client(await world.key_for("workflows:trigger"))
    answer = await caller.post("/v1/events/paid/send")
    assert told(answer) == (403, "insufficient permissions: requires jobs:trigger")


async def test_the_newest_wait_for_a_key_is_shown(virtual: World) -> None:
    first, _ = await waiting(virtual, "paid")
    shown = (await virtual.api.get("/v1/events/paid")).json()
    assert (shown["event_key"], shown["status"]) == ("paid", "waiting")
    assert (shown["source_type"], shown["job_run_id"]) == ("job_run", first)
    assert (await virtual.api.get("/v1/events")).json()["data"] == [shown]
    stranger = virtual.client(await virtual.key_for("*", project="proj-2"))
    for answer in (
        await stranger.get("/v1/events/paid"),
        await virtual.api.get("/v1/events/unknown"),
    ):
        assert told(answer) == (404, "event trigger not found")
    await virtual.api.post("/v1/events/paid/send", json={"payload": {"by": "ada"}})
    received = (await virtual.api.get("/v1/events/paid")).json()
    assert (received["id"], received["status"]) == (shown["id"], "received")
    assert received["response_payload"] == {"by": "ada"}
    second, _ = await waiting(virtual, "paid")
    newest = (await virtual.api.get("/v1/events/paid")).json()
    assert (newest["job_run_id"], newest["status"]) == (second, "waiting")


async def test_waits_are_listed_counted_and_purged(virtual: World) -> None:
    await waiting(virtual, "a")
    await virtual.api.post("/v1/events/a/send")
    await waiting(virtual, "b")
    listed = (await virtual.api.get("/v1/events?limit=1")).json()
    assert [row["event_key"] for row in listed["data"]] == ["b"]
    rest = await virtual.api.get("/v1/events", params={"cursor": listed["next_cursor"]})
    assert [row["event_key"] for row in rest.json()["data"]] == ["a"]
    only = (await virtual.api.get("/v1/events?status=waiting&source_type=job_run")).json()
    assert [row["event_key"] for row in only["data"]] == ["b"]
    for unknown in ("status=waitting", "source_type=job"):
        assert (await virtual.api.get(f"/v1/events?{unknown}")).json()["data"] == []
    stats = (await virtual.api.get("/v1/events/stats")).json()
    assert (stats["total_count"], stats["waiting_count"], stats["received_count"]) == (2, 1, 1)
    await virtual.pass_time(2 * 24 * 3600)
    dry = await virtual.api.post("/v1/events/purge", json={"older_than_days": 1, "dry_run": True})
    assert dry.json() == {"dry_run": True, "would_delete": 2}
    done = await virtual.api.post("/v1/events/purge", json={"older_than_days": 1})
    assert done.json() == {"deleted": 2}


# --------------------------------------------------------------------------------------- children


async def parent_and_child(world: World) -> tuple[str, httpx.AsyncClient, dict[str, Any]]:
    world.handlers.script = Gate()
    run_id, handler = await world.executing(await world.job())
    return run_id, handler, await world.job("child")


async def spawn(
    handler: httpx.AsyncClient, parent: str, job: dict[str, Any], **fields: Any
) -> httpx.Response:
    body = {"job_slug": job["slug"], "project_id": "proj-1", **fields}
    return await handler.post(f"/sdk/v1/runs/{parent}/spawn", json=body)


async def test_a_child_is_a_run_of_its_own_with_its_parent_named(world: World) -> None:
    parent, handler, job = await parent_and_child(world)
    world.handlers.scripts["/child"] = lambda call: ok("child")
    answer = await spawn(handler, parent, job, payload={"n": 1})
    assert answer.status_code == 201
    assert answer.json()["parent_run_id"] == parent
    child = await world.until(answer.json()["id"], "completed")
    assert (child["triggered_by"], child["payload"]) == ("spawn", {"n": 1})
    listed = (await world.api.get(f"/v1/runs/{parent}/children")).json()["data"]
    assert [row["id"] for row in listed] == [child["id"]]


async def test_children_are_listed_newest_first_in_pages(world: World) -> None:
    parent, handler, job = await parent_and_child(world)
    other, *_ = await parent_and_child(world)
    children = [(await spawn(handler, parent, job, payload=n)).json()["id"] for n in range(3)]
    path = f"/v1/runs/{parent}/children"
    first = (await world.api.get(path, params={"limit": 2})).json()
    assert [row["id"] for row in first["data"]] == children[:0:-1]
    params = {"limit": 2, "cursor": first["next_cursor"]}
    rest = (await world.api.get(path, params=params)).json()
    assert ([row["id"] for row in rest["data"]], rest["has_more"]) == (children[:1], False)
    assert (await world.api.get(f"/v1/runs/{other}/children")).json()["data"] == []
    stranger = world.client(await world.key_for("*", project="proj-2"))
    assert told(await stranger.get(path)) == (404, "run not found")


async def test_a_parent_that_awaits_wakes_once_all_below_it_ended(world: World) -> None:
    parent, handler, job = await parent_and_child(world)
    gates = {"one": Gate(ok("first")), "two": Gate(ok("second"))}

    async def child(call: Received) -> Answer:
        return await gates[call.json["name"]](call)

    world.handlers.scripts["/child"] = child
    one = (await spawn(handler, parent, job, payload={"name": "one"})).json()["id"]
    answer = await spawn(handler, parent, job, payload={"name": "two"}, await_completion=True)
    two = answer.json()["id"]
    assert answer.json()["await_event_key"] == f"spawn-await:{two}"
    await world.until(parent, "waiting")
    gates["two"].open()
    await world.until(two, "completed")
    assert (await world.run(parent))["status"] == "waiting"
    gates["one"].open()
    await world.until(one, "completed")
    _, second = await world.handlers.wait(2, parent)
    state = world.handler(second.token)
    for run_id, result in ((one, "first"), (two, "second")):
        kept = await state.get(f"/sdk/v1/runs/{parent}/state/{child_outcome_key(run_id)}")
        assert kept.json()["value"] == {
            "run_id": run_id,
            "status": "completed",
            "result": result,
        }


async def test_a_child_that_fails_wakes_its_parent_with_the_error(world: World) -> None:
    parent, handler, job = await parent_and_child(world)
    world.handlers.scripts["/child"] = lambda call: Answer(400)
    child = (await spawn(handler, parent, job, await_completion=True)).json()["id"]
    _, second = await world.handlers.wait(2, parent)
    kept = await world.handler(second.token).get(
        f"/sdk/v1/runs/{parent}/state/{child_outcome_key(child)}"
    )
    assert kept.json()["value"]["status"] == "dead_letter"
    assert kept.json()["value"]["error"] == "endpoint returned 400"


async def test_a_parent_does_not_wait_for_ever(virtual: World) -> None:
    parent, handler, job = await parent_and_child(virtual)
    await spawn(handler, parent, job, await_completion=True, await_timeout_secs=30)
    await virtual.until(parent, "waiting")
    await virtual.pass_time(31)
    await virtual.until(parent, "timed_out")


async def test_the_same_spawn_of_a_later_dispatch_finds_the_child_that_is_there(
    world: World,
) -> None:
    parent, handler, job = await parent_and_child(world)
    world.handlers.scripts["/child"] = lambda call: ok()
    first = await spawn(handler, parent, job, spawn_key="0:child")
    again = await spawn(handler, parent, job, spawn_key="0:child")
    other = await spawn(handler, parent, job, spawn_key="1:child")
    assert again.json()["id"] == first.json()["id"]
    assert other.json()["id"] != first.json()["id"]
    assert (await spawn(handler, parent, job, spawn_key="")).status_code == 422


async def test_a_job_that_is_not_there_cannot_be_spawned(world: World) -> None:
    parent, handler, _ = await parent_and_child(world)
    refused = await spawn(handler, parent, {"slug": "none"})
    assert told(refused) == (404, "job not found")
    (detail,) = refused.json()["error"]["details"]
    assert detail == "job_slug: there is no job 'none' in project 'proj-1'"
    assert (await world.run(parent))["status"] == "executing"


async def test_another_project_needs_a_key_of_that_project(world: World) -> None:
    parent, handler, job = await parent_and_child(world)

    async def across(**fields: Any) -> httpx.Response:
        return await spawn(handler, parent, job, **{"project_id": "proj-2", **fields})

    assert (await across()).status_code == 400
    assert (await across(target_api_key="strait_" + "0" * 64)).status_code == 401
    assert (await across(target_api_key=world.key)).status_code == 403
    poor = await world.key_for("jobs:read", project="proj-2")
    assert (await across(target_api_key=poor)).status_code == 403
    theirs = world.client(await world.key_for("*", project="proj-2"))
    body = {
        "project_id": "proj-2",
        "name": "Theirs",
        "slug": "theirs",
        "endpoint_url": world.handlers.url + "child",
    }
    assert (await theirs.post("/v1/jobs", json=body)).status_code == 201
    rich = await world.key_for("jobs:trigger", project="proj-2")
    answer = await across(target_api_key=rich, job_slug="theirs")
    assert (answer.status_code, answer.json()["project_id"]) == (201, "proj-2")
    # It stays a run of the other project, out of sight for this one.
    assert (await world.api.get(f"/v1/runs/{answer.json()['id']}")).status_code == 404
    assert (await world.api.get(f"/v1/runs/{parent}/children")).json()["data"] == []


async def test_a_key_of_one_environment_spawns_nothing_beyond_it(world: World) -> None:
    parent, handler, job = await parent_and_child(world)
    theirs = world.client(await world.key_for("*", project="proj-2"))
    own = {"project_id": "proj-2", "name": "x"}
    environment = (await theirs.post("/v1/environments", json={**own, "slug": "e"})).json()["id"]
    for slug, within in (("inside", environment), ("outside", "")):
        body = {**own, "slug": slug, "endpoint_url": world.handlers.url, "environment_id": within}
        assert (await theirs.post("/v1/jobs", json=body)).status_code == 201
    key = {**own, "scopes": ["jobs:trigger"], "expires_in_days": 1, "environment_id": environment}
    bound = (await theirs.post("/v1/api-keys", json=key)).json()["key"]

    async def across(slug: str) -> httpx.Response:
        fields = {"project_id": "proj-2", "target_api_key": bound, "job_slug": slug}
        return await spawn(handler, parent, job, **fields)

    assert told(await across("outside")) == (404, "job not found")
    assert (await across("inside")).status_code == 201
