"""A small reverse proxy: TLS outside, a path prefix that it takes off, streams as they come."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path


@contextmanager
def proxy(port: int, prefix: str, certificate: Path) -> Iterator[str]:
    """Serve what a server on loopback serves below a prefix; gives the address of the proxy.

    Args:
        port: of the server.
        prefix: such as `/tools/strait`; it is taken off and told as `X-Forwarded-Prefix`.
        certificate: a certificate for `localhost` and its key, in one file.
    """
    ready = threading.Event()
    served: set[asyncio.Task[None]] = set()
    address: list[str] = []
    stop: list[Callable[[], object]] = []

    async def serve() -> None:
        stopping = asyncio.Event()
        stop.append(partial(asyncio.get_running_loop().call_soon_threadsafe, stopping.set))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

        async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await _pass_on(reader, writer, port, prefix)
            except (OSError, asyncio.IncompleteReadError):
                pass  # one of the two went away
            finally:
                await _gone(writer)

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(work(reader, writer))
            served.add(task)
            task.add_done_callback(served.discard)

        server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
        address.append(f"https://localhost:{server.sockets[0].getsockname()[1]}")
        ready.set()
        await stopping.wait()
        server.close()
        for task in list(served):
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)

    # A loop of its own: Playwright has one in the thread of the tests.
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait()
    try:
        yield address[0]
    finally:
        stop[0]()
        thread.join()


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, prefix: str
) -> None:
    """Pass one request on; the connection is closed behind its answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, _, rest = head.partition("\r\n")
    method, path, version = line.split(" ")
    if not path.startswith(f"{prefix}/"):
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        return
    names = ("connection:", "x-forwarded-")
    kept = [each for each in rest.split("\r\n") if each and not each.lower().startswith(names)]
    told = [f"X-Forwarded-Prefix: {prefix}", "X-Forwarded-Proto: https", "Connection: close"]
    inner, onward = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{method} {path.removeprefix(prefix)} {version}", *kept, *told]
    onward.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    body = asyncio.create_task(_copy(reader, onward))
    try:
        await _copy(inner, writer)
    finally:
        body.cancel()
        await _gone(onward)


async def _gone(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(2):
            await writer.wait_closed()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while chunk := await source.read(65_536):
        target.write(chunk)
        await target.drain()
