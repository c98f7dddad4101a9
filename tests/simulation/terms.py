"""A third kind of story: what is decided, whose turn it is, and what holds for how long."""

from __future__ import annotations

import sqlite3
from typing import ClassVar

from simulation import archives, batches, gates, invariants, keys, newest, receivers, setting, turns
from simulation.batches import Batches
from simulation.gates import Gates
from simulation.keys import KEYS, Keys
from simulation.newest import Newest
from simulation.scenario import Deed, Story
from simulation.turns import Turns

_DAY = 24 * 3600


class BrokenPromiseError(Exception):
    """The story has shown a fault."""


class Terms(Gates, Turns, Keys, Newest, Batches, Story):
    """What goes on around a platform where much is to be kept to: times, turns, and decisions."""

    PAUSES: ClassVar[tuple[float, ...]] = (0.0, 0.0, 0.01, 1.0, 30.0)

    def _deeds(self) -> list[tuple[Deed, int]]:
        """Return what may happen, and how often it does beside the others."""
        return [
            (self._run_gated, 14), (self._decide, 24), (self._wait_in_line, 12),
            (self._queue_up, 4), (self._use_key, 8), (self._use_key_as_it_ends, 6),
            (self._make_jobs, 4), (self._switch_jobs, 5), (self._trigger_together, 4),
            (self._trigger, 4), (self._act, 3), (self._mend, 2), (self._replay, 2),
            (self._accident, 5), (self._restart, 3), (self._set_clock, 3), (self._fill_disk, 3),
            (self._days_go_by, 6 if self.newest else 2), (self._revive, 3),
            (self._trigger_parent, 6 if self.newest else 1),
        ]  # fmt: skip

    async def _something_happens(self) -> None:
        await super()._something_happens()
        self._look_at_what_is_kept()
        self._look_at_what_is_asked()
        if self.machine.faults:
            raise BrokenPromiseError  # the rest of the story would tell less

    async def _set_up(self) -> None:
        chance = self.machine.chance
        await self._ask("PUT", "/v1/throttles/slow", setting.THROTTLE)
        await self._ask("POST", "/v1/webhooks/subscriptions", receivers.SUBSCRIPTION)
        await self._ask("POST", "/v1/log-drains", receivers.DRAIN)
        bodies = {**setting.jobs(chance), **self.line_jobs(), **self.keyed_jobs()}
        bodies["scheduled"] |= {"cron": ""}
        for kind, body in bodies.items():
            self.jobs[kind] = (await self._ask("POST", "/v1/jobs", body)).body["id"]
        await self._set_up_gates()

    def _begin(self) -> None:
        """Begin without workers: they come in the end, if there is work for them."""

    async def _trigger_parent(self) -> None:
        """Trigger what waits for days, for itself and for what it has started."""
        kind = self.machine.chance.choice(("durable", "spawns"))
        await self._trigger_once(kind, {"n": self._next(), "who": "a"})

    async def _days_go_by(self) -> None:
        await self.machine.clock.sleep(self.machine.chance.choice((0.3, 1.2, 2.0)) * _DAY)

    async def _mend_all(self) -> None:
        await super()._mend_all()
        await self._until_all_is_over()
        if self.newest:
            self.quiet_since = self.machine.stamp()
            await self.machine.clock.sleep(1.3 * _DAY)
            self.quiet_since = self.machine.stamp()
            self._look_at_what_is_kept()

    def broken(self) -> list[str]:
        """Return which promises were broken, once the platform is off."""
        with archives.whole(self.machine.database, self.archive) as db:
            return self._broken(db)

    def _broken(self, db: sqlite3.Connection) -> list[str]:
        freed = tuple(f"key {key} has more than one run" for key in KEYS)
        return [
            *(fault for fault in invariants.broken(db, self) if fault not in freed),
            *gates.broken(db, self),
            *turns.broken(db, self),
            *keys.broken(db, self),
            *batches.broken(db, self),
            *newest.broken(self),
        ]
