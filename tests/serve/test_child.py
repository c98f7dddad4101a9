"""The process of the handlers: real processes, real sockets."""

from __future__ import annotations

import asyncio
import json
import signal

import httpx
import pytest

from .conftest import SECRET, Platform
from .processes import child, serving

pytestmark = pytest.mark.e2e

TARGET = """
import asyncio, os, sys, threading
from strait.authoring import JobOptions, WorkflowOptions, define_job, define_workflow, job_step
print("printed while it is imported")

async def double(payload, ctx):
    print("printed by a handler")
    await ctx.checkpoint({"n": payload["n"]})
    return payload["n"] * 2

def block(payload, ctx):
    ctx.heartbeat()
    threading.Event().wait(payload["secs"])
    return "done"

def die(payload, ctx):
    os._exit(7)

double = define_job(JobOptions(name="Double", slug="double", run=double))
block = define_job(JobOptions(name="Block", slug="block", run=block))
die = define_job(JobOptions(name="Die", slug="die", run=die))
flow = define_workflow(WorkflowOptions(name="W", slug="w", steps=[job_step("a", double)]))
"""


@pytest.fixture
def target(tmp_path):
    file = tmp_path / "main.py"
    file.write_text(TARGET)
    return tmp_path


async def test_it_says_where_it_is_and_what_it_has_and_runs_handlers(target):
    platform = Platform()
    async with serving(platform) as address, child(target, address) as it:
        assert [job["slug"] for job in it.ready["jobs"]] == ["double", "block", "die"]
        assert it.ready["workflows"][0]["settings"]["steps"][0]["job_id"] == "double"
        assert it.ready["pid"] == it.process.pid
        answer = await it.dispatch("double", {"n": 21})
        assert (answer.status_code, answer.json()) == (200, 42)
        assert platform.bodies("checkpoint") == [{"state": {"n": 21}, "source": "sdk"}]
        assert (await it.dispatch("double", {"n": 21})).status_code == 409
        it.process.stdin.close()
        stderr = (await it.process.stderr.read()).decode()
        assert (await it.process.wait(), await it.process.stdout.read()) == (0, b"")
    assert "printed while it is imported" in stderr
    assert "printed by a handler" in stderr
    assert SECRET not in stderr + json.dumps(it.ready)


@pytest.mark.parametrize("how", ["its parent goes", "it is told to"])
async def test_when_it_ends_a_running_handler_is_finished_first(target, how):
    platform = Platform()
    async with serving(platform) as address, child(target, address) as it:
        answer = asyncio.create_task(it.dispatch("block", {"secs": 0.5}))
        await asyncio.wait_for(platform.heartbeat.wait(), 20)
        if how == "it is told to":
            it.process.send_signal(signal.SIGTERM)
        else:
            it.process.stdin.close()
        assert (await answer).json() == "done"
        assert await asyncio.wait_for(it.process.wait(), 20) == 0


async def test_a_handler_that_never_returns_does_not_keep_it(target):
    platform = Platform()
    async with serving(platform) as address, child(target, address, "--grace-secs", "1") as it:
        answer = asyncio.create_task(it.dispatch("block", {"secs": 600}))
        await asyncio.wait_for(platform.heartbeat.wait(), 20)
        it.process.stdin.close()
        assert await asyncio.wait_for(it.process.wait(), 20) == 0
        await asyncio.wait([answer])
        assert answer.exception() is not None or answer.result().status_code >= 500


async def test_a_handler_that_kills_it_is_seen_by_the_caller(target):
    async with child(target) as it:
        with pytest.raises(httpx.TransportError):
            await it.dispatch("die", {})
        assert await it.process.wait() == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [("1/0", "ZeroDivisionError: division by zero"), ("x = 1", "defines no jobs")],
)
async def test_a_target_that_cannot_be_served_is_told_on_the_same_line(tmp_path, text, message):
    (tmp_path / "main.py").write_text(text)
    async with child(tmp_path) as it:
        assert message in it.ready["error"]["message"]
        assert it.ready["error"]["type"] == "DiscoveryError"
        assert await it.process.wait() == 2
