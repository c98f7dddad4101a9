"""A small reverse proxy, run as a process: ends TLS, and says for whom it asks.

`python -m support.proxy UPSTREAM_PORT PREFIX KEEP CERTIFICATE` prints its port and goes on until
its standard input ends. It adds `X-Forwarded-For` (what it was told in `X-Test-Client`, else its
peer) and `X-Forwarded-Proto`, and takes PREFIX off the path unless KEEP is `keep`.
"""

from __future__ import annotations

import asyncio
import ssl
import sys


async def main(upstream: int, prefix: str, keep: bool, certificate: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _forward(reader, writer, upstream, prefix, keep)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    server.close()


async def _forward(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    upstream: int,
    prefix: str,
    keep: bool,
) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, version = head[0].split(" ")
    if not keep:
        path = path.removeprefix(prefix) or "/"
    fields = [line.partition(":")[::2] for line in head[1:] if line]
    given = {name.lower(): value.strip() for name, value in fields}
    client = given.get("x-test-client", writer.get_extra_info("peername")[0])
    skipped = {"connection", "x-test-client", "x-forwarded-for", "x-forwarded-proto"}
    lines = [f"{name}: {value}" for name, value in given.items() if name not in skipped]
    lines += [f"X-Forwarded-For: {client}", "X-Forwarded-Proto: https", "Connection: close"]
    body = await reader.readexactly(int(given.get("content-length", "0")))
    inner, outer = await asyncio.open_connection("127.0.0.1", upstream)
    outer.write("\r\n".join([f"{method} {path} {version}", *lines, "", ""]).encode() + body)
    try:
        while chunk := await inner.read(65_536):
            writer.write(chunk)
            await writer.drain()
    finally:
        outer.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3] == "keep", sys.argv[4]))
