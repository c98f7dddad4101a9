"""Keys that are used again: while their run is there, as it ends, and when it is long over."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from simulation import setting
from simulation.machine import Machine
from simulation.world import World
from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.fsm import is_terminal_run_status

if TYPE_CHECKING:
    from simulation.terms import Terms

_DAY = 24 * 3600
KEYS = ("again-0", "again-1")


class Answered(NamedTuple):
    """Which run a trigger under a key was answered with, and from when to when it was sent."""

    run: str
    key: str
    since: int
    until: int


class Keys(World):
    """Those who derive their keys from what they do, and do it every few days.

    Attributes:
        answered: what they were told.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.answered: list[Answered] = []

    def keyed_jobs(self) -> dict[str, dict[str, Any]]:
        """Return the bodies of the jobs."""
        return {"keyed": setting.job(self.machine.chance, "keyed", "plain")}

    async def _use_key(self) -> None:
        """Trigger under a key once, or twice at the same time."""
        chance = self.machine.chance
        key = chance.choice(KEYS)
        asking = [self._ask_under(key) for _ in range(chance.choice((1, 1, 2)))]
        await asyncio.gather(*asking)

    async def _use_key_as_it_ends(self) -> None:
        """Trigger under a key about when it is free again."""
        machine, chance = self.machine, self.machine.chance
        row = machine._running().reader.execute(
            "SELECT finished_at, idempotency_key FROM runs WHERE job_id = ? "
            "AND idempotency_key IS NOT NULL AND finished_at != '' ORDER BY seq DESC LIMIT 1",
            (self.jobs["keyed"],),
        )
        found = row.fetchone()
        if found is None:
            await self._use_key()
            return
        left = (from_timestamp(found[0]) + _DAY * SECOND - machine.clock.now()) / SECOND
        await machine.clock.sleep(max(0.0, left + chance.choice((-60.0, -0.001, 0.0, 0.001, 60.0))))
        await asyncio.gather(*(self._ask_under(found[1]) for _ in range(2)))

    async def _ask_under(self, key: str) -> None:
        since = self.machine.stamp()
        path = f"/v1/jobs/{self.jobs['keyed']}/trigger"
        said = await self._insist("POST", path, {"payload": {"n": self._next()}}, key=key)
        if said.status == 201 and self.machine.platform is not None:
            self.acknowledged.append(said.body["id"])
            self.answered.append(Answered(said.body["id"], key, since, self.machine.stamp()))


def broken(db: sqlite3.Connection, story: Terms) -> list[str]:
    """Return which promises were broken."""
    rows = db.execute(
        "SELECT id, idempotency_key, created_at FROM runs WHERE job_id = ? "
        "AND idempotency_key IS NOT NULL ORDER BY created_at",
        (story.jobs["keyed"],),
    ).fetchall()
    ends = {run: _ends(db, run) for run, _, _ in rows}
    before: dict[str, list[str]] = defaultdict(list)
    found = []
    for run, key, created_at in rows:
        found += [
            f"run {run} was made under {key} at {created_at}, for which {earlier} answers"
            for earlier in before[key]
            if not _is_free(ends[earlier], created_at)
        ]
        before[key].append(run)
    found += [
        f"{key} was answered with {run} at {to_timestamp(since)}, which was over for a day"
        for run, key, since, until in story.answered
        if run in ends and _is_free(ends[run], to_timestamp(since), to_timestamp(until))
    ]
    keys = {run: key for run, key, _ in rows}
    return found + [
        f"{key} was answered with {run}, which has {keys.get(run)}"
        for run, key, *_ in story.answered
        if keys.get(run) != key
    ]


def _ends(db: sqlite3.Connection, run: str) -> list[tuple[str, str]]:
    rows = db.execute(
        "SELECT at, data ->> 'to' FROM ledger WHERE subject = ? AND type = 'state_change' "
        "ORDER BY seq",
        (run,),
    )
    return rows.fetchall()


def _is_free(lines: list[tuple[str, str]], at: str, until: str = "") -> bool:
    """Return whether a key answers no more for a run at an instant, nor until another."""
    past = [line for line in lines if line[0] <= (until or at)]
    if not past:
        return False
    ended, status = past[-1]
    if not is_terminal_run_status(status):
        return False
    day_before = to_timestamp(from_timestamp(at) - _DAY * SECOND)
    return (status == "expired" and ended < at) or ended < day_before
