"""The table of what a handler can do, against the embedded platform: `strait dev` and its child."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys

import pytest

from strait import AsyncClient
from strait.errors import ApiError

from .processes import ROOT

pytestmark = pytest.mark.e2e

TARGET = """
import asyncio, os, threading
from pathlib import Path
from strait.authoring import JobOptions, define_job
from strait.errors import NonRetryable, RetryAfter

async def waits(payload, ctx):
    first = await ctx.wait_for_event("a")
    other = await ctx.wait_for_event("b")
    return [first, other, await ctx.wait_for_event("a")]

def waits_in_a_thread(payload, ctx):
    return ctx.wait_for_event("s")

async def parent(payload, ctx):
    many = await ctx.spawn_many("child", [{"n": n} for n in range(5)])
    one = await ctx.spawn("child", payload={"n": 100}, await_completion=True)
    return [child.get("result", child.get("error")) for child in [*many, one]]

def child(payload, ctx):
    with open("children.txt", "a") as file:
        file.write(f"{payload['n']}\\n")
    if payload["n"] == 3:
        raise NonRetryable("three")
    return payload["n"] * 2

async def again(payload, ctx):
    if ctx.attempt == 1:
        raise RetryAfter(0)
    if ctx.attempt == 2:
        raise ValueError("second")
    return [ctx.attempt, ctx.previous_error]

async def late(payload, ctx):
    await asyncio.Event().wait()

async def not_json(payload, ctx):
    return {1, 2}

async def completes(payload, ctx):
    ctx.logger.warning("careful")
    await ctx.complete({"done": True})
    raise ValueError("not looked at")

def dies(payload, ctx):
    if ctx.attempt == 1:
        os._exit(7)
    return "alive"

def job(run, **options):
    slug = run.__name__
    return define_job(JobOptions(name=slug, slug=slug, run=run, **options))

jobs = [job(run) for run in (waits, waits_in_a_thread, parent, child, again, not_json, completes,
                             dies)]
jobs.append(job(late, timeout_secs=1, max_attempts=1))
"""


@contextlib.asynccontextmanager
async def platform(directory):
    """Run `strait dev` on a directory and give a client of it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "strait.cli", "dev", str(directory)),
        *("--port", "0", "--ephemeral", "--json"),
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    try:
        said = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
        async with AsyncClient(base_url=said["base_url"], api_key=said["api_key"]) as client:
            yield client
    finally:
        process.terminate()
        await process.communicate()


async def outcome(client, slug, *events):
    """Run a job, send it events when it waits for them, and return the run as it ended."""
    (job,) = await client.jobs.list(slug=slug)
    run_id = (await client.jobs.trigger(job.id, payload={}))["id"]
    for key, payload in events:
        await until_waiting(client, run_id)
        await client.event_triggers.send(key, payload=payload)
    # The stream of a run that has ended is refused with 410.
    with contextlib.suppress(ApiError):
        async with client.runs.stream(run_id) as changes:
            async for _ in changes:
                pass
    return await client.runs.get(run_id)


async def until_waiting(client, run_id):
    async with client.runs.stream(run_id) as changes:
        if (await client.runs.get(run_id)).status == "waiting":
            return
        async for change in changes:
            if change.get("to") == "waiting":
                return


@pytest.fixture
def target(tmp_path):
    (tmp_path / "main.py").write_text(TARGET)
    return tmp_path


async def test_every_way_in_which_a_handler_can_end(target):
    async with platform(target) as client:
        waited = await outcome(client, "waits", ("a", "A"), ("b", {"x": 1}), ("a", None))
        assert (waited.status, waited.result) == ("completed", ["A", {"x": 1}, None])
        threaded = await outcome(client, "waits_in_a_thread", ("s", 5))
        assert (threaded.status, threaded.result) == ("completed", 5)
        retried = await outcome(client, "again")
        assert (retried.status, retried.result) == ("completed", [3, "ValueError: second"])
        refused = await outcome(client, "not_json")
        assert refused.status == "failed"
        assert "`set`" in refused.error
        stood = await outcome(client, "completes")
        assert (stood.status, stood.result) == ("completed", {"done": True})
        logged = [event async for event in client.runs.list_events(stood.id)]
        assert "careful" in [event.message for event in logged]
        late = await outcome(client, "late")
        assert late.status == "timed_out"


async def test_children_are_started_once_and_waited_for(target):
    async with platform(target) as client:
        parent = await outcome(client, "parent")
        assert parent.status == "completed"
        assert parent.result == [0, 2, 4, "three", 8, 200]
    started = sorted((target / "children.txt").read_text().split(), key=int)
    assert started == ["0", "1", "2", "3", "4", "100"]


async def test_a_handler_that_kills_its_process_is_run_again(target):
    async with platform(target) as client:
        survived = await outcome(client, "dies")
        assert (survived.status, survived.result) == ("completed", "alive")
        assert survived.attempt == 2
