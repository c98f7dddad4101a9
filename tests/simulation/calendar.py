"""A story of the other kind: of clocks and days, of many at once, and of what happens elsewhere."""

from __future__ import annotations

import sqlite3
from typing import ClassVar

from simulation import (
    archives,
    bulk,
    canaries,
    dependents,
    gatherings,
    invariants,
    queued,
    receivers,
    schedules,
    setting,
    sources,
)
from simulation.archives import Archives
from simulation.bulk import Bulk
from simulation.canaries import Canaries
from simulation.dependents import Dependents
from simulation.gatherings import Gatherings
from simulation.machine import Machine
from simulation.queued import Queued
from simulation.scenario import Deed, Story
from simulation.schedules import CATCHUPS, Schedules
from simulation.sources import Sources
from strait.clock import SECOND


class Calendar(Archives, Schedules, Gatherings, Sources, Canaries, Bulk, Dependents, Queued, Story):
    """What goes on around a platform that is left alone for days.

    Attributes:
        quiet_since: since when nothing was to be done any more, in the end.
        is_of_waits: whether runs wait for others, for too long, and for changes of their jobs too.
    """

    PAUSES: ClassVar[tuple[float, ...]] = (0.0, 0.0, 0.01, 1.0, 30.0, 1900.0)

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.quiet_since = 0
        self.is_of_waits = machine.seed % 8 in {0, 4, 5, 6}

    def _deeds(self) -> list[tuple[Deed, int]]:
        """Return what may happen, and how often it does beside the others."""
        days = 8 if self.archive is not None and self.period > 3600 * SECOND else 0
        waits: list[tuple[Deed, int]] = [
            (self._precede, 8), (self._follow_some, 8), (self._rebind, 5), (self._free_key, 3),
            (self._hurry, 6), (self._change_version, 8),
        ]  # fmt: skip
        return (waits if self.is_of_waits else []) + [
            (self._settle, 10), (self._collect, 10), (self._close_for_a_while, 5),
            (self._trigger_windowed, 8), (self._switch_schedule, 6), (self._outage, 6),
            (self._dispatch, 14), (self._switch_source, 3), (self._send_early, 6),
            (self._await_early, 8), (self._shift, 12), (self._run_shifting, 4),
            (self._cancel_batch, 6), (self._cancel_all_of_a_job, 2), (self._replay_many, 6),
            (self._trigger, 6), (self._move, 3), (self._pause, 3), (self._accident, 8),
            (self._restart, 4), (self._set_clock, 4), (self._fill_disk, 4), (self._revive, 4),
            (self._act, 3), (self._mend, 3), (self._days_go_by, days),
            (self._trigger_durable, 8 if self.archive is not None else 0),
        ]  # fmt: skip

    async def _set_up(self) -> None:
        chance = self.machine.chance
        await self._ask("PUT", "/v1/throttles/slow", setting.THROTTLE)
        await self._ask("POST", "/v1/webhooks/subscriptions", receivers.SUBSCRIPTION)
        await self._ask("POST", "/v1/log-drains", receivers.DRAIN)
        bodies = {**setting.jobs(chance), **self.scheduled_jobs(), **self.gathering_jobs()}
        if self.is_of_waits:
            hours = self.period // (3600 * SECOND)
            bodies |= {**self.dependent_jobs(), **self.queued_jobs(hours)}
        bodies["scheduled"] |= {"cron": ""}
        for kind, body in bodies.items():
            self.jobs[kind] = (await self._ask("POST", "/v1/jobs", body)).body["id"]
        await self._set_up_sources()
        await self._set_up_canaries()
        if self.is_of_waits:
            await self._set_up_dependents()
        for catchup in CATCHUPS:
            self._is_on(self.jobs[f"due-{catchup}"])

    async def _trigger_durable(self) -> None:
        """Trigger what sleeps for days, and waits for what it has started."""
        await self._trigger_once("durable", {"n": self._next(), "who": "a"})

    def _begin(self) -> None:
        """Begin without workers: they come in the end, if there is work for them."""

    async def _calm_down(self) -> None:
        """Switch everything on, and end the schedules."""
        machine = self.machine
        machine.calm_down()
        # What a clock set back has put off comes first.
        await machine.clock.sleep(60.0 + setting.SET_BACK_SECS * machine.clock.times_set_back)
        await self._end_schedules()
        if self.is_of_waits:
            await self._end_overlaps()
        await self._switch_all_on()
        await self._switch_source_on()
        await self._ask("POST", f"/v1/jobs/{self.jobs['collects']}/resume", {})
        for _ in range(5):
            await self._run_shifting()
        await super()._calm_down()
        if self.is_of_waits:
            await self._let_all_go()

    async def _mend_all(self) -> None:
        """Do again what has failed; then let days go by in which nothing happens."""
        if self.archive is not None:
            # What is dead may live again, and what it has started is old by now.
            await self.machine.clock.sleep(3 * 3600.0)
        await super()._mend_all()
        await self._until_all_is_over()
        # A canary has seen then what it goes by.
        set_back = setting.SET_BACK_SECS * self.machine.clock.times_set_back
        await self.machine.clock.sleep(4.0 * canaries.INTERVAL_SECS + set_back)
        self.quiet_since = self.machine.stamp()
        if self.archive is not None:
            await self.machine.clock.sleep(1.3 * archives.DAY)
            self.quiet_since = self.machine.stamp()
            await self._after_the_quiet()

    async def _after_the_quiet(self) -> None:
        """Have something happen when all that was before is gone."""
        await self._trigger_once("plain", {"n": self._next(), "who": "a"})

    def broken(self) -> list[str]:
        """Return which promises were broken, once the platform is off."""
        try:
            with archives.whole(self.machine.database, self.archive) as db:
                return self._broken(db)
        except sqlite3.IntegrityError as error:
            return [f"what was archived has its place no more: {error}"]

    def _broken(self, db: sqlite3.Connection) -> list[str]:
        return [
            *invariants.broken(db, self),
            *schedules.broken(db, self),
            *gatherings.broken(db, self),
            *sources.broken(db, self),
            *canaries.broken(db, self),
            *bulk.broken(db, self),
            *(dependents.broken(db, self) if self.is_of_waits else ()),
            *(queued.broken(db, self) if self.is_of_waits else ()),
            *archives.broken(self),
        ]
