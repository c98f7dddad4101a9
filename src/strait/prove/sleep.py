"""A sleep of three days under a virtual clock: over once, to the second, and never early."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from strait.authoring import JobOptions, RunContext, TriggerJobInput, define_job
from strait.testing import platform

SLEEP = timedelta(days=3)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Slept:
    """What became of a run that was to sleep for `SLEEP`.

    Attributes:
        before: its status a second before its time.
        after: its status at its time.
        slept: how long the platform's clock went on meanwhile.
        prepared: how often its step before the sleep was carried out.
    """

    before: str
    after: str
    slept: timedelta
    prepared: int

    @property
    def faults(self) -> list[str]:
        """What must not be, in words; empty if all is well."""
        found = []
        if self.before != "waiting":
            found.append(f"sleep: a second before its time its run is {self.before}, not waiting")
        if self.after != "completed":
            found.append(f"sleep: after three days its run is {self.after}, not completed")
        if self.prepared != 1:
            found.append(f"sleep: the step before it was carried out {self.prepared} times, not 1")
        return found


def three_days() -> Slept:
    """Let a run sleep for three days, of which nobody waits a second."""
    prepared: list[datetime] = []

    async def prepare() -> None:
        prepared.append(world.now)

    async def remind(payload: object, ctx: RunContext) -> str:
        await ctx.step("prepare", prepare)
        await ctx.sleep(SLEEP)
        return "reminded"

    job = define_job(JobOptions(name="Reminder", slug="reminder", run=remind))
    with platform(job) as world:
        run_id = str(job.trigger(world.client, TriggerJobInput({})).id)
        world.settle()
        world.advance(seconds=(SLEEP - _SECOND).total_seconds())
        before = world.client.runs.get(run_id).status
        world.advance(seconds=_SECOND.total_seconds())
        after = world.client.runs.get(run_id).status
        return Slept(before, after, world.now - prepared[0], len(prepared))
