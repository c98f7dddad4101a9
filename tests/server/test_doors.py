"""Whose requests are read at all: by their `Host` and `Origin`, over real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.processes import running
from strait.server.doors import Doors
from strait.server.errors import ApiError
from strait.server.settings import Settings
from support.handlers import Handlers
from support.world import World, world

pytestmark = pytest.mark.e2e

SITE = "https://app.example"


def _port(made: World) -> int:
    return int(made.server.base_url.rpartition(":")[2])


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]", "127.0.0.9", "a.localhost"])
async def test_names_of_loopback_are_answered(world: World, name: str) -> None:
    answer = await world.api.get("/v1/jobs", headers={"Host": f"{name}:{_port(world)}"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "[::1]evil.example",
        "10.0.0.1", "x y",
    ],
)  # fmt: skip
async def test_a_name_that_was_bound_to_loopback_from_outside_is_refused(
    world: World, name: str
) -> None:
    answer = await world.api.get("/v1/jobs", headers={"Host": f"{name}:{_port(world)}"})
    assert answer.status_code == 421
    assert answer.json()["error"]["message"].endswith("allow a name with `--allowed-hosts`")
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


async def test_a_name_that_is_allowed_is_answered(handlers: Handlers) -> None:
    async with world(handlers, allowed_hosts=("strait.internal",)) as made:
        good = await made.api.get("/v1/jobs", headers={"Host": "Strait.Internal"})
        bad = await made.api.get("/v1/jobs", headers={"Host": "other.internal"})
    assert (good.status_code, bad.status_code) == (200, 421)


async def test_a_program_that_names_no_host_is_answered(world: World) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", _port(world))
    writer.write(b"GET /health HTTP/1.0\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()


@pytest.mark.parametrize("origin", [SITE, "null", "http://127.0.0.1:1", "file://"])
async def test_a_page_of_another_site_changes_nothing(world: World, origin: str) -> None:
    body = {"project_id": "proj-1", "name": "G", "slug": "g"}
    answer = await world.api.post("/v1/job-groups", json=body, headers={"Origin": origin})
    assert answer.status_code == 403
    said = answer.json()["error"]["message"]
    assert "--allow-origin" in said
    # Behind a proxy that sends a name of its own every page is one of another site.
    assert said.endswith("have a proxy pass `Host` on")
    assert (await world.api.get("/v1/job-groups")).json()["data"] == []


async def test_a_page_of_this_server_may_change_something(world: World) -> None:
    body = {"project_id": "proj-1", "name": "G", "slug": "g"}
    headers = {"Origin": world.server.base_url}
    answer = await world.api.post("/v1/job-groups", json=body, headers=headers)
    assert answer.status_code == 201


async def test_no_page_may_read_an_answer_unless_its_site_was_named(handlers: Handlers) -> None:
    ask = {"Origin": SITE, "Access-Control-Request-Method": "POST"}
    async with world(handlers) as closed:
        got = await closed.api.get("/v1/jobs", headers={"Origin": SITE})
        asked = await closed.api.options("/v1/jobs", headers=ask)
        assert "access-control-allow-origin" not in {**got.headers, **asked.headers}
        assert asked.status_code == 405
    async with world(handlers, allow_origin=(SITE,)) as opened:
        got = await opened.api.get("/v1/jobs", headers={"Origin": SITE})
        asked = await opened.api.options("/v1/jobs", headers=ask)
        other = await opened.api.get("/v1/jobs", headers={"Origin": "https://evil.example"})
        assert got.headers["access-control-allow-origin"] == SITE
        assert asked.status_code == 204
        assert "authorization" in asked.headers["access-control-allow-headers"]
        assert "access-control-allow-origin" not in other.headers


async def test_a_stream_can_be_read_by_the_page_that_may(handlers: Handlers) -> None:
    async with world(handlers, allow_origin=(SITE,), stream_max_secs=0.01) as made:
        run_id = await made.trigger(await made.job())
        answer = await made.api.get(f"/v1/runs/{run_id}/stream", headers={"Origin": SITE})
    assert answer.headers["access-control-allow-origin"] == SITE


@pytest.mark.parametrize(
    ("host", "more", "answers"),
    [
        ("127.0.0.1", {}, False),
        ("localhost", {}, False),
        ("::1", {}, False),
        # Who opens it to the network reaches it under names that only they know.
        ("0.0.0.0", {}, True),
        ("0.0.0.0", {"allowed_hosts": ("strait.example",)}, False),
    ],
)
def test_any_name_is_answered_only_where_the_network_was_let_in(
    host: str, more: dict[str, Any], answers: bool
) -> None:
    doors = Doors(Settings(host=host, **more))
    if answers:
        doors.check("GET", {b"host": b"some.example"})
        return
    with pytest.raises(ApiError, match="does not answer under the name"):
        doors.check("GET", {b"host": b"some.example"})


def test_a_server_that_is_open_to_the_network_warns_and_asks_for_keys(tmp_path: Path) -> None:
    arguments = ("serve", "--host", "0.0.0.0", "--port", "0", "--ephemeral", "--json")
    with running(*arguments, cwd=tmp_path) as platform:
        assert "reachable from the network" in platform.stderr
        port = platform.base_url.rpartition(":")[2]
        answer = httpx.get(f"http://127.0.0.1:{port}/v1/jobs")
        assert answer.status_code == 401
