"""Who may open the page: sessions in place of keys, on one's own machine without being asked."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest

from strait.server.auth import hash_key
from strait.server.dashboard import trust
from strait.server.dashboard.sessions import LIFETIME_HOURS
from strait.server.settings import Settings
from support.handlers import Handlers
from support.world import PROJECT, World, world

pytestmark = pytest.mark.e2e

SESSION = "/dashboard/session"
HOUR_SECS = 3600


@pytest.fixture
async def page(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """What a page of this server sends, on the machine of its owner."""
    world.platform.opening_key = hash_key(world.key)
    async with browser(world) as made:
        yield made


def browser(world: World, **headers: str) -> httpx.AsyncClient:
    """A client that says what a browser says of a page of this server."""
    url = world.server.base_url
    told = {"Origin": url, "Sec-Fetch-Site": "same-origin", **headers}
    return httpx.AsyncClient(base_url=url, headers=told)


async def test_on_its_own_machine_the_page_opens_without_a_key(
    world: World, page: httpx.AsyncClient
) -> None:
    assert (await page.get(SESSION)).status_code == 204
    begun = await page.post(SESSION, json={})
    assert begun.status_code == 201
    assert begun.json()["project_id"] == PROJECT
    assert world.key not in begun.text
    assert (await page.get("/v1/jobs")).status_code == 200
    job = await world.job()
    made = await page.post(f"/v1/jobs/{job['id']}/trigger", json={})
    assert made.status_code == 201


async def test_a_script_cannot_see_the_cookie_and_another_site_cannot_send_it(
    page: httpx.AsyncClient,
) -> None:
    begun = await page.post(SESSION, json={})
    ((name, cookie),) = SimpleCookie(begun.headers["set-cookie"]).items()
    assert name == f"strait_session_{page.base_url.port}"
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"
    assert cookie["path"] == "/"
    assert int(cookie["max-age"]) == LIFETIME_HOURS * HOUR_SECS


@pytest.mark.parametrize(
    "told",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_page_of_another_site_gets_no_session_and_cannot_use_one(
    page: httpx.AsyncClient, told: dict[str, str]
) -> None:
    assert (await page.post(SESSION, json={}, headers=told)).status_code == 403
    await page.post(SESSION, json={})
    group = {"project_id": PROJECT, "name": "G", "slug": "g"}
    assert (await page.post("/v1/job-groups", json=group, headers=told)).status_code == 403
    assert (await page.delete(SESSION, headers=told)).status_code == 403
    read = await page.get("/v1/job-groups", headers=told)
    assert read.status_code == 403
    assert (await page.get("/v1/job-groups")).json()["data"] == []


async def test_who_does_not_say_where_a_change_comes_from_may_not_use_a_session(
    page: httpx.AsyncClient,
) -> None:
    await page.post(SESSION, json={})
    group = {"project_id": PROJECT, "name": "G", "slug": "g"}
    async with httpx.AsyncClient(base_url=page.base_url, cookies=page.cookies) as silent:
        assert (await silent.post("/v1/job-groups", json=group)).status_code == 403
        assert (await silent.post(SESSION, json={})).status_code == 403


async def test_a_site_that_may_call_the_api_may_not_use_sessions(handlers: Handlers) -> None:
    site = "https://app.example"
    async with world(handlers, allow_origin=(site,)) as made:
        made.platform.opening_key = hash_key(made.key)
        async with browser(made) as page:
            await page.post(SESSION, json={})
            answer = await page.get("/v1/jobs", headers={"Origin": site})
            begun = await page.post(SESSION, json={}, headers={"Origin": site})
    assert (answer.status_code, begun.status_code) == (403, 403)


async def test_a_name_that_was_bound_to_loopback_from_outside_opens_nothing(
    page: httpx.AsyncClient,
) -> None:
    rebound = f"evil.example:{page.base_url.port}"
    told = {"Host": rebound, "Origin": f"http://{rebound}"}
    assert (await page.post(SESSION, json={}, headers=told)).status_code == 421


@pytest.mark.parametrize(
    "header",
    ["X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Via", "X-Real-IP", "CF-Connecting-IP"],
)
async def test_what_came_through_a_proxy_is_asked_for_a_key(
    page: httpx.AsyncClient, header: str
) -> None:
    answer = await page.post(SESSION, json={}, headers={header: "203.0.113.9"})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "more",
    [
        {"root_path": "/strait"},
        {"trusted_proxies": ("127.0.0.1",)},
        {"allowed_hosts": ("strait.example",)},
        {"host": "0.0.0.0"},
    ],
)
async def test_a_server_that_is_made_for_others_always_asks(
    handlers: Handlers, more: dict[str, object]
) -> None:
    async with world(handlers, allow_loopback=True, **more) as made:
        made.platform.opening_key = hash_key(made.key)
        port = made.server.base_url.rpartition(":")[2]
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url, headers={"Origin": url}) as page:
            assert (await page.post(SESSION, json={})).status_code == 401
            prefix = more.get("root_path", "")
            begun = await page.post(f"{prefix}{SESSION}", json={"api_key": made.key})
            assert begun.status_code == 201
            assert (await page.get(f"{prefix}/v1/jobs")).status_code == 200


async def test_a_proxy_that_speaks_the_protocol_of_old_is_asked_for_a_key(
    page: httpx.AsyncClient,
) -> None:
    port = page.base_url.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {SESSION} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n"
    writer.write(f"{head}Origin: http://127.0.0.1:{port}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
    assert (await reader.read()).startswith(b"HTTP/1.1 401")
    writer.close()
    await writer.wait_closed()


def test_the_owner_of_a_connection_is_told_by_the_system() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = server.getsockname()
        with socket.create_connection(place) as client, server.accept()[0]:
            found = trust.peer_uid(client.getsockname(), place)
    assert found in {os.getuid(), None}
    assert trust.peer_uid(("127.0.0.1", 1), place) is None


def test_another_person_on_the_same_machine_is_no_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    scope = {"client": ("127.0.0.1", 5), "server": ("127.0.0.1", 7676), "http_version": "1.1"}
    headers = {b"host": b"127.0.0.1:7676"}
    monkeypatch.setattr(trust, "peer_uid", lambda *_: os.getuid())
    assert trust.is_the_owner(scope, headers, Settings())
    monkeypatch.setattr(trust, "peer_uid", lambda *_: os.getuid() + 1)
    assert not trust.is_the_owner(scope, headers, Settings())


async def test_a_platform_without_a_key_of_its_own_asks_for_one(world: World) -> None:
    async with browser(world) as page:
        refused = await page.post(SESSION, json={})
        assert (refused.status_code, "log in" in refused.text) == (401, True)
        wrong = await page.post(SESSION, json={"api_key": "strait_wrong"})
        assert wrong.json()["error"]["message"] == "invalid api key"
        assert (await page.post(SESSION, json={"api_key": 1})).status_code == 400
        assert (await page.post(SESSION, json={"api_key": "x" * 9_000})).status_code == 413
        assert (await page.patch(SESSION)).status_code == 405


async def test_a_session_may_what_its_key_may(world: World) -> None:
    key = await world.key_for("jobs:read")
    async with browser(world) as page:
        begun = await page.post(SESSION, json={"api_key": key})
        assert begun.json()["scopes"] == ["jobs:read"]
        assert (await page.get("/v1/jobs")).status_code == 200
        assert (await page.get("/v1/runs")).status_code == 403


async def test_a_session_ends_with_its_key(world: World, page: httpx.AsyncClient) -> None:
    key = await world.key_for("*")
    await page.post(SESSION, json={"api_key": key})
    keys = (await world.api.get("/v1/api-keys")).json()["data"]
    (key_id,) = [each["id"] for each in keys if key.startswith(each["key_prefix"])]
    assert (await page.get("/v1/jobs")).status_code == 200
    await world.api.delete(f"/v1/api-keys/{key_id}")
    answer = await page.get("/v1/jobs")
    assert answer.status_code == 401
    assert "revoked" in answer.text


async def test_a_session_ends_when_somebody_logs_out(page: httpx.AsyncClient) -> None:
    await page.post(SESSION, json={})
    kept = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
    assert (await page.delete(SESSION)).status_code == 204
    assert not page.cookies
    answer = await page.get("/v1/jobs", headers={"Cookie": kept})
    assert answer.json()["error"]["message"] == "the session is over; log in again"


async def test_a_session_ends_by_itself(virtual: World) -> None:
    async with browser(virtual) as page:
        await page.post(SESSION, json={"api_key": virtual.key})
        await virtual.pass_time(LIFETIME_HOURS * HOUR_SECS - 1)
        assert (await page.get("/v1/jobs")).status_code == 200
        await virtual.pass_time(2)
        assert (await page.get("/v1/jobs")).status_code == 401
        assert (await page.get(SESSION)).status_code == 204


async def test_a_session_outlives_a_restart(handlers: Handlers, tmp_path: Path) -> None:
    database = tmp_path / "strait.db"
    async with world(handlers, database=database) as made, browser(made) as page:
        begun = await page.post(SESSION, json={"api_key": made.key})
        value = next(iter(page.cookies.values()))
        assert begun.status_code == 201
    async with world(handlers, database=database) as made, browser(made) as page:
        cookie = f"strait_session_{page.base_url.port}={value}"
        assert (await page.get("/v1/jobs", headers={"Cookie": cookie})).status_code == 200
    assert value.encode() not in database.read_bytes()


async def test_behind_tls_the_cookie_never_goes_without(handlers: Handlers) -> None:
    async with world(handlers, allowed_hosts=("strait.example",), root_path="/strait") as made:
        told = {"Host": "strait.example", "Origin": "https://strait.example"}
        async with browser(made, **told) as page:
            begun = await page.post(f"/strait{SESSION}", json={"api_key": made.key})
    assert begun.headers["set-cookie"].endswith("; Secure")
    assert "strait_session=" in begun.headers["set-cookie"]
    assert "Path=/strait/;" in begun.headers["set-cookie"]


async def test_streams_take_the_session_too(world: World, page: httpx.AsyncClient) -> None:
    await page.post(SESSION, json={})
    path = f"/v1/projects/{PROJECT}/activity/stream"
    async with page.stream("GET", path) as stream:
        assert stream.status_code == 200
        job = await world.job()
        run_id = await world.trigger(job)
        async for line in stream.aiter_lines():
            if run_id in line:
                break
    async with page.stream("GET", path, headers={"Sec-Fetch-Site": "cross-site"}) as stream:
        assert stream.status_code == 403


async def test_a_key_in_a_header_stands_before_a_session(
    world: World, page: httpx.AsyncClient
) -> None:
    await page.post(SESSION, json={})
    answer = await page.get("/v1/jobs", headers={"Authorization": "Bearer strait_wrong"})
    assert answer.status_code == 401
