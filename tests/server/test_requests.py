"""Who may ask, and how a request must look (`contract/runs.md` §7)."""

from __future__ import annotations

import httpx
import pytest

from strait.clock import SECOND, from_timestamp
from support.handlers import Gate
from support.world import PROJECT, SECRET, World


def message(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["message"])


def code(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])


# ----------------------------------------------------------------------------------------- callers


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (None, "invalid or missing api key"),
        ("Bearer something", "invalid or missing api key"),
        ("Basic abc", "invalid or missing api key"),
        ("Bearer strait_" + "0" * 64, "invalid api key"),
    ],
)
async def test_callers_that_are_not_known_are_refused(
    world: World, header: str | None, text: str
) -> None:
    headers = {"Authorization": header} if header else {}
    answer = await world.client(**headers).get("/v1/jobs")
    assert (answer.status_code, code(answer), message(answer)) == (
        401,
        "authentication_required",
        text,
    )
    assert answer.json()["request_id"]


async def test_a_revoked_key_is_refused_at_once(world: World) -> None:
    made = await create_key(world)
    caller = world.client(made["key"])
    assert (await caller.get("/v1/jobs")).status_code == 200
    revoked = await world.api.delete(f"/v1/api-keys/{made['id']}")
    assert revoked.json() == {"status": "revoked"}
    answer = await caller.get("/v1/jobs")
    assert (answer.status_code, message(answer)) == (401, "api key has been revoked")


async def test_a_key_ends_when_its_days_are_over(virtual: World) -> None:
    made = await create_key(virtual, expires_in_days=1)
    caller = virtual.client(made["key"])
    assert (await caller.get("/v1/jobs")).status_code == 200
    await virtual.pass_time(24 * 3600 + 1)
    answer = await caller.get("/v1/jobs")
    assert (answer.status_code, message(answer)) == (401, "api key has expired")


async def test_a_rotated_key_works_until_its_grace_is_over(virtual: World) -> None:
    made = await create_key(virtual)
    rotated = await virtual.api.post(
        f"/v1/api-keys/{made['id']}/rotate", json={"grace_period_minutes": 5}
    )
    assert rotated.status_code == 201
    old, new = virtual.client(made["key"]), virtual.client(rotated.json()["key"])
    assert (await old.get("/v1/jobs")).status_code == 200
    await virtual.pass_time(301)
    answer = await old.get("/v1/jobs")
    assert (answer.status_code, message(answer)) == (
        401,
        "api key rotation grace period has ended",
    )
    assert (await new.get("/v1/jobs")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v1/jobs", "jobs:read"),
        ("POST", "/v1/jobs", "jobs:write"),
        ("POST", "/v1/jobs/x/trigger", "jobs:trigger"),
        ("GET", "/v1/runs", "runs:read"),
        ("DELETE", "/v1/runs/x", "runs:write"),
        ("GET", "/v1/api-keys", "api-keys:manage"),
        ("GET", "/v1/stats", "stats:read"),
    ],
)
async def test_a_missing_scope_is_named(world: World, method: str, path: str, scope: str) -> None:
    caller = world.client(await world.key_for("workflows:read"))
    answer = await caller.request(method, path)
    assert (answer.status_code, code(answer)) == (403, "forbidden")
    assert message(answer) == f"insufficient permissions: requires {scope}"


async def test_the_project_is_the_keys_and_no_header_changes_it(world: World) -> None:
    job = await world.job()
    other = world.client(await world.key_for("*", project="proj-2"))
    other.headers["X-Project-Id"] = PROJECT
    assert (await other.get("/v1/jobs")).json()["data"] == []
    assert (await other.get(f"/v1/jobs/{job['id']}")).status_code == 404


async def test_an_internal_caller_names_its_project_in_a_header_or_in_the_query(
    world: World,
) -> None:
    job = await world.job()
    internal = world.internal()
    by_query = await internal.get("/v1/jobs", params={"project_id": PROJECT})
    by_header = await internal.get("/v1/jobs", headers={"X-Project-Id": PROJECT})
    assert [found["id"] for found in by_query.json()["data"]] == [job["id"]]
    assert by_header.json() == by_query.json()
    # An API key has a project of its own.
    own = await world.api.get("/v1/jobs", params={"project_id": "another"})
    assert own.json() == by_query.json()


