"""No key reaches into another project, by any operation with an id in its path."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest

from fuzz.known import Known
from fuzz.values import Place, Values, resolved
from strait.server._generated.routes import ROUTES
from strait.server.routes import registry
from strait.server.schema import Route
from strait.server.unit import Unit
from strait.store import meta, workers
from support.description import description
from support.handlers import Gate
from support.world import PROJECT, World

pytestmark = pytest.mark.e2e

OTHER = "proj-2"
# These name a set, which is empty in a project that has nothing, or a name of the project's own.
SETS = {"send-event-by-prefix", "list-jobs-by-group", "put-throttle", "delete-throttle"}
ROUTES_WITH_IDS = [
    route
    for route in ROUTES
    if route.method
    and "{" in route.path
    and route.auth.startswith("api_key")
    and route.id in registry.operations()
]
TRIES = 40


async def _post(world: World, path: str, **body: Any) -> dict[str, Any]:
    answer = await world.api.post(path, json=body)
    assert answer.status_code in {200, 201}, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def _everything(world: World) -> dict[str, str]:
    """Make one of each kind in the first project; return path prefixes and the ids below them."""
    world.handlers.script = Gate()
    own = {"project_id": PROJECT}
    job = await world.job(tags={"team": "a"})
    run_id, handler = await world.executing(job)
    group = await _post(world, "/v1/job-groups", name="G", slug="g", **own)
    environment = await _post(world, "/v1/environments", name="E", slug="e", **own)
    secret = await _post(
        world, "/v1/secrets", secret_key="A", value="v", environment=environment["id"], **own
    )
    step = {"step_ref": "a", "step_type": "approval", "approval_approvers": ["user-1"]}
    workflow = await _post(world, "/v1/workflows", name="W", slug="w", steps=[step], **own)
    started = await _post(world, f"/v1/workflows/{workflow['id']}/trigger")
    config = {"webhook_url": world.handlers.url}
    channel = await _post(
        world, "/v1/notification-channels", channel_type="slack", name="C", config=config
    )
    drain = await _post(
        world, "/v1/log-drains", name="D", drain_type="http", endpoint_url=world.handlers.url,
        auth_type="none", **own,
    )  # fmt: skip
    role = await _post(world, "/v1/roles", name="r", permissions=["jobs:read"])
    await _post(world, "/v1/members", user_id="user-1", role_id=role["id"])
    who = {"user_id": "user-1", "actions": ["jobs:read"], "resource_type": "job", **own}
    policy = await _post(world, "/v1/resource-policies", resource_id=job["id"], **who)
    tagged = await _post(world, "/v1/tag-policies", tag_key="team", tag_value="a", **who)
    source = await _post(world, "/v1/event-sources", name="S", **own)
    subscription = await _post(
        world, "/v1/webhooks/subscriptions", webhook_url=world.handlers.url,
        event_types=["run.completed"], **own,
    )  # fmt: skip
    key = await _post(
        world, "/v1/api-keys", name="k", scopes=["jobs:read"], expires_in_days=1, **own
    )
    waiting = {"event_key": "paid", "timeout_secs": 600}
    answer = await handler.post(f"/sdk/v1/runs/{run_id}/wait-for-event", json=waiting)
    assert answer.status_code == 200, answer.text
    assert (await world.api.put("/v1/throttles/t", json={"limit": 1})).status_code in {200, 201}
    await world.platform.write(_worker)
    return {
        "/v1/jobs": job["id"], "/v1/runs": run_id, "/v1/job-groups": group["id"],
        "/v1/environments": environment["id"], "/v1/secrets": secret["id"],
        "/v1/workflows": workflow["id"], "/v1/workflow-runs": started["id"],
        "/v1/notification-channels": channel["id"], "/v1/log-drains": drain["id"],
        "/v1/roles": role["id"], "/v1/members": "user-1", "/v1/resource-policies": policy["id"],
        "/v1/tag-policies": tagged["id"], "/v1/event-sources": source["id"],
        "/v1/webhooks/subscriptions": subscription["subscription"]["id"], "/v1/api-keys": key["id"],
        "/v1/events": "paid", "/v1/throttles": "t", "/v1/projects": PROJECT,
        "/v1/organizations": "org-1", "/v1/workflow-policies": PROJECT,
        "/v1/analytics/jobs": job["id"], "/v1/analytics/workflows": workflow["id"],
        "/v1/workers": "w",
    }  # fmt: skip


async def test_no_operation_reaches_into_another_project(world: World) -> None:
    ids = await _everything(world)
    await world.platform.write(_second_project)
    stranger = world.client(await world.key_for("*", project=OTHER))
    before = await _seen(world, ids)
    wrong: list[str] = []
    tried = 0
    for route in ROUTES_WITH_IDS:
        path = _path(route, ids)
        if path is None:
            continue
        tried += 1
        wrong += await _try(route, path, stranger)
    assert not wrong, "\n".join(wrong)
    assert tried > 110, tried
    assert await _seen(world, ids) == before


async def _try(route: Route, path: str, stranger: Any) -> list[str]:
    """Send bodies until one gets past the checks of bodies; nothing but a refusal may come."""
    operation = description()["paths"][route.path][route.method.lower()]
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    values = Values(random.Random(1), Known(), Place(OTHER, "org-2", "http://127.0.0.1:1/"))
    query = {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}
    status = 0
    for _ in range(TRIES if content else 1):
        body = None if content is None else values.of(resolved(content["schema"]))
        sent = None if body is None else json.dumps(body).encode(errors="surrogatepass")
        headers = {"Content-Type": "application/json"} if sent is not None else {}
        answer = await stranger.request(
            route.method, path, content=sent, headers=headers, params=query
        )
        status = answer.status_code
        if status in {403, 404} or (status < 300 and route.id in SETS):
            return []
        if status not in {400, 422}:
            break
    return [f"{route.id} {path}: {status} {answer.text[:200]}"]


async def _seen(world: World, ids: dict[str, str]) -> dict[str, Any]:
    """What the first project sees of all that it has, without what moves by itself."""
    found = {}
    for prefix, identifier in ids.items():
        answer = await world.api.get(f"{prefix}/{identifier}")
        moving = r'"(heartbeat_at|updated_at|last_used_at)":"[^"]*",?'
        found[prefix] = (answer.status_code, re.sub(moving, "", answer.text)
                         if answer.status_code == 200 else "")  # fmt: skip
    return found


def _path(route: Route, ids: dict[str, str]) -> str | None:
    prefix, _, rest = route.path.partition("/{")
    _, _, rest = rest.partition("}")
    if prefix not in ids:
        return None
    more = {"stepRef": "a", "otherRunID": ids["/v1/runs"], "prefix": "pa"}
    rest = re.sub(r"\{(\w+)\}", lambda match: more.get(match[1], "1"), rest)
    return f"{prefix}/{ids[prefix]}{rest}"


def _worker(unit: Unit) -> None:
    row = workers.WorkerRow(
        id="w", project_id=PROJECT, queue_name="default", hostname="h", version="1",
        status="offline", last_seen_at=unit.stamp, registered_at=unit.stamp, key_id="k",
        environment_id="",
    )  # fmt: skip
    workers.put(unit.db, row)


def _second_project(unit: Unit) -> None:
    project = meta.Project(
        id=OTHER, org_id="org-2", name="Other", created_at=unit.stamp, updated_at=unit.stamp
    )
    meta.put_project(unit.db, project)


async def test_no_handler_is_told_about_its_body_before_it_has_shown_its_token(
    world: World,
) -> None:
    world.handlers.script = Gate()
    run_id, handler = await world.executing(await world.job())
    other_id, _ = await world.executing(await world.job())
    wrong: list[str] = []
    routes = [route for route in ROUTES if route.method and route.auth == "run_token"]
    for route in routes:
        path = route.path.replace("{runID}", other_id)
        path = re.sub(r"\{\w+\}", "1", path)
        content = b"{}" if route.body is not None else None
        headers = {"Content-Type": "application/json"}
        for client, status in ((world.client(), 401), (world.api, 401), (handler, 403)):
            answer = await client.request(route.method, path, content=content, headers=headers)
            if answer.status_code != status:
                wrong.append(f"{route.id}: {answer.status_code} {answer.text[:120]}")
    assert not wrong, "\n".join(wrong)
    assert len(routes) > 25
    assert (await world.run(run_id))["status"] == "executing"
