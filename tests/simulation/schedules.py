"""Jobs that start by themselves, one for each way to deal with what was missed."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from simulation import setting
from simulation.machine import Machine
from simulation.world import World
from strait.clock import SECOND, from_timestamp

if TYPE_CHECKING:
    from simulation.calendar import Calendar

CATCHUPS = ("skip", "last", "all")
# A tick that is answered later than this was missed.
_MINUTE = 60 * SECOND
# An instant in calm times is seen within this time: a disk may be slow, a start takes its time.
_SEEN = 2 * SECOND
_HOUR = 3600 * SECOND

Span = tuple[int, int]


class Schedules(World):
    """Those who have jobs started by the clock, and switch them off and on.

    Attributes:
        period: how long it is from tick to tick, in microseconds.
        spans: from when to when the schedule of each job was on for certain.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.period = machine.chance.choice((1, 1, 6)) * _HOUR
        self.spans: dict[str, list[Span]] = defaultdict(list)
        self._on_since: dict[str, int] = {}

    def scheduled_jobs(self) -> dict[str, dict[str, Any]]:
        """Return the bodies of the jobs, by the way in which they deal with what was missed."""
        cron = f"0 */{self.period // _HOUR} * * *"
        return {
            f"due-{catchup}": setting.job(self.machine.chance, f"due-{catchup}", "plain")
            | {"cron": cron, "cron_catchup": catchup}
            for catchup in CATCHUPS
        }

    async def _switch_schedule(self) -> None:
        """Pause or disable a job for a while; what comes due meanwhile is not missed."""
        chance = self.machine.chance
        job = self.jobs[f"due-{chance.choice(CATCHUPS)}"]
        off, on = chance.choice(
            (
                (f"/v1/jobs/{job}/pause", f"/v1/jobs/{job}/resume"),
                ("/v1/jobs/batch-disable", "/v1/jobs/batch-enable"),
            )
        )
        body = {"ids": [job]} if "batch" in off else {}
        self._is_off(job)
        await self._ask("POST", off, body)
        await self.machine.clock.sleep(chance.choice((0.0, 1.0, 3700.0)))
        await self._ask("POST", on, body)
        self._is_on(job)

    async def _outage(self) -> None:
        """Cut the power for so long that several ticks are missed."""
        chance, machine = self.machine.chance, self.machine
        await machine.cut_power()
        await machine.clock.sleep(self.period / SECOND * chance.choice((0.5, 1.0, 2.5)))
        await machine.boot()

    async def _switch_all_on(self) -> None:
        for kind in CATCHUPS:
            await self._ask("POST", f"/v1/jobs/{self.jobs[f'due-{kind}']}/resume", {})
        await self._ask("POST", "/v1/jobs/batch-enable", {"ids": list(self.jobs.values())})

    async def _end_schedules(self) -> None:
        for kind in CATCHUPS:
            job = self.jobs[f"due-{kind}"]
            self._is_off(job)
            await self._ask("PATCH", f"/v1/jobs/{job}", {"cron": ""})

    def _is_on(self, job: str) -> None:
        self._on_since.setdefault(job, self.machine.stamp())

    def _is_off(self, job: str) -> None:
        since = self._on_since.pop(job, None)
        if since is not None:
            self.machine.look_back()
            self.spans[job].append((since, self.machine.stamp()))


def broken(db: sqlite3.Connection, story: Calendar) -> list[str]:
    """Return which promises about schedules were broken."""
    rows = db.execute(
        "SELECT job_id, idempotency_key, min(ledger.at) FROM runs "
        "JOIN ledger ON ledger.subject = runs.id WHERE doc ->> 'triggered_by' = 'cron' "
        "GROUP BY runs.id ORDER BY runs.id"
    )
    fired: dict[str, dict[int, int]] = defaultdict(dict)
    for job, key, at in rows:
        fired[job][int(key.rpartition(":")[2]) * SECOND] = from_timestamp(at)
    return [
        fault
        for catchup in CATCHUPS
        for fault in _of_job(story, catchup, fired[story.jobs[f"due-{catchup}"]])
    ]


def _of_job(story: Calendar, catchup: str, fired: dict[int, int]) -> list[str]:
    spans = story.spans[story.jobs[f"due-{catchup}"]]
    found = [
        f"the job that catches up on {catchup} has not started for {tick}"
        for span in spans
        for tick in _owed(story, catchup, span, fired)
    ]
    latest = {"skip": _MINUTE, "last": story.period, "all": 2**62}[catchup]
    found += [
        f"the job that catches up on {catchup} has started for {tick} at {at}"
        for tick, at in fired.items()
        if not tick <= at <= tick + latest + SECOND // 1_000
    ]
    ordered = sorted(fired.items())
    if any(one[1] >= other[1] for one, other in pairwise(ordered)):
        found.append(f"the job that catches up on {catchup} has started in the order {ordered}")
    return found


def _owed(story: Calendar, catchup: str, span: Span, fired: dict[int, int]) -> list[int]:
    """Return the ticks while a schedule was on that should have started its job, and have not."""
    since, until = span
    calm = [(max(a, since), min(b, until)) for a, b in story.machine.calm]
    ticks = [
        tick
        for tick in range(since - since % story.period + story.period, until, story.period)
        if tick not in fired
    ]
    seen = [tick for tick in ticks if any(a < tick and tick + _SEEN < b for a, b in calm)]
    # What was missed is made up for as soon as the platform is back, and stays so for a moment.
    answered_until = max((a for a, b in calm if b - a > _SEEN), default=since)
    missed = [tick for tick in ticks if tick <= answered_until]
    match catchup:
        case "all":
            return seen or missed
        case "last" if missed and missed[-1] + story.period > answered_until:
            return seen or missed[-1:]
        case _:
            return seen
