"""A thousand attempts at once: what a server hands out that starts again with much in hand."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from strait.serve import platform
from strait.serve.platform import PlatformPool

ATTEMPTS = 300


class Server:
    """Answers each request, and counts connections.

    Attributes:
        connected: how many connections are open.
        most: how many there were at once.
        asked: how often each path was asked for.
    """

    def __init__(self) -> None:
        self.connected = self.most = 0
        self.left = asyncio.Event()
        self.asked: Counter[str] = Counter()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        self.most = max(self.most, self.connected)
        body = b"[]"
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        try:
            while line := await reader.readline():
                await reader.readuntil(b"\r\n\r\n")
                self.asked[line.split()[1].decode()] += 1
                await asyncio.sleep(0)
                writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        finally:
            writer.close()
            self.connected -= 1
            if not self.connected:
                self.left.set()


@pytest.mark.parametrize(("library", "most"), [("aiohttp", ATTEMPTS), ("httpx", 100)])
async def test_all_attempts_share_connections_and_each_gets_its_answer(
    library: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One pool of httpx with 256 connections came to a standstill: each request looked at all.
    monkeypatch.setattr(platform, "find_spec", lambda name: name == library)
    server = Server()
    listening = await asyncio.start_server(server, "127.0.0.1", 0, backlog=1_024)
    port = listening.sockets[0].getsockname()[1]
    pool = PlatformPool(f"http://127.0.0.1:{port}")
    try:
        await asyncio.gather(
            *(pool.runs("token").list_state(f"run-{number}") for number in range(ATTEMPTS))
        )
    finally:
        await pool.close()
        listening.close()
        await server.left.wait()
        await listening.wait_closed()
    assert sum(server.asked.values()) == ATTEMPTS
    assert set(server.asked.values()) == {1}
    assert server.most <= most
