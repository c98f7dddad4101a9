"""Connections across threads, forks and event loops, and what becomes of them at the end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from strait import AsyncClient, Client

from .conftest import KEY

SYNC = ("httpx", "httpx2")
ASYNC = ("httpx", "httpx2", "aiohttp")
THREADS, CALLS = 32, 200


class Keeping(ThreadingHTTPServer):
    """Keeps connections open, and counts them and the paths that were asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.connections = 0
        self.paths: Counter[str] = Counter()
        self.under_way = self.peak = 0
        self.ends = threading.Event()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def get_request(self) -> Any:
        self.connections += 1
        return super().get_request()


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Keeping

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.paths[self.path] += 1
            server.under_way += 1
            server.peak = max(server.peak, server.under_way)
        if "/slow-" in self.path:
            server.ends.wait(0.02)  # so that others have the time to come too, if they may
        with server.lock:
            server.under_way -= 1
        body = b'{"id":"%s"}' % self.path.rpartition("/")[2].encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)


@contextmanager
def keeping() -> Iterator[Keeping]:
    server = Keeping()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("transport", SYNC)
def test_32_threads_make_200_calls_each_and_get_their_own_answers(transport: Any) -> None:
    def ask(client: Client, thread: int) -> list[str]:
        return [client.jobs.get(f"{thread}-{call}").id for call in range(CALLS)]

    with (
        keeping() as server,
        Client(base_url=server.url, api_key=KEY, transport=transport) as client,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        got = list(pool.map(lambda thread: ask(client, thread), range(THREADS)))
    wanted = [[f"{thread}-{call}" for call in range(CALLS)] for thread in range(THREADS)]
    assert got == wanted
    # On a machine that stands still for a while the server closes a connection just before it is
    # used, and the call is made again; it never is without reason.
    assert sum(server.paths.values()) < THREADS * CALLS * 1.01
    # On a slow machine one that waits for its thread may grow too old to be used again.
    assert server.connections < THREADS * CALLS / 10


@pytest.mark.parametrize("transport", ASYNC)
def test_one_async_client_serves_one_loop_after_another(transport: Any) -> None:
    with keeping() as server:
        client = AsyncClient(base_url=server.url, api_key=KEY, transport=transport)

        async def ask() -> set[str]:
            jobs = await asyncio.gather(*(client.jobs.get(str(n)) for n in range(10)))
            return {job.id for job in jobs}

        assert asyncio.run(ask()) == asyncio.run(ask()) == {str(n) for n in range(10)}
        asyncio.run(client.close())


@pytest.mark.parametrize("transport", ASYNC)
def test_one_async_client_serves_two_loops_at_once(transport: Any) -> None:
    both = threading.Barrier(2)

    async def ask(client: AsyncClient) -> str:
        first = await client.jobs.get("a")
        both.wait(10)
        return first.id + (await client.jobs.get("b")).id

    with keeping() as server, ThreadPoolExecutor(2) as pool:
        client = AsyncClient(base_url=server.url, api_key=KEY, transport=transport)
        asked = [pool.submit(asyncio.run, ask(client)) for _ in range(2)]
        assert [one.result() for one in asked] == ["ab", "ab"]
        assert server.connections == 2


@pytest.mark.parametrize("transport", ASYNC)
async def test_one_call_after_the_other_uses_one_connection(transport: Any) -> None:
    with keeping() as server:
        async with AsyncClient(base_url=server.url, api_key=KEY, transport=transport) as client:
            for number in range(10):
                await client.jobs.get(str(number))
        assert server.connections == 1


@pytest.mark.parametrize("transport", ASYNC)
async def test_bodies_that_stay_open_leave_room_for_calls(transport: Any) -> None:
    with keeping() as server:
        async with (
            AsyncClient(base_url=server.url, api_key=KEY, transport=transport) as client,
            AsyncExitStack() as open_bodies,
        ):
            for number in range(80):
                streamed = client.jobs.with_streaming_response.get(str(number))
                await open_bodies.enter_async_context(streamed)
            assert (await client.jobs.get("call", timeout=10)).id == "call"
            await open_bodies.aclose()
            for number in range(200):  # what was given back can be used again
                async with client.jobs.with_streaming_response.get(f"again-{number}") as body:
                    assert await body.read() == b'{"id":"again-%d"}' % number


def _answer_of_child(ask: Any) -> str:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, ask().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read().decode()
    os.waitpid(child, 0)
    return answer


@pytest.mark.parametrize("transport", SYNC)
def test_a_fork_does_not_use_the_connections_of_its_parent(transport: Any) -> None:
    with (
        keeping() as server,
        Client(base_url=server.url, api_key=KEY, transport=transport) as client,
    ):
        assert client.jobs.get("parent").id == "parent"
        assert _answer_of_child(lambda: client.jobs.get("child").id) == "child"
        assert server.connections == 2
        # The child has closed nothing of its parent's.
        assert client.jobs.get("again").id == "again"
        assert server.connections == 2


@pytest.mark.parametrize("transport", ASYNC)
def test_a_fork_does_not_use_the_connections_of_its_parents_loop(transport: Any) -> None:
    with keeping() as server:
        client = AsyncClient(base_url=server.url, api_key=KEY, transport=transport)

        async def ask(name: str) -> str:
            return (await client.jobs.get(name)).id

        def child() -> str:
            # The loop of the parent counts as running in the thread that has forked.
            return asyncio.Runner(loop_factory=asyncio.new_event_loop).run(ask("child"))

        with asyncio.Runner() as runner:
            assert runner.run(ask("parent")) == "parent"
            assert _answer_of_child(child) == "child"
            assert server.connections == 2
            assert runner.run(ask("again")) == "again"
            assert server.connections == 2
            runner.run(client.close())


_DROPPED_SYNC = """
import gc, os, sys
from strait import Client
def use():
    client = Client(base_url=sys.argv[1], api_key="k", transport=sys.argv[2])
    assert client.do_request("GET", "/a") == {"id": "a"}
    return client
use(); gc.collect()
kept = use()
child = os.fork()
if child == 0:
    kept.do_request("GET", "/b"); del kept; gc.collect(); sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
if sys.argv[3] == "closed":
    kept.close()
print("done")
"""
_DROPPED_ASYNC = """
import asyncio, gc, logging, sys
from strait import AsyncClient
logging.getLogger("asyncio").setLevel(logging.ERROR)  # of a slow machine we hear nothing
async def use():
    client = AsyncClient(base_url=sys.argv[1], api_key="k", transport=sys.argv[2])
    assert await client.do_request("GET", "/a") == {"id": "a"}
    return client
async def dropped_early():
    await use(); gc.collect()
    for _ in range(20): await asyncio.sleep(0)
async def dropped_at_the_end():
    await asyncio.gather(use(), use())
async def closed():
    await (await use()).close()
asyncio.run({"early": dropped_early, "end": dropped_at_the_end, "closed": closed}[sys.argv[3]]())
gc.collect()
kept = asyncio.run(use())
print("done")
"""


@pytest.mark.parametrize(
    ("code", "transport", "how"),
    [
        *[(_DROPPED_SYNC, name, how) for name in SYNC for how in ("dropped", "closed")],
        *[(_DROPPED_ASYNC, name, how) for name in ASYNC for how in ("early", "end", "closed")],
    ],
)
def test_a_client_that_is_dropped_or_closed_causes_no_warning(
    code: str, transport: str, how: str
) -> None:
    with keeping() as server:
        command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
        done = subprocess.run(
            [*command, server.url, transport, how],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
