"""A server in a process of its own, for tests that kill it: `server_process.py DATABASE`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from strait.server.run import Server
from strait.server.settings import Settings
from strait.server.work import api_keys


async def main(database: Path) -> None:
    """Serve until a signal comes; the first line of output says where, and with which key."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Server(Settings(port=0, database=database)) as server:
        _, key = await server.platform.write(
            lambda unit: api_keys.make(
                unit, project_id="proj-1", name="test", scopes=["*"], lifetime_days=None
            )
        )
        ready = {"base_url": server.base_url, "key": key, "pid": os.getpid()}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