async def test_things_of_other_projects_are_not_found(world: World) -> None:
    job = await world.job()
    run_id = await world.trigger(job)
    other = world.client(await world.key_for("*", project="proj-2"))
    for method, path in (
        ("GET", f"/v1/jobs/{job['id']}"),
        ("PATCH", f"/v1/jobs/{job['id']}"),
        ("DELETE", f"/v1/jobs/{job['id']}"),
        ("POST", f"/v1/jobs/{job['id']}/trigger"),
        ("GET", f"/v1/runs/{run_id}"),
        ("GET", f"/v1/runs/{run_id}/events"),
        ("GET", f"/v1/runs/{run_id}/debug-bundle"),
        ("GET", f"/v1/runs/{run_id}/stream"),
        ("DELETE", f"/v1/runs/{run_id}"),
        ("POST", f"/v1/runs/{run_id}/replay"),
    ):
        answer = await other.request(method, path)
        assert (answer.status_code, code(answer)) == (404, "not_found"), path


async def test_a_body_that_names_another_project_is_forbidden(world: World) -> None:
    body = {"project_id": "proj-2", "name": "x", "slug": "x", "endpoint_url": "http://127.0.0.1/"}
    answer = await world.api.post("/v1/jobs", json=body)
    assert (answer.status_code, message(answer)) == (
        403,
        "project_id does not match authenticated project",
    )


# --------------------------------------------------------------------------------------- requests


async def test_a_client_that_takes_no_json_is_told_so(world: World) -> None:
    answer = await world.api.get("/v1/jobs", headers={"Accept": "text/html"})
    assert (answer.status_code, code(answer)) == (406, "internal_error")


async def test_a_body_that_is_no_json_by_its_type_is_refused(world: World) -> None:
    answer = await world.api.post(
        "/v1/jobs", content=b"a=1", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert (answer.status_code, code(answer)) == (415, "internal_error")


async def test_a_body_that_is_too_large_is_refused_however_it_is_sent(world: World) -> None:
    job = await world.job()
    path = f"/v1/jobs/{job['id']}/trigger"
    big = b'{"payload":"' + b"x" * (1024 * 1024) + b'"}'

    async def chunks():
        yield big

    for content in (big, chunks()):
        answer = await world.api.post(
            path, content=content, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 413
    assert (await world.api.get("/v1/runs")).json()["data"] == []


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"payload": NaN}',
        b"[1]",
        b'"text"',
        b'{"priority": "high"}',
        b'{"payload": ' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"payload": "\xff"}',
        b'{"payload": 1e999}',
        b'{"tags": {"a": 1}}',
    ],
)
async def test_bad_json_and_wrong_types_are_told_without_a_traceback(
    world: World, body: bytes
) -> None:
    job = await world.job()
    answer = await world.api.post(
        f"/v1/jobs/{job['id']}/trigger",
        content=body,
        headers={"Content-Type": "application/json"},
    )
    assert (answer.status_code, code(answer)) == (400, "bad_request")
    assert message(answer).startswith("invalid request body: ")


async def test_values_out_of_range_are_listed_all_at_once(world: World) -> None:
    answer = await world.api.post("/v1/jobs", json={"project_id": PROJECT})
    assert (answer.status_code, code(answer), message(answer)) == (
        422,
        "validation_failed",
        "validation failed",
    )
    assert "name: failed on 'required'" in answer.json()["error"]["details"]
    assert "slug: failed on 'required'" in answer.json()["error"]["details"]


