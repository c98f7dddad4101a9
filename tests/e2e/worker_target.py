"""Jobs for a worker; each keeps a line in a journal outside of the platform."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from strait.authoring import JobOptions, RunContext, define_job
from tests.e2e.target import note


async def quiet(payload: Any, ctx: RunContext) -> Any:
    """Work without a word to the platform."""
    note(f"begin {ctx.run_id}")
    await asyncio.sleep(payload["secs"])
    note(f"end {ctx.run_id}")
    return {"n": payload["n"]}


async def steps(payload: Any, ctx: RunContext) -> Any:
    """Do four things, each recorded, and note when each was done and when it was recorded."""
    for number in range(4):
        await ctx.step(f"step-{number}", note, f"did {ctx.run_id} {number}")
        note(f"recorded {ctx.run_id} {number}")
        await asyncio.sleep(payload["secs"])
    return {"n": payload["n"]}


async def patient(payload: Any, ctx: RunContext) -> Any:
    """Wait for a file, or to be told to end."""
    note(f"begin {ctx.run_id}")
    release = Path(payload["release"])
    while not release.exists():  # noqa: ASYNC240 - it takes no time
        if ctx.cancelled:
            note(f"told {ctx.run_id} {ctx.cancel_reason}")
            return None
        await asyncio.sleep(0.01)
    return "released"


JOBS = [
    define_job(
        JobOptions(
            name=run.__name__,
            slug=run.__name__,
            run=run,
            execution_mode="worker",
            max_attempts=20,
            retry_strategy="fixed",
            timeout_secs=60,
        )
    )
    for run in (quiet, steps, patient)
]
