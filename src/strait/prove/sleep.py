"""A sleep of three days under a virtual clock: due once, to the second, never early."""

from __future__ import annotations

from datetime import timedelta

from strait.authoring import JobOptions, RunContext, define_job
from strait.prove.machines import ProofError
from strait.testing import platform

SLEEP = timedelta(days=3)


async def remind(payload: object, ctx: RunContext) -> str:
    """Sleep, and say that it is over."""
    await ctx.sleep(SLEEP, name="three days")
    return "reminded"


def three_days() -> timedelta:
    """Let a run sleep for three days, and return how long it slept.

    Raises:
        ProofError: it woke early, or did not wake.
    """
    job = define_job(JobOptions(name="Reminder", slug="reminder", run=remind))
    with platform() as world:
        world.register(job)
        began = world.now
        run = world.start(job, {})
        world.advance(SLEEP - timedelta(seconds=1))
        if run.status() != "waiting":
            raise ProofError(f"a run that sleeps is {run.status()} one second before its time")
        world.advance(timedelta(seconds=1))
        if run.status() != "completed":
            raise ProofError(f"a run that has slept three days is {run.status()}")
        return world.now - began
