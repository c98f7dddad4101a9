"""Real servers and real handler processes for the tests."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvicorn

from strait.signing import sign

from .conftest import SECRET, run_token

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def serving(app):
    """Serve an application on a loopback port."""
    config = uvicorn.Config(app, port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


class Child:
    def __init__(self, process, ready):
        self.process = process
        self.ready = ready

    async def dispatch(self, slug, payload, run_id="run_1", assignment="a"):
        body = json.dumps(payload).encode()
        headers = {
            "X-Run-ID": run_id,
            "X-Run-Token": run_token(assignment_id=assignment),
            "X-Strait-Timestamp": (stamp := str(int(time.time()))),
            "X-Strait-Signature": sign(SECRET, stamp, body),
        }
        async with httpx.AsyncClient(timeout=30) as http:
            return await http.post(
                f"{self.ready['url']}/jobs/{slug}", content=body, headers=headers
            )


@asynccontextmanager
async def child(target, platform_url="http://127.0.0.1:9", *arguments, **environment):
    source = str(ROOT / "src")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "strait.serve.child",
        str(target),
        "--base-url",
        platform_url,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": source, "STRAIT_SIGNING_SECRET": SECRET, **environment},
    )
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        yield Child(process, json.loads(line) if line else {})
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
