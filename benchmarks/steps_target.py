"""The target of the measurement of steps: a handler that does nothing but record."""

from __future__ import annotations

import time

from strait.authoring import JobOptions, RunContext, define_job

MARK = 1_000


async def at_once(number: int) -> int:
    return number


async def steps(payload: dict[str, int], ctx: RunContext) -> list[float]:
    """Do steps one after the other; return the time at every thousandth."""
    marks = [time.perf_counter()]
    for number in range(1, payload["steps"] + 1):
        await ctx.step("s", at_once, number)
        if number % MARK == 0:
            marks.append(time.perf_counter())
    return marks


job = define_job(JobOptions(name="Steps", slug="steps", run=steps, timeout_secs=600))
