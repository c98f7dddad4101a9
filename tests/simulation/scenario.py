"""One seed's story: jobs, workflows, people and accidents, until everything has come to its end."""

from __future__ import annotations

import logging
import random
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeAlias

from simulation import invariants, receivers, setting
from simulation.accidents import Accidents
from simulation.crew import simulated
from simulation.errors import Errors
from simulation.flows import Flows
from simulation.machine import LostError, Machine, seeded
from simulation.people import People
from simulation.setting import KINDS, PROJECT
from simulation.time import run as run_in_simulated_time
from simulation.world import FullError
from strait.server.unit import Unit
from strait.server.work import api_keys
from strait.store import meta

Deed: TypeAlias = Callable[[], Awaitable[None]]


@dataclass
class Outcome:
    """What became of a seed."""

    seed: int
    digest: str
    faults: list[str]
    lines: list[str] = field(repr=False)
    runs: int = 0
    starts: int = 0


class Story(People, Flows, Accidents):
    """Everything that goes on around the platform, from its first start to the last."""

    PAUSES: ClassVar[tuple[float, ...]] = (0.0, 0.0, 0.01, 1.0, 30.0)

    async def tell(self) -> None:
        """Set up, let everything happen, and bring it to its end."""
        machine = self.machine
        await machine.boot()
        self.token = await machine._inside(machine._running().write(_project_and_key))
        self.handlers.users_token = self.token
        self.handlers.healthy = True
        await self._set_up()
        self._begin()
        self.handlers.healthy = False
        for _ in range(machine.chance.randint(15, 45)):
            await machine.clock.sleep(machine.chance.choice(self.PAUSES))
            await self._something_happens()
        self.handlers.healthy = True
        machine.free_disk()
        self.crew.recover()
        await machine.clock.sleep(1.0)
        self.calm_after = invariants.newest_line(machine._running().reader)
        await self._calm_down()
        await machine.clock.sleep(invariants.WORKERS_BACK_SECS)
        self.workers_back_after = invariants.newest_line(machine._running().reader)
        await self._until_all_is_over()
        await self._mend_all()
        await self._until_all_is_over()
        await self.crew.rest()
        # Pauses go by the wall clock, and are longer by as much as that is set back.
        set_back = setting.SET_BACK_SECS * machine.clock.times_set_back
        await machine.clock.sleep(receivers.LATEST_SECS + set_back)
        # What is on disk may not have been told as yet.
        await machine.settle()
        machine.faults += self._still_counted()
        await machine.shut_down()

    async def _something_happens(self) -> None:
        chance = self.machine.chance
        deeds, weights = zip(*self._deeds(), strict=True)
        event = chance.choices(deeds, weights)[0]
        try:
            await event()
        except (LostError, FullError):
            self.machine.note("no answer")
            if self.machine.platform is None:
                await self.machine.boot()

    def _deeds(self) -> list[tuple[Deed, int]]:
        """Return what may happen, and how often it does beside the others."""
        return [
            (self._trigger, 26), (self._gather, 10), (self._run_workflow, 10), (self._send, 10),
            (self._cancel, 5), (self._pause, 4), (self._act, 6), (self._mend, 10),
            (self._accident, 9), (self._set_clock, 3), (self._replay, 3), (self._fill_disk, 5),
            (self._revive, 4), (self._restart, 4), (self._trigger_many, 4), (self._move, 5),
            (self._overwork, self._load),
        ]  # fmt: skip

    def broken(self) -> list[str]:
        """Return which promises were broken, once the platform is off; none is what is expected."""
        with closing(sqlite3.connect(self.machine.database)) as db:
            return invariants.broken(db, self)

    def _begin(self) -> None:
        """Have those begin who go on by themselves."""
        self.crew.work()

    async def _set_up(self) -> None:
        chance = self.machine.chance
        await self._ask("PUT", "/v1/throttles/slow", setting.THROTTLE)
        await self._ask("POST", "/v1/webhooks/subscriptions", receivers.SUBSCRIPTION)
        await self._ask("POST", "/v1/log-drains", receivers.DRAIN)
        for kind, body in setting.jobs(chance).items():
            self.jobs[kind] = (await self._ask("POST", "/v1/jobs", body)).body["id"]
        for number in range(3):
            body = setting.workflow(chance, number, self.jobs, self.workflows)
            said = await self._ask("POST", "/v1/workflows", body)
            self.workflows.append(said.body["id"])

    async def _calm_down(self) -> None:
        """Resume all jobs, and end the schedules."""
        for kind in KINDS:
            await self._ask("POST", f"/v1/jobs/{self.jobs[kind]}/resume", {})
        for path in [f"jobs/{self.jobs['scheduled']}", *(f"workflows/{w}" for w in self.workflows)]:
            await self._ask("PATCH", f"/v1/{path}", {"cron": ""})

    async def _mend_all(self) -> None:
        """Do again or undo what has failed, now that nothing goes wrong any more."""
        if await self._dead_letters():
            await self._ask("POST", "/v1/runs/bulk-dlq-replay", {"project_id": PROJECT})
            await self._until_all_is_over()
        said = await self._ask("GET", "/v1/workflow-runs?limit=20&status=failed")
        for run in said.body["data"]:
            how = self.machine.chance.choice(("retry", "compensate", "compensate", "step"))
            await self._mend_one(f"/v1/workflow-runs/{run['id']}", how)


def _project_and_key(unit: Unit) -> str:
    project = meta.Project(
        id=PROJECT, org_id="org-1", name="Test", created_at=unit.stamp, updated_at=unit.stamp
    )
    meta.put_project(unit.db, project)
    return api_keys.make(unit, project_id=PROJECT, name="all", scopes=["*"], lifetime_days=None)[1]


def simulate(seed: int, kind: type[Story] = Story) -> Outcome:
    """Tell the story of a seed, of a kind of stories, and check what it leaves behind."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        machine = Machine(seed, Path(directory))
        story = kind(machine)
        errors = Errors(machine)
        logger = logging.getLogger("strait")
        logger.addHandler(errors)
        propagates, logger.propagate = logger.propagate, False
        try:
            with seeded(random.Random(seed)), simulated(story.crew, machine):
                run_in_simulated_time(story.tell(), machine.clock)
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed that shows it is told
            machine.faults.append(f"it ended with {error!r}")
        finally:
            logger.removeHandler(errors)
            logger.propagate = propagates
        faults = machine.faults or story.broken()
        return Outcome(
            seed,
            machine.digest,
            faults,
            machine.lines,
            runs=len(story.acknowledged),
            starts=machine.starts,
        )
