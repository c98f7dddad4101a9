"""No list shows a key of one environment what is of another, whatever the list is of."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import Any, NamedTuple

import httpx
import pytest

from strait.server._generated.routes import ROUTES
from strait.server.routes import registry
from strait.server.schema import Route
from strait.server.unit import Unit
from strait.store import workers
from support.handlers import Gate
from support.world import PROJECT, World

pytestmark = pytest.mark.e2e

# What a key of an environment is shown its own part of; everything else that reaches over the
# project it is refused.
FILTERED = {
    "get-run-report": "run",
    "list-api-keys": "key", "list-child-runs": "child", "list-deployments": "deployment",
    "list-environments": "environment", "list-event-source-subscriptions": "subscription",
    "list-event-triggers": "trigger", "list-expiring-keys": "key", "list-jobs": "job",
    "list-runs": "run", "list-schedules": "workflow", "list-secrets": "secret",
    "list-workers": "worker", "list-workflow-runs": "workflow run", "list-workflows": "workflow",
}  # fmt: skip
PERIOD = {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}
LISTS = [
    route
    for route in ROUTES
    if route.method == "GET"
    and route.auth.startswith("api_key")
    and route.id in registry.operations()
    and "stream" not in route.id
    and set(re.findall(r"{(\w+)}", route.path)) <= {"runID", "sourceID", "groupID", "projectID"}
]


class Side(NamedTuple):
    """What an environment has: ids by kind, and a key of it."""

    ids: dict[str, str]
    client: httpx.AsyncClient


async def _made(client: httpx.AsyncClient, path: str, **body: Any) -> str:
    answer = await client.post(path, json=body)
    assert answer.status_code in {200, 201}, f"{path}: {answer.text}"
    made: dict[str, Any] = answer.json()
    return str(made.get("subscription", made)["id"])


async def _side(world: World, slug: str, shared: dict[str, str]) -> Side:
    """Fill an environment with one of each that can be in it."""
    api, own = world.api, {"project_id": PROJECT}
    ids = {"environment": await _made(api, "/v1/environments", name=slug, slug=slug, **own)}
    key = {"name": f"{slug} only", "scopes": ["*"], "expires_in_days": 1, **own}
    made = (
        await api.post("/v1/api-keys", json={**key, "environment_id": ids["environment"]})
    ).json()
    ids["key"] = made["id"]
    within = {"environment_id": ids["environment"], "group_id": shared["groupID"]}
    job = await world.job(**within)
    ids["job"] = job["id"]
    ids["run"], handler = await world.executing(job)
    wait = {"event_key": f"{slug}-paid", "timeout_secs": 600}
    assert (await handler.post(f"/sdk/v1/runs/{ids['run']}/wait-for-event", json=wait)).is_success
    step = {"step_ref": "a", "step_type": "wait_for_event", "event_key": f"{slug}-flow"}
    runs_the_job = {"step_ref": "b", "job_id": job["id"], "depends_on": ["a"]}
    ids["workflow"] = await _made(
        api, "/v1/workflows", name=slug, slug=slug, cron="0 0 1 1 *", steps=[step, runs_the_job],
        **own,
    )  # fmt: skip
    ids["workflow run"] = await _made(api, f"/v1/workflows/{ids['workflow']}/trigger")
    ids["secret"] = await _made(
        api, "/v1/secrets", secret_key="A", value="v", environment=ids["environment"], **own
    )
    ids["deployment"] = await _made(
        api, "/v1/deployments", environment=slug, runtime="python", artifact_uri="s3://a/b", **own
    )
    subscribed = {"target_type": "job", "target_id": job["id"]}
    source = f"/v1/event-sources/{shared['sourceID']}/subscribe"
    ids["subscription"] = await _made(api, source, **subscribed)
    ids["worker"] = f"{slug}-worker"
    await world.platform.write(lambda unit: _worker(unit, ids["worker"], ids["environment"]))
    waits = (await api.get("/v1/events")).json()["data"]
    ids["trigger"] = next(w["id"] for w in waits if w["event_key"] == f"{slug}-flow")
    ids["job's trigger"] = next(w["id"] for w in waits if w["event_key"] == f"{slug}-paid")
    return Side(ids, world.client(made["key"]))


def _worker(unit: Unit, worker_id: str, environment_id: str) -> None:
    row = workers.WorkerRow(
        id=worker_id, project_id=PROJECT, queue_name="default", hostname="h", version="1",
        status="offline", last_seen_at=unit.stamp, registered_at=unit.stamp, key_id="k",
        environment_id=environment_id,
    )  # fmt: skip
    workers.put(unit.db, row)


async def _spawned(world: World, parent: Side, child: Side) -> str:
    """Have the waiting run of one environment have a child in another."""
    run_id = await world.trigger({"id": child.ids["job"]})

    def adopt(unit: Unit) -> None:
        unit.db.execute(
            "UPDATE runs SET parent_run_id = ? WHERE id = ?", (parent.ids["run"], run_id)
        )

    await world.platform.write(adopt)
    return run_id


async def _read(client: httpx.AsyncClient, route: Route, place: dict[str, str]) -> httpx.Response:
    path = re.sub(r"{(\w+)}", lambda match: place[match[1]], route.path)
    query = PERIOD if any(each.name == "from" for each in route.query) else {}
    return await client.get(path, params=query)


async def test_no_list_shows_what_is_of_another_environment(world: World) -> None:
    world.handlers.script = Gate()
    own = {"project_id": PROJECT}
    shared = {
        "groupID": await _made(world.api, "/v1/job-groups", name="G", slug="g", **own),
        "sourceID": await _made(world.api, "/v1/event-sources", name="S", **own),
        "projectID": PROJECT,
    }
    ours, theirs = [await _side(world, slug, shared) for slug in ("ours", "theirs")]
    ours.ids["child"] = await _spawned(world, ours, ours)
    theirs.ids["child"] = await _spawned(world, ours, theirs)
    foreign, place = set(theirs.ids.values()), {**shared, "runID": ours.ids["run"]}
    seen_by_all, refused, shown = set(), set(), set()
    for route in LISTS:
        whole = await _read(world.api, route, place)
        bound = await _read(ours.client, route, place)
        assert bound.status_code in {200, 400, 403, 404}, f"{route.id}: {bound.text}"
        found = sorted(each for each in foreign if each in bound.text)
        assert not found, f"{route.id} shows {found}: {bound.text}"
        if any(each in whole.text for each in foreign):
            seen_by_all.add(route.id)
        if bound.status_code == 403 and whole.status_code == 200:
            refused.add(route.id)
        if route.id in FILTERED and ours.ids[FILTERED[route.id]] in bound.text:
            shown.add(route.id)
    assert shown == set(FILTERED)
    # A key of the whole project is shown them all, so that the lists above were not just empty.
    assert set(FILTERED) <= seen_by_all
    assert seen_by_all - refused == set(FILTERED)
    counting = {"get-stats", "get-event-trigger-stats", "get-run-summary", "get-job-group-stats"}
    assert counting | {"list-audit-events", "list-jobs-by-group"} <= refused


async def test_an_event_reaches_nobody_in_another_environment(world: World) -> None:
    world.handlers.script = Gate()
    own = {"project_id": PROJECT}
    shared = {
        "groupID": await _made(world.api, "/v1/job-groups", name="G", slug="g", **own),
        "sourceID": await _made(world.api, "/v1/event-sources", name="S", **own),
    }
    ours, theirs = [await _side(world, slug, shared) for slug in ("ours", "theirs")]
    for method, path in (
        ("GET", "/v1/events/theirs-flow"),
        ("DELETE", "/v1/events/theirs-flow"),
        ("POST", "/v1/events/theirs-paid/send"),
    ):
        answer = await ours.client.request(method, path, json={"payload": 1})
        assert answer.status_code == 404, f"{path}: {answer.text}"
    sent = await ours.client.post("/v1/events/prefix/theirs/send", json={"payload": 1})
    assert sent.json()["resolved"] == 0
    sent = await ours.client.post("/v1/events/prefix/ours/send", json={"payload": 1})
    assert sent.json()["resolved"] == 2
    event = {"source": "S", "payload": {}, **own}
    dispatched = (await ours.client.post("/v1/events/dispatch", json=event)).json()
    assert (dispatched["dispatched"], dispatched["skipped"]) == (1, [])
    body = {"target_type": "job", "target_id": theirs.ids["job"]}
    source = f"/v1/event-sources/{shared['sourceID']}/subscribe"
    assert (await ours.client.post(source, json=body)).status_code == 404
    path = f"{source.removesuffix('subscribe')}subscriptions/{theirs.ids['subscription']}"
    assert (await ours.client.delete(path)).status_code == 404
    deployment = {"environment": "theirs", "runtime": "python", "artifact_uri": "s3://a", **own}
    assert (await ours.client.post("/v1/deployments", json=deployment)).status_code == 403
    moved = f"/v1/deployments/{theirs.ids['deployment']}/promote"
    assert (await ours.client.post(moved, json={"environment": "theirs", **own})).status_code == 404


@pytest.mark.parametrize(
    ("path", "filters"),
    [
        ("/v1/workflow-runs", {"status": "completed"}),
        ("/v1/workflow-runs", {"tag_key": "team"}),
        ("/v1/workflows", {"tag_key": "team"}),
        ("/v1/events", {"status": "received"}),
    ],
)
async def test_a_filter_that_may_look_at_everything_does_so_beside_the_loop(
    world: World, path: str, filters: dict[str, str]
) -> None:
    release = threading.Event()
    threads = [
        asyncio.create_task(world.platform.analyst.ask(lambda _: release.wait(60)))
        for _ in range(2)
    ]
    try:
        # Both threads are taken, so that what needs one waits, and nothing else does.
        filtered = asyncio.create_task(world.api.get(path, params=filters))
        for _ in range(3):
            assert (await world.api.get(path)).status_code == 200
        assert not filtered.done()
    finally:
        release.set()
    assert (await filtered).json()["data"] == []
    assert await asyncio.gather(*threads) == [True, True]
