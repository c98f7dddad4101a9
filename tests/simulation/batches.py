"""What is done to several jobs or runs with one request, in the midst of which the power goes."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from simulation import setting
from simulation.machine import LostError, Machine
from simulation.setting import PROJECT
from simulation.world import FullError, World

if TYPE_CHECKING:
    from simulation.terms import Terms


class Batches(World):
    """Those who ask for many things at once: all of them are done, or none.

    Attributes:
        sets: the slugs of the jobs that were to be made together, by what they begin with.
        made: of which of them somebody was told that they are.
        filled: how many runs were to be made together, by the tag that they have.
        acknowledged_tags: of which of those somebody was told that they are made.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.sets: dict[str, int] = {}
        self.made: dict[str, list[str]] = {}
        self.filled: dict[str, int] = {}
        self.acknowledged_tags: set[str] = set()

    async def _make_jobs(self) -> None:
        """Make several jobs at once; one of them may be wrong, and is not made."""
        chance = self.machine.chance
        name = f"set-{self._next()}"
        count = chance.randint(2, 5)
        jobs: list[dict[str, Any]] = [
            setting.job(chance, f"{name}.{number}", "plain") for number in range(count)
        ]
        if chance.random() < 0.3:
            jobs.insert(chance.randint(0, count), {"project_id": PROJECT, "name": "", "slug": ""})
        self.sets[name] = count
        said = await self._in_danger("POST", "/v1/jobs/batch", {"jobs": jobs})
        if said is not None and said[0] == 201:
            self.made[name] = [job["id"] for job in said[1]["created"]]
            if len(self.made[name]) != count:
                self.machine.faults.append(f"of {name} {self.made[name]} are made, not {count}")

    async def _switch_jobs(self) -> None:
        """Enable or disable the jobs of a set, and see that they are all the same then."""
        if not self.made:
            await self._make_jobs()
            return
        chance = self.machine.chance
        ids = self.made[chance.choice(sorted(self.made))]
        what = chance.choice(("disable", "enable"))
        said = await self._in_danger("POST", f"/v1/jobs/batch-{what}", {"ids": ids})
        states = {
            bool(enabled)
            for job in ids
            for (enabled,) in self.machine._running().reader.execute(
                "SELECT coalesce(doc ->> 'enabled', true) FROM jobs WHERE id = ?", (job,)
            )
        }
        if len(states) > 1 or (said is not None and states != {what == "enable"}):
            self.machine.faults.append(f"{ids} are {states}, to be {what}d: {said}")

    async def _trigger_together(self) -> None:
        """Trigger many runs without keys, once."""
        chance = self.machine.chance
        tag, count = f"together-{self._next()}", chance.randint(2, 8)
        self.filled[tag] = count
        items = [{"payload": {"n": -5, "who": "a"}, "tags": {"together": tag}}] * count
        path = f"/v1/jobs/{self.jobs['plain']}/trigger/bulk"
        said = await self._in_danger("POST", path, {"items": items})
        if said is not None and said[0] == 201:
            self.acknowledged_tags.add(tag)
            self.acknowledged += [result["id"] for result in said[1]["results"]]

    async def _in_danger(self, method: str, path: str, body: object) -> tuple[int, Any] | None:
        """Ask, and sometimes have the power go meanwhile; return what was said, if anything."""
        machine, chance = self.machine, self.machine.chance
        asking = asyncio.ensure_future(self._asked_once(method, path, body))
        if chance.random() < 0.5:
            await machine.clock.sleep(chance.choice((0.0, 0.0001, 0.001, 0.005)))
            await machine.cut_power()
            await machine.boot()
        return await asking

    async def _asked_once(self, method: str, path: str, body: object) -> tuple[int, Any] | None:
        with suppress(LostError, FullError):
            said = await self._ask(method, path, body)
            return said.status, said.body
        return None


def broken(db: sqlite3.Connection, story: Terms) -> list[str]:
    """Return which promises were broken."""
    found = []
    for name, count in story.sets.items():
        query = "SELECT count(*) FROM jobs WHERE substr(slug, 1, ?) = ?"
        (made,) = db.execute(query, (len(name) + 1, f"{name}.")).fetchone()
        if made not in ((count,) if name in story.made else (0, count)):
            found.append(f"{made} of {count} jobs of {name} are made")
    for tag, count in story.filled.items():
        # Those that are done again have the tags of the first.
        query = (
            "SELECT count(*) FROM runs WHERE doc ->> '$.tags.together' = ? "
            "AND doc ->> 'replayed_run_id' IS NULL AND doc ->> 'triggered_by' = 'manual'"
        )
        (made,) = db.execute(query, (tag,)).fetchone()
        if made not in ((count,) if tag in story.acknowledged_tags else (0, count)):
            found.append(f"{made} of {count} runs of {tag} are made")
    return found
