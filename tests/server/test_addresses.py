"""Where the server may send requests to, and where not, however the address is written."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from strait.server import addresses
from strait.server.addresses import Reach
from strait.server.errors import ApiError
from strait.server.outbound import CallError, Outbound
from support.handlers import Handlers
from support.world import World, world

INSIDE = [
    "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "255.255.255.255", "[::]", "[fd00:ec2::254]", "[fe80::1]", "[fe80::1%25eth0]",
    "[::ffff:10.0.0.1]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a00:1]", "[64:ff9b:1::a00:1]",
    "[2002:a00:1::]", "[::10.0.0.1]", "[ff02::1]", "metadata.google.internal",
    "Metadata.Google.Internal.", "\u2460\u24ea.0.0.1",
]  # fmt: skip
ODD = ["0x7f.1", "0x7f000001", "2130706433", "017700000001", "127.1", "0177.0.0.1", "0xa.0.0.1",
       "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021"]  # fmt: skip


@pytest.mark.parametrize("host", [*INSIDE, *ODD])
def test_an_address_inside_is_refused_however_it_is_written(host: str) -> None:
    with pytest.raises(ApiError, match=r"^invalid url: (`.*` is a private|write `.*` as)"):
        addresses.endpoint(f"http://{host}/path", "url", Reach())


@pytest.mark.parametrize("host", ["10.0.0.1", "172.17.0.2", "192.168.1.1", "[fd12::1]"])
def test_private_networks_are_opened_by_a_setting(host: str) -> None:
    url = f"http://{host}:8080/run"
    assert addresses.endpoint(url, "url", Reach(private=True)) == url
    assert not Reach(private=True).forbids(host.strip("[]"), 8080)


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "0.0.0.0", "224.0.0.1", "100.64.0.1", "[fd00:ec2::254]",
             "[fe80::1]", "[::ffff:a9fe:a9fe]", "metadata.google.internal"]
)  # fmt: skip
def test_the_setting_opens_neither_metadata_nor_anything_else_inside(host: str) -> None:
    with pytest.raises(ApiError, match="is a private address"):
        addresses.endpoint(f"http://{host}/", "url", Reach(private=True))
    assert Reach(private=True).forbids(host.strip("[]"), 80)


async def test_jobs_may_live_in_a_private_network_where_that_was_allowed(
    handlers: Handlers,
) -> None:
    for allowed in (False, True):
        async with world(handlers, allow_private_endpoints=allowed) as here:
            body = {"project_id": "proj-1", "name": "J", "slug": "j",
                    "endpoint_url": "http://172.17.0.9:8080/"}  # fmt: skip
            answer = await here.api.post("/v1/jobs", json=body)
            assert answer.status_code == (201 if allowed else 400)


@pytest.mark.parametrize(
    "url", ["ftp://a.example/", "file:///etc/passwd", "gopher://a/", "//a.example/", "javascript:1"]
)
def test_only_http_is_spoken(url: str) -> None:
    with pytest.raises(ApiError, match="scheme must be http or https"):
        addresses.endpoint(url, "url", Reach())


@pytest.mark.parametrize(
    "url",
    ["http://a.example/", "https://93.184.216.34:8443/x?y=1", "http://127.0.0.1:80/",
     "http://[::1]/", "http://localhost/"],
)  # fmt: skip
def test_what_is_public_or_this_machine_is_taken(url: str) -> None:
    assert addresses.endpoint(url, "url", Reach()) == url


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_this_machine_is_out_of_reach_where_it_was_not_allowed(
    handlers: Handlers, host: str
) -> None:
    url = handlers.url.replace("127.0.0.1", host)
    port = int(handlers.url.rstrip("/").rpartition(":")[2])
    closed = Outbound(max_body_bytes=100, reach=Reach(loopback=False))
    with pytest.raises(CallError, match="is this machine") as caught:
        await closed.post(url, [], b"{}")
    assert caught.value.error_class == "client"
    ours = Outbound(max_body_bytes=100, reach=Reach(loopback=False, own_ports={port}))
    assert (await ours.post(url, [], b"{}")).status == 200
    ours.close()
    assert len(handlers.received) == 1


async def test_a_name_that_stands_for_this_machine_is_out_of_reach_too(
    handlers: Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        assert host == "rebound.example"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    client = Outbound(max_body_bytes=100, reach=Reach(loopback=False))
    with pytest.raises(CallError, match="private address"):
        await client.post(handlers.url.replace("127.0.0.1", "rebound.example"), [], b"{}")
    assert handlers.received == []


@pytest.mark.parametrize(
    ("changes", "reached"), [({}, False), ({"allow_loopback": True}, True)], ids=["not", "allowed"]
)
async def test_a_server_on_the_network_calls_this_machine_only_when_told(
    handlers: Handlers, changes: dict[str, Any], reached: bool
) -> None:
    async with world(handlers, host="0.0.0.0", **changes) as made:
        job = await made.job(max_attempts=1)
        run = await made.until(await made.trigger(job), "completed", "dead_letter")
    assert (run["status"] == "completed") is reached
    assert bool(handlers.received) is reached


async def test_a_redirect_is_an_answer_and_is_not_followed(world: World) -> None:
    from support.handlers import Answer

    world.handlers.script = lambda call: Answer(302, b"", {"Location": "http://10.0.0.1/"})
    run_id = await world.trigger(await world.job(max_attempts=1))
    await world.until(run_id, "failed", "system_failed", "dead_letter")
    assert len(world.handlers.received) == 1