async def test_a_change_has_the_bounds_of_what_is_made(world: World) -> None:
    named = {"project_id": PROJECT, "name": "n", "slug": "s"}
    drain = {"drain_type": "http", "endpoint_url": world.handlers.url, "auth_type": "none"}
    room = {"channel_type": "webhook", "config": {"url": world.handlers.url}}
    for path, body in (
        ("/v1/jobs", {**named, "endpoint_url": world.handlers.url}),
        ("/v1/workflows", {**named, "steps": []}),
        ("/v1/environments", named),
        ("/v1/job-groups", named),
        ("/v1/event-sources", named),
        ("/v1/log-drains", {**named, **drain}),
        ("/v1/notification-channels", {**named, **room}),
    ):
        made = (await world.api.post(path, json=body)).json()
        for name, value, rule in (("name", "", "min"), ("name", "x" * 256, "max")):
            answer = await world.api.patch(f"{path}/{made['id']}", json={name: value})
            told = answer.json()["error"].get("details")
            assert (path, answer.status_code, told) == (path, 422, [f"{name}: failed on '{rule}'"])
        absent = await world.api.patch(f"{path}/{made['id']}", json={"name": None, "enabled": True})
        assert absent.status_code in {200, 204}, absent.text
        shown = (await world.api.get(f"{path}/{made['id']}")).json()
        assert shown["name"] == "n"


async def test_the_caller_may_choose_the_request_id(world: World) -> None:
    answer = await world.api.get("/v1/jobs/none", headers={"X-Request-Id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.json()["request_id"] == "mine-1"


async def test_answers_carry_version_and_security_headers(world: World) -> None:
    answer = await world.api.get("/v1/jobs")
    assert answer.headers["x-api-version"] == "v1"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_unknown_addresses_are_plain_text_as_the_platforms(world: World) -> None:
    answer = await world.api.get("/v1/no-such-thing")
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")
    assert (await world.api.patch("/v1/stats")).status_code == 405


async def test_fields_that_nobody_knows_are_passed_over(world: World) -> None:
    job = await world.job()
    run_id = await world.trigger(job, {"a": 1}, no_such_field=True)
    assert (await world.until(run_id, "completed"))["payload"] == {"a": 1}


# --------------------------------------------------------------------------------- keys, projects


async def test_a_stranger_with_the_secret_makes_project_and_key(world: World) -> None:
    inside = world.internal()
    body = {"id": "proj-new", "org_id": "org-1", "name": "New"}
    made = await inside.post("/v1/projects", json=body)
    assert made.status_code == 201
    again = await inside.post("/v1/projects", json={**body, "name": "Renamed"})
    assert (again.status_code, again.json()["name"]) == (201, "Renamed")
    foreign = await inside.post("/v1/projects", json={**body, "org_id": "org-2"})
    assert (foreign.status_code, message(foreign)) == (
        409,
        "project already exists in a different organization",
    )
    key = await world.internal("proj-new").post(
        "/v1/api-keys",
        json={"project_id": "proj-new", "name": "ci", "scopes": ["*"], "expires_in_days": 30},
    )
    assert key.status_code == 201
    assert key.json()["key"].startswith("strait_")
    assert key.json()["key_prefix"] == key.json()["key"][:12]
    caller = world.client(key.json()["key"])
    assert (await caller.get("/v1/projects/proj-new")).json()["name"] == "Renamed"


async def test_a_project_needs_a_name_of_two_characters(world: World) -> None:
    body = {"id": "p", "org_id": "o", "name": "x"}
    assert (await world.internal().post("/v1/projects", json=body)).status_code == 422


async def test_api_keys_make_no_projects(world: World) -> None:
    answer = await world.api.post("/v1/projects", json={"id": "p", "org_id": "o", "name": "no"})
    assert (answer.status_code, message(answer)) == (
        403,
        "project creation requires internal secret",
    )


async def test_a_wrong_secret_is_refused(world: World) -> None:
    caller = world.client(**{"X-Internal-Secret": SECRET + "x"})
    answer = await caller.post("/v1/projects", json={})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("scopes", "status", "text"),
    [
        (["jobs:fly"], 400, 'unknown scope: "jobs:fly"'),
        (["*"], 403, "cannot grant permission *: caller does not have it"),
    ],
)
async def test_a_key_hands_on_only_what_its_maker_has(
    world: World, scopes: list[str], status: int, text: str
) -> None:
    caller = world.client(await world.key_for("api-keys:manage", "jobs:read"))
    body = {"project_id": PROJECT, "name": "child", "scopes": scopes}
    answer = await caller.post("/v1/api-keys", json=body)
    assert (answer.status_code, message(answer)) == (status, text)


async def test_the_secret_of_a_key_is_shown_once(world: World) -> None:
    made = await create_key(world)
    listed = await world.api.get("/v1/api-keys")
    assert made["id"] in {row["id"] for row in listed.json()["data"]}
    assert made["key"] not in listed.text
    soon = await world.api.get("/v1/api-keys/expiring-soon?within_days=60")
    assert made["id"] in {row["id"] for row in soon.json()}


async def test_a_project_may_bound_the_life_of_its_keys(world: World) -> None:
    path = f"/v1/projects/{PROJECT}/settings"
    put = await world.api.put(path, json={"max_key_lifetime_days": 10})
    assert put.status_code == 200
    assert (await world.api.get(path)).json()["max_key_lifetime_days"] == 10
    body = {"project_id": PROJECT, "name": "long", "scopes": ["*"], "expires_in_days": 11}
    assert (await world.api.post("/v1/api-keys", json=body)).status_code == 400
    del body["expires_in_days"]
    made = (await world.api.post("/v1/api-keys", json=body)).json()
    days = from_timestamp(made["expires_at"]) - from_timestamp(made["created_at"])
    assert days == 10 * 24 * 3600 * SECOND


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"expires_in_days": None},
            "expires_in_days is required when project max_key_lifetime_days is not configured",
        ),
        (
            {"rotation_interval_days": 5},
            "rotation_webhook_url is required with rotation_interval_days",
        ),
        (
            {"rotation_interval_days": 5, "rotation_webhook_url": "http://keys.example.com/new"},
            "invalid rotation_webhook_url: it is sent a key, so its scheme must be https",
        ),
        ({"org_id": "org-2"}, "org_id does not match the organization of the project"),
        ({"scopes": []}, "scopes must contain at least one explicit permission"),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused(
    world: World, fields: dict[str, object], message: str
) -> None:
    body = {"project_id": PROJECT, "name": "k", "scopes": ["*"], "expires_in_days": 1, **fields}
    answer = await world.api.post("/v1/api-keys", json=body)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, message)


