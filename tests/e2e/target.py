"""Handlers for the end-to-end tests; each keeps a line in a journal outside of the platform."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from strait import NonRetryable, RetryAfter
from strait.authoring import (
    JobOptions,
    RunContext,
    SyncRunContext,
    WorkflowOptions,
    approval_step,
    define_job,
    define_workflow,
    job_step,
    sleep_step,
    sub_workflow_step,
    wait_for_event_step,
)

JOURNAL = Path(os.environ.get("E2E_JOURNAL", os.devnull))


def note(line: str) -> None:
    """Append a line to the journal, whole or not at all."""
    with JOURNAL.open("a", encoding="utf-8") as journal:
        journal.write(line + "\n")


async def echo(payload: Any, ctx: RunContext) -> Any:
    return {"payload": payload, "attempt": ctx.attempt}


def slow(payload: Any, ctx: SyncRunContext) -> Any:
    """Work for a while that a test can overtake, and write the end down."""
    note(f"begin {ctx.run_id} {os.getpid()}")
    release = Path(payload["release"])
    while not release.exists():
        time.sleep(0.01)
    try:
        ctx.checkpoint({"by": os.getpid()})
    except Exception as error:
        note(f"refused {ctx.run_id} {os.getpid()} {getattr(error, 'status', '')}")
        raise
    note(f"end {ctx.run_id} {os.getpid()}")
    return {"pid": os.getpid()}


async def fails(payload: Any, ctx: RunContext) -> Any:
    raise ValueError(f"attempt {ctx.attempt} is no good")


async def final(payload: Any, ctx: RunContext) -> Any:
    raise NonRetryable("there is no such order")


async def later(payload: Any, ctx: RunContext) -> Any:
    if ctx.attempt == 1:
        raise RetryAfter(0.2)
    return ctx.attempt


async def completes_itself(payload: Any, ctx: RunContext) -> Any:
    await ctx.complete({"said": "by the handler"})
    return "ignored"


async def waits(payload: Any, ctx: RunContext) -> Any:
    note(f"waits {ctx.run_id}")
    first = await ctx.wait_for_event(f"{payload['key']}")
    second = await ctx.wait_for_event(f"{payload['key']}")
    return [first, second]


def dies(payload: Any, ctx: SyncRunContext) -> Any:
    if ctx.attempt == 1:
        os._exit(11)
    return "alive"


async def hangs(payload: Any, ctx: RunContext) -> Any:
    import asyncio

    await asyncio.Event().wait()


def blocks(payload: Any, ctx: SyncRunContext) -> Any:
    time.sleep(payload["secs"])


async def large(payload: Any, ctx: RunContext) -> Any:
    return "x" * (10 * 1024 * 1024)


async def fans_out(payload: Any, ctx: RunContext) -> Any:
    note(f"fan-out {ctx.run_id}")
    outcomes = await ctx.spawn_many("echo", [{"n": n} for n in range(payload["children"])])
    return [outcome["result"]["payload"]["n"] for outcome in outcomes]


JOBS = [
    define_job(JobOptions(name=slug, slug=slug, run=handler, **options))
    for slug, handler, options in [
        ("echo", echo, {}),
        ("slow", slow, {"max_attempts": 1}),
        ("fails", fails, {"max_attempts": 2}),
        ("final", final, {}),
        ("later", later, {}),
        ("completes-itself", completes_itself, {}),
        ("waits", waits, {"max_attempts": 1}),
        ("dies", dies, {}),
        ("hangs", hangs, {"timeout_secs": 1, "max_attempts": 1}),
        ("blocks", blocks, {"timeout_secs": 3, "max_attempts": 1}),
        ("large", large, {}),
        ("fans-out", fans_out, {}),
    ]
]

CHILD = define_workflow(
    WorkflowOptions(name="Child", slug="child", steps=[job_step("inner", "echo")])
)
EVERY_STEP = define_workflow(
    WorkflowOptions(
        name="Every step",
        slug="every-step",
        steps=[
            job_step("job", "echo"),
            approval_step("approve", depends_on=["job"]),
            sleep_step("nap", 1, depends_on=["approve"]),
            wait_for_event_step("event", "order:{{id}}", depends_on=["nap"]),
            sub_workflow_step("sub", "child", depends_on=["event"]),
            job_step("last", "echo", depends_on=["sub"]),
        ],
    )
)
