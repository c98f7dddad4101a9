"""What is done to many runs at once: cancel all that fit, do again all that are named."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING

from simulation.machine import LostError, Machine
from simulation.setting import KINDS
from simulation.world import World
from strait.fsm import is_terminal_run_status

if TYPE_CHECKING:
    from simulation.calendar import Calendar


class Bulk(World):
    """Those who do everything at once.

    Attributes:
        canceled: the runs that somebody was told are canceled.
        replays: how often somebody was told that a run is done again.
        untold: how often it may have been without anybody being told.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.canceled: set[str] = set()
        self.replays: Counter[str] = Counter()
        self.untold: Counter[str] = Counter()

    async def _cancel_batch(self) -> None:
        """Trigger many runs, and cancel all of them that are not over."""
        chance = self.machine.chance
        job = self.jobs[chance.choice(KINDS)]
        items = [{"payload": {"n": self._next(), "who": "a"}} for _ in range(chance.randint(2, 6))]
        said = await self._ask("POST", f"/v1/jobs/{job}/trigger/bulk", {"items": items})
        if said.status != 201:
            return
        self.acknowledged += [result["id"] for result in said.body["results"]]
        await self.machine.clock.sleep(chance.choice((0.0, 0.001, 1.0)))
        batch = said.body["batch_id"]
        said = await self._ask("POST", "/v1/runs/bulk-cancel-all", {"batch_id": batch})
        self.canceled |= set(said.body["run_ids"])
        rows = self.machine._running().reader.execute(
            "SELECT id, status FROM runs WHERE batch_id = ?", (batch,)
        )
        self.machine.faults += [
            f"run {run} is {status}, and all of its batch are canceled"
            for run, status in rows
            if not is_terminal_run_status(status)
        ]

    async def _cancel_all_of_a_job(self) -> None:
        job = self.jobs[self.machine.chance.choice(KINDS)]
        said = await self._ask("POST", "/v1/runs/bulk-cancel-all", {"job_id": job})
        self.canceled |= set(said.body["run_ids"])

    async def _replay_many(self) -> None:
        """Do runs again, some of them named twice."""
        if not self.acknowledged:
            return
        chance = self.machine.chance
        run_ids = [chance.choice(self.acknowledged) for _ in range(chance.randint(1, 8))]
        try:
            said = await self._ask("POST", "/v1/runs/bulk-replay", {"run_ids": run_ids})
        except LostError:
            self.untold.update(set(run_ids))
            raise
        for result in said.body["results"]:
            if result["status"] == "replayed":
                self.acknowledged.append(result["new_run_id"])
                self.replays[result["original_run_id"]] += 1


def broken(db: sqlite3.Connection, story: Calendar) -> list[str]:
    """Return which promises were broken."""
    rows = db.execute(
        "SELECT doc ->> 'replayed_run_id', count(*) FROM runs "
        "WHERE doc ->> 'replayed_run_id' IS NOT NULL GROUP BY 1"
    )
    made = Counter(dict(rows.fetchall()))
    alive = db.execute(
        "SELECT id, status FROM runs WHERE status != 'canceled' "
        "AND id IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(story.canceled)),),
    )
    return [
        *(f"run {run} is {status}, and somebody was told that it is canceled"
          for run, status in alive),
        *(f"run {run} was done again {made[run]} times, and was to be {story.replays[run]} times"
          for run in made | story.replays
          if not 0 <= made[run] - story.replays[run] <= story.untold[run]),
    ]  # fmt: skip