async def create_key(world: World, **fields: object) -> dict[str, str]:
    body = {"project_id": PROJECT, "name": "k", "scopes": ["*"], "expires_in_days": 30, **fields}
    answer = await world.api.post("/v1/api-keys", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


# ----------------------------------------------------------------------------------------- health


async def test_health_tells_more_to_who_has_the_secret(world: World) -> None:
    plain = (await world.client().get("/health")).json()
    assert plain["status"] == "ok"
    assert "subsystems" not in plain
    assert (await world.internal().get("/health")).json()["subsystems"] == {"database": "up"}
    assert (await world.client().get("/health/ready")).json() == {"status": "ready"}


async def test_stats_count_what_is_under_way(virtual: World) -> None:
    virtual.handlers.script = gate = Gate()
    job = await virtual.job(max_concurrency=1)
    run_id, _ = await virtual.executing(job)
    waiting = [await virtual.trigger(job) for _ in range(2)]
    later = await virtual.trigger(job, scheduled_at="2026-01-01T00:10:00Z")

    async def stats(client: httpx.AsyncClient) -> object:
        return (await client.get("/v1/stats")).json()

    assert await stats(virtual.api) == {"queued": 2, "executing": 1, "delayed": 1}
    stranger = virtual.client(await virtual.key_for("*", project="proj-2"))
    assert await stats(stranger) == {"queued": 0, "executing": 0, "delayed": 0}
    gate.open()
    for each in (run_id, *waiting):
        await virtual.until(each, "completed")
    assert await stats(virtual.api) == {"queued": 0, "executing": 0, "delayed": 1}
    await virtual.pass_time(601)
    await virtual.until(later, "completed")
    assert await stats(virtual.api) == {"queued": 0, "executing": 0, "delayed": 0}
