"""Environments and secrets: inherited, sealed, handed to handlers (`contract/workflows.md` §5)."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from strait.store.connection import StoreError
from support.handlers import Handlers
from support.workflows import told
from support.world import PROJECT, World
from support.world import world as serving


async def made(world: World, slug: str, **fields: Any) -> dict[str, Any]:
    body = {"project_id": PROJECT, "name": slug.title(), "slug": slug, **fields}
    answer = await world.api.post("/v1/environments", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def secret(world: World, key: str, value: str, **fields: Any) -> dict[str, Any]:
    body = {"project_id": PROJECT, "secret_key": key, "value": value, **fields}
    answer = await world.api.post("/v1/secrets", json=body)
    assert answer.status_code == 201, answer.text
    assert value not in answer.text
    return dict(answer.json())


async def handed(world: World, **fields: Any) -> dict[str, str]:
    """Return the secrets that the handler of a new job is given."""
    job = await world.job(**fields)
    run_id = await world.trigger(job)
    (call, *_) = await world.handlers.wait(1, run_id)
    return {k: v for k, v in call.headers.items() if k.startswith("x-secret-")}


# ------------------------------------------------------------------------------------ environments


async def test_values_are_given_out_by_their_own_route_only(world: World) -> None:
    base = await made(world, "base", variables={"REGION": "eu", "LEVEL": "info"})
    child = await made(world, "child", parent_id=base["id"], variables={"LEVEL": "debug"})
    assert child["variable_keys"] == ["LEVEL"]
    shown = await world.api.get(f"/v1/environments/{child['id']}")
    assert shown.json()["resolved_variable_keys"] == ["LEVEL", "REGION"]
    assert "debug" not in shown.text
    values = await world.api.get(f"/v1/environments/{child['id']}/variables")
    assert values.json() == {"variables": {"LEVEL": "debug", "REGION": "eu"}}


async def test_a_change_of_variables_replaces_all_of_them(world: World) -> None:
    environment = await made(world, "base", variables={"A": "1", "B": "2"})
    path = f"/v1/environments/{environment['id']}"
    changed = await world.api.patch(path, json={"variables": {"C": "3"}})
    assert changed.json()["variable_keys"] == ["C"]
    assert (await world.api.get(f"{path}/variables")).json() == {"variables": {"C": "3"}}


@pytest.mark.parametrize("address", ["ftp://files.test", "elsewhere", "http://10.0.0.7/hook"])
async def test_an_address_that_runs_could_not_go_to_is_refused(world: World, address: str) -> None:
    environment = await made(world, "base")
    path = f"/v1/environments/{environment['id']}"
    refused = await world.api.patch(path, json={"variables": {"ENDPOINT_URL": address}})
    assert refused.status_code == 400
    assert "ENDPOINT_URL" in refused.json()["error"]["message"]
    none = await world.api.patch(path, json={"variables": {"ENDPOINT_URL": ""}})
    assert none.status_code == 200


async def test_no_environment_inherits_from_itself(world: World) -> None:
    top = await made(world, "top")
    middle = await made(world, "middle", parent_id=top["id"])
    bottom = await made(world, "bottom", parent_id=middle["id"])
    itself = await world.api.patch(f"/v1/environments/{top['id']}", json={"parent_id": top["id"]})
    assert itself.json()["error"]["message"] == "environment cannot inherit from itself"
    circle = await world.api.patch(
        f"/v1/environments/{top['id']}", json={"parent_id": bottom["id"]}
    )
    assert circle.status_code == 400
    unknown = await world.api.patch(f"/v1/environments/{top['id']}", json={"parent_id": "nothing"})
    assert (unknown.status_code, unknown.json()["error"]["message"]) == (
        404, "parent environment not found"
    )  # fmt: skip


async def test_an_environment_that_others_inherit_from_stays(world: World) -> None:
    top = await made(world, "top")
    below = await made(world, "below", parent_id=top["id"])
    refused = await world.api.delete(f"/v1/environments/{top['id']}")
    assert refused.status_code == 409
    assert (await world.api.delete(f"/v1/environments/{below['id']}")).status_code == 204
    assert (await world.api.delete(f"/v1/environments/{top['id']}")).status_code == 204


async def test_environments_are_listed_newest_first_shown_and_deleted(world: World) -> None:
    kept = [await made(world, slug, variables={"A": slug}) for slug in ("one", "two", "three")]
    first = (await world.api.get("/v1/environments", params={"limit": 2})).json()
    assert (first["data"], first["has_more"]) == (kept[:0:-1], True)
    params = {"limit": 2, "cursor": first["next_cursor"]}
    second = (await world.api.get("/v1/environments", params=params)).json()
    assert second == {"data": kept[:1], "has_more": False}
    path = f"/v1/environments/{kept[1]['id']}"
    assert (await world.api.get(path)).json() == {**kept[1], "resolved_variable_keys": ["A"]}
    stranger = world.client(await world.key_for("*", project="proj-2"))
    assert (await stranger.get("/v1/environments")).json()["data"] == []
    for method in ("GET", "PATCH", "DELETE"):
        answer = await stranger.request(method, path, json={"name": "Mine"})
        assert told(answer) == (404, "environment not found")
    assert (await world.api.delete(path)).status_code == 204
    assert told(await world.api.get(path)) == (404, "environment not found")
    assert [row["slug"] for row in (await world.api.get("/v1/environments")).json()["data"]] == [
        "three", "one"
    ]  # fmt: skip


async def test_an_environment_has_its_slug_alone(world: World) -> None:
    one = await made(world, "one")
    assert (one["slug"], one["name"], one["is_standard"]) == ("one", "One", False)
    other = await made(world, "other")
    body = {"project_id": PROJECT, "name": "Again", "slug": "one"}
    taken = (409, "an environment with slug 'one' already exists in this project")
    assert told(await world.api.post("/v1/environments", json=body)) == taken
    path = f"/v1/environments/{other['id']}"
    assert told(await world.api.patch(path, json={"slug": "one"})) == taken
    foreign = {**body, "project_id": "proj-2"}
    refused = await world.api.post("/v1/environments", json=foreign)
    assert told(refused) == (403, "project_id does not match authenticated project")


async def test_variables_need_the_scope_of_secrets(world: World) -> None:
    writer = world.client(await world.key_for("jobs:write", "jobs:read"))
    body = {"project_id": PROJECT, "name": "E", "slug": "e"}
    refused = await writer.post("/v1/environments", json={**body, "variables": {"A": "1"}})
    assert refused.json()["error"]["message"] == "environment variables require secrets:write"
    assert (await writer.post("/v1/environments", json=body)).status_code == 201


async def test_an_environment_sends_its_jobs_to_another_address(world: World) -> None:
    other = await made(world, "other", variables={"ENDPOINT_URL": world.handlers.url + "elsewhere"})
    job = await world.job("here", environment_id=other["id"])
    run_id = await world.trigger(job)
    (call, *_) = await world.handlers.wait(1, run_id)
    assert call.path == "/elsewhere"


# ----------------------------------------------------------------------------------------- secrets


async def test_a_secret_reaches_the_handlers_and_nothing_else(world: World) -> None:
    await secret(world, "API_TOKEN", "s3cr3t-value")
    assert await handed(world) == {"x-secret-api_token": "s3cr3t-value"}
    listed = await world.api.get("/v1/secrets")
    assert [entry["secret_key"] for entry in listed.json()["data"]] == ["API_TOKEN"]
    assert "s3cr3t-value" not in listed.text


async def test_a_secret_is_shown_without_its_value_and_deleted(world: World) -> None:
    kept = await secret(world, "TOKEN", "s3cr3t-value")
    assert (kept["secret_key"], kept["environment"], kept["key_version"]) == (
        "TOKEN", "production", 1
    )  # fmt: skip
    path = f"/v1/secrets/{kept['id']}"
    shown = await world.api.get(path)
    assert (shown.status_code, shown.json()) == (200, kept)
    stranger = world.client(await world.key_for("*", project="proj-2"))
    for method in ("GET", "DELETE"):
        assert told(await stranger.request(method, path)) == (404, "secret not found")
    reader = world.client(await world.key_for("secrets:read"))
    assert (await reader.get(path)).json() == kept
    assert (await reader.delete(path)).status_code == 403
    assert (await world.api.delete(path)).status_code == 204
    assert told(await world.api.get(path)) == (404, "secret not found")


async def test_secrets_are_listed_by_job_and_environment_in_pages(world: World) -> None:
    base = await made(world, "base")
    await made(world, "other")
    job = await world.job()
    await secret(world, "A", "value-a", environment="base")
    await secret(world, "B", "value-b", environment="other")
    await secret(world, "C", "value-c", environment="base", job_id=job["id"])

    async def keys(**params: Any) -> list[str]:
        answer = await world.api.get("/v1/secrets", params=params)
        assert answer.status_code == 200, answer.text
        return [row["secret_key"] for row in answer.json()["data"]]

    assert await keys() == ["C", "B", "A"]
    assert await keys(environment="base") == await keys(environment=base["id"]) == ["C", "A"]
    assert await keys(job_id=job["id"]) == ["C"]
    assert await keys(job_id=job["id"], environment="other") == []
    page = (await world.api.get("/v1/secrets", params={"limit": 1})).json()
    assert await keys(limit=1, cursor=page["next_cursor"]) == ["B"]


async def test_a_secret_of_a_job_wins_over_that_of_its_environment(world: World) -> None:
    job = await world.job()
    await secret(world, "TOKEN", "for-all")
    await secret(world, "TOKEN", "for-one", job_id=job["id"])
    run_id = await world.trigger(job)
    (call, *_) = await world.handlers.wait(1, run_id)
    assert call.headers["x-secret-token"] == "for-one"
    assert await handed(world) == {"x-secret-token": "for-all"}


async def test_secrets_are_inherited_like_variables(world: World) -> None:
    base = await made(world, "base")
    child = await made(world, "child", parent_id=base["id"])
    await secret(world, "A", "base-a", environment="base")
    await secret(world, "B", "base-b", environment=base["id"])
    await secret(world, "B", "child-b", environment="Child")
    got = await handed(world, environment_id=child["id"])
    assert got == {"x-secret-a": "base-a", "x-secret-b": "child-b"}


async def test_a_new_secret_counts_from_the_next_dispatch_on(world: World) -> None:
    job = await world.job()
    first = await world.trigger(job)
    await world.handlers.wait(1, first)
    kept = await secret(world, "LATE", "now")
    second = await world.trigger(job)
    (call, *_) = await world.handlers.wait(1, second)
    assert call.headers["x-secret-late"] == "now"
    assert (await world.api.delete(f"/v1/secrets/{kept['id']}")).status_code == 204
    third = await world.trigger(job)
    (call, *_) = await world.handlers.wait(1, third)
    assert "x-secret-late" not in call.headers


@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        ({"environment": "nowhere"}, 404, "environment not found"),
        ({}, 404, "environment not found"),  # `production`, once there are others
        ({"environment": "base", "secret_key": "a b"}, 400, "secret_key must be a header name"),
        ({"environment": "base", "value": "a\nb"}, 400, "value must be one printable line"),
        ({"environment": "base", "job_id": "nothing"}, 404, "job not found"),
    ],
)
async def test_a_secret_that_could_not_be_handed_over_is_refused(
    world: World, changes: dict[str, str], status: int, text: str
) -> None:
    await made(world, "base")
    body = {"project_id": PROJECT, "secret_key": "KEY", "value": "v", **changes}
    answer = await world.api.post("/v1/secrets", json=body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"].startswith(text)


async def test_the_same_secret_is_not_made_twice(world: World) -> None:
    await secret(world, "KEY", "one")
    body = {"project_id": PROJECT, "secret_key": "KEY", "value": "two"}
    assert (await world.api.post("/v1/secrets", json=body)).status_code == 409


# --------------------------------------------------------------------------------------- at rest


async def test_no_secret_lies_on_the_disk_in_clear(tmp_path: Path, handlers: Handlers) -> None:
    database = tmp_path / "strait.db"
    texts = ["token-in-clear", "variable-in-clear", "signature-in-clear"]
    async with serving(handlers, database) as world:
        await secret(world, "KEY", texts[0])
        await made(world, "production", variables={"A": texts[1]})
        await world.job(endpoint_signing_secret=texts[2])
    held = b"".join(file.read_bytes() for file in sorted(tmp_path.iterdir()))  # noqa: ASYNC240 - the server is gone
    assert [text for text in texts if text.encode() in held] == []
    assert (tmp_path / "strait.db.secrets").stat().st_mode & 0o777 == 0o600


async def test_secrets_are_there_again_after_a_restart(tmp_path: Path, handlers: Handlers) -> None:
    database = tmp_path / "strait.db"
    async with serving(handlers, database) as world:
        await secret(world, "KEY", "kept")
    async with serving(handlers, database) as world:
        assert await handed(world) == {"x-secret-key": "kept"}


async def test_a_lost_or_a_wrong_key_is_told_at_the_start(
    tmp_path: Path, handlers: Handlers
) -> None:
    database = tmp_path / "strait.db"
    async with serving(handlers, database):
        pass
    with pytest.raises(StoreError, match=r"`STRAIT_ENCRYPTION_KEY` is not the one"):
        async with serving(handlers, database, encryption_key="k" * 32):
            pass
    with pytest.raises(StoreError, match=r"in `STRAIT_ENCRYPTION_KEY` must be 32 bytes in base64"):
        async with serving(handlers, database, encryption_key="short"):
            pass
    (tmp_path / "strait.db.secrets").write_text("short")
    with pytest.raises(StoreError, match=r"in `.*strait\.db\.secrets` must be 32 bytes in base64"):
        async with serving(handlers, database):
            pass
    (tmp_path / "strait.db.secrets").unlink()
    with pytest.raises(StoreError, match=r"the key file .* is gone"):
        async with serving(handlers, database):
            pass


async def test_what_an_older_release_kept_in_clear_is_sealed(
    tmp_path: Path, handlers: Handlers
) -> None:
    database = tmp_path / "strait.db"
    async with serving(handlers, database) as world:
        job = await world.job()
    db = sqlite3.connect(database)
    with db:
        db.execute("UPDATE jobs SET signing_secret = 'in-clear'")
    db.close()
    async with serving(handlers, database) as world:
        entry = world.platform.jobs.get(world.platform.reader, job["id"])
        assert entry is not None
        assert entry.signing_secret == "in-clear"
    db = sqlite3.connect(database)
    assert db.execute("SELECT signing_secret FROM jobs").fetchone()[0].startswith("sealed:v1:")
    db.close()


async def test_what_is_inherited_is_never_cut_off(world: World) -> None:
    chain: list[str] = []
    for number in range(10):
        body = {
            "project_id": PROJECT, "name": f"e{number}", "slug": f"e{number}",
            "parent_id": chain[-1] if chain else None, "variables": {f"V{number}": "1"},
        }  # fmt: skip
        chain.append((await world.api.post("/v1/environments", json=body)).json()["id"])
    last = (await world.api.get(f"/v1/environments/{chain[-1]}/variables")).json()["variables"]
    assert len(last) == 10
    body = {"project_id": PROJECT, "name": "new", "slug": "new"}
    new = (await world.api.post("/v1/environments", json=body)).json()["id"]
    too_deep = (400, "environments inherit at most 10 levels deep")
    # Above the first as well as below the last: either would be an eleventh level.
    above = await world.api.patch(f"/v1/environments/{chain[0]}", json={"parent_id": new})
    below = await world.api.patch(f"/v1/environments/{new}", json={"parent_id": chain[-1]})
    assert (told(above), told(below)) == (too_deep, too_deep)
    fits = await world.api.patch(f"/v1/environments/{new}", json={"parent_id": chain[-2]})
    assert fits.status_code == 200, fits.text


async def test_what_is_no_variable_is_changed_without_the_scope_of_secrets(world: World) -> None:
    body = {"project_id": PROJECT, "name": "a", "slug": "a", "variables": {"A": "1"}}
    made = (await world.api.post("/v1/environments", json=body)).json()
    writer = world.client(await world.key_for("jobs:write"))
    path = f"/v1/environments/{made['id']}"
    renamed = await writer.patch(path, json={"name": "b", "variables": None})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "b")
    refused = await writer.patch(path, json={"variables": {}})
    assert told(refused) == (403, "environment variables require secrets:write")
    kept = (await world.api.get(f"{path}/variables")).json()
    assert kept == {"variables": {"A": "1"}}


async def test_what_is_changed_in_an_environment_counts_from_the_next_dispatch_on(
    world: World,
) -> None:
    base = await made(world, "base", variables={"ENDPOINT_URL": f"{world.handlers.url}base"})
    own = {"ENDPOINT_URL": f"{world.handlers.url}own"}
    child = await made(world, "child")
    job = await world.job("plain", environment_id=child["id"])

    async def called() -> str:
        run_id = await world.trigger(job)
        (call, *_) = await world.handlers.wait(1, run_id)
        return call.path

    assert await called() == "/plain"
    path = f"/v1/environments/{child['id']}"
    for change, there in (
        ({"variables": own}, "/own"),
        ({"variables": {}}, "/plain"),
        ({"parent_id": base["id"]}, "/base"),
        ({"parent_id": ""}, "/plain"),
        ({"variables": own}, "/own"),
    ):
        assert (await world.api.patch(path, json=change)).status_code == 200
        assert await called() == there


async def test_an_environment_that_jobs_run_in_stays(world: World) -> None:
    child = await made(world, "child", variables={"MODE": "safe"})
    job = await world.job("plain", environment_id=child["id"])
    path = f"/v1/environments/{child['id']}"
    refused = await world.api.delete(path)
    assert told(refused) == (409, f"job {job['slug']!r} runs in it; move or delete that first")
    moved = await world.api.patch(f"/v1/jobs/{job['id']}", json={"environment_id": ""})
    assert moved.status_code == 200
    assert (await world.api.delete(path)).status_code == 204


async def test_a_secret_is_older_than_its_environment(world: World) -> None:
    kept = await secret(world, "OLD", "first")
    await secret(world, "BOTH", "first")
    production = await made(world, "production")
    await secret(world, "BOTH", "second")
    expected = {"x-secret-old": "first", "x-secret-both": "second"}
    assert await handed(world) == expected
    assert await handed(world, environment_id=production["id"]) == expected
    params = {"environment": "production"}
    listed = (await world.api.get("/v1/secrets", params=params)).json()["data"]
    assert [row["secret_key"] for row in listed] == ["BOTH", "BOTH", "OLD"]
    assert listed[-1] == kept
