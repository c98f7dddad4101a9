"""This client beside others, each in an environment of its own, against the same server.

Environments are made under `.bench/` when they are needed first. What cannot be installed is
said in the table, and fails nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / ".bench"
PROBE = Path(__file__).with_name("probe.py")
PEERS = ("strait-python==0.1.1", "openai", "anthropic", "stripe")
TRANSPORTS = ("httpx", "httpx2", "aiohttp")

Figures = dict[str, float]
HEAD = (
    "| client | import, ms | first client, ms | each next, ms | typed call, µs | list of 100, µs "
    "| async calls/s at 50 | CPU of one, µs |\n|---|---|---|---|---|---|---|---|"
)
_COLUMNS = ("import_ms", "first_ms", "next_ms", "one_us", "many_us", "async_rps", "async_us")

_SERVER = """
import asyncio, json, sys
HEAD = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n"
job = json.loads(sys.argv[1])
one = json.dumps(job).encode()
many = json.dumps({"object": "list", "data": [job] * 100, "has_more": False}).encode()
ONE, MANY = (HEAD % len(body) + body for body in (one, many))
async def answer(reader, writer):
    try:
        while head := await reader.readuntil(b"\\r\\n\\r\\n"):
            writer.write(ONE if b"/one" in head.partition(b"\\r\\n")[0] else MANY)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@contextmanager
def serving(job: dict[str, object]) -> Iterator[str]:
    """Run the server that answers with one job, or with a hundred."""
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER, json.dumps(job)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def environment(peer: str) -> Path | None:
    """Return the interpreter of a peer's environment; None if it cannot be installed."""
    folder = ENVIRONMENTS / peer
    python, stamp = folder / "bin" / "python", folder / ".installed"
    if not stamp.exists():
        # What stripe needs for its asynchronous calls is an extra of it.
        wanted = ["stripe[async]"] if peer == "stripe" else [peer]
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        try:
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            subprocess.run([*pip, *wanted], check=True, timeout=300)
        except (subprocess.SubprocessError, OSError):
            return None
        stamp.touch()
    return python


def probed(python: Path | str, *arguments: str) -> Figures | str:
    """Return what a probe has measured, or the last line of what went wrong."""
    command = [str(python), "-W", "ignore", str(PROBE), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it failed"])[-1][:80]
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def table(job: dict[str, object]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield HEAD
    with serving(job) as url:
        for transport in TRANSPORTS:
            yield _row(f"strait, `{transport}`", probed(sys.executable, "strait", url, transport))
        for peer in PEERS:
            python = environment(peer)
            found = "cannot be installed here" if python is None else probed(python, peer, url)
            yield _row(f"{peer} {version_of(python, peer)}".strip(), found)


def version_of(python: Path | None, peer: str) -> str:
    """Return the version of a peer in its environment, or "" where its name says it."""
    if python is None or "==" in peer:
        return ""
    code = f"from importlib.metadata import version; print(version({peer!r}))"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _row(name: str, found: Figures | str) -> str:
    if isinstance(found, str):
        return f"| {name} | {found} |" + " |" * (len(_COLUMNS) - 1)
    cells = [_figure(column, found) for column in _COLUMNS]
    return f"| {name} | " + " | ".join(cells) + " |"


def _figure(column: str, found: Figures) -> str:
    if column not in found:
        return "-"
    return f"{found[column]:.2f}" if column == "next_ms" else f"{found[column]:.0f}"
