"""Triggers that become one run together, by key; and runs that wait for a window of time."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from simulation import setting
from simulation.machine import Machine
from simulation.world import World
from strait import cron
from strait.clock import SECOND, from_timestamp

if TYPE_CHECKING:
    from simulation.calendar import Calendar

SETTLE_SECS = 30
MOST = 3
WINDOW = "30-59 * * * *"
CREATED = 201


class Settled(NamedTuple):
    """A debounced trigger that was let in: its number, its key, and when its run was to be made."""

    number: int
    key: str
    fire_at: int


class Gatherings(World):
    """Those who send many triggers where one run is wanted.

    Attributes:
        settled: the debounced triggers that were let in, in their order.
        collected: those of batches, by number, with their keys.
        turned_away: the numbers of those that were not let in.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.settled: list[Settled] = []
        self.collected: dict[int, str] = {}
        self.turned_away: set[int] = set()

    def gathering_jobs(self) -> dict[str, dict[str, Any]]:
        """Return the bodies of the jobs."""
        chance = self.machine.chance
        return {
            "settles": setting.job(chance, "settles", "plain")
            | {"debounce_window_secs": SETTLE_SECS},
            "collects": setting.job(chance, "collects", "plain")
            | {"batch_window_secs": 60, "batch_max_size": MOST},
            "windowed": setting.job(chance, "windowed", "plain")
            | {"execution_window_cron": WINDOW},
        }

    async def _settle(self) -> None:
        """Send triggers of which the last one counts, each until it is answered."""
        chance = self.machine.chance
        for _ in range(chance.randint(1, 4)):
            number, key = self._next(), chance.choice("ab")
            body = {"payload": {"n": number, "key": key}, "debounce_key": key}
            path = f"/v1/jobs/{self.jobs['settles']}/trigger"
            said = await self._insist("POST", path, body, key=f"settle-{number}")
            if said.status == CREATED:
                self.settled.append(Settled(number, key, from_timestamp(said.body["fire_at"])))
            await self.machine.clock.sleep(chance.choice((0.0, 0.0, 10.0, SETTLE_SECS)))

    async def _collect(self) -> None:
        """Send triggers that become one run together, each until it is answered."""
        chance = self.machine.chance
        for _ in range(chance.randint(1, 5)):
            number, key = self._next(), chance.choice("ab")
            body = {"payload": {"n": number, "key": key}, "batch_key": key}
            path = f"/v1/jobs/{self.jobs['collects']}/trigger"
            said = await self._insist("POST", path, body, key=f"collect-{number}")
            if said.status == CREATED:
                self.collected[number] = key
            else:
                self.turned_away.add(number)
            await self.machine.clock.sleep(chance.choice((0.0, 0.0, 10.0, 70.0)))

    async def _close_for_a_while(self) -> None:
        """Pause the job of batches, some of which become full or due meanwhile."""
        path = f"/v1/jobs/{self.jobs['collects']}"
        await self._ask("POST", f"{path}/pause", {})
        await self.machine.clock.sleep(self.machine.chance.choice((0.0, 1.0, 90.0)))
        if self.machine.chance.random() < 0.5:
            await self._collect()
        await self._ask("POST", f"{path}/resume", {})

    async def _trigger_windowed(self) -> None:
        """Trigger a job that starts in the second half of an hour only."""
        chance, number = self.machine.chance, self._next()
        body: dict[str, Any] = {"payload": {"n": number, "who": "a"}}
        if chance.random() < 0.4:
            body["scheduled_at"] = self._in_secs(chance.choice((1, 1800, 7200)))
        path = f"/v1/jobs/{self.jobs['windowed']}/trigger"
        said = await self._insist("POST", path, body, key=f"windowed-{number}")
        if said.status == CREATED:
            self.acknowledged.append(said.body["id"])
            self.by_key.setdefault(f"windowed-{number}", set()).add(said.body["id"])


def broken(db: sqlite3.Connection, story: Calendar) -> list[str]:
    """Return which promises were broken."""
    return [*_of_settled(db, story), *_of_collected(db, story), *_of_windows(db, story),
            *_too_early(db)]  # fmt: skip


def _of_settled(db: sqlite3.Connection, story: Calendar) -> list[str]:
    """Check that each trigger has a run whom no other followed in its time, and no other has."""
    rows = db.execute("SELECT payload FROM runs WHERE job_id = ?", (story.jobs["settles"],))
    made = Counter(json.loads(payload)["n"] for (payload,) in rows)
    found = [f"debounced trigger {n} has {count} runs" for n, count in made.items() if count > 1]
    for place, trigger in enumerate(story.settled):
        later = [each for each in story.settled[place + 1 :] if each.key == trigger.key]
        is_last = not later or later[0].fire_at - SETTLE_SECS * SECOND > trigger.fire_at
        if later and not is_last and trigger.number in made:
            found.append(f"debounced trigger {trigger} has a run, and {later[0]} has replaced it")
        if not later and trigger.number not in made:
            found.append(f"debounced trigger {trigger} is the last one, and has no run")
    unknown = set(made) - {trigger.number for trigger in story.settled}
    return [*found, *(f"debounced trigger {number} was not let in" for number in unknown)]


def _of_collected(db: sqlite3.Connection, story: Calendar) -> list[str]:
    """Check that each trigger is in one batch of its own key, in its order, not too big."""
    rows = db.execute(
        "SELECT payload FROM runs WHERE job_id = ? AND doc ->> 'replayed_run_id' IS NULL",
        (story.jobs["collects"],),
    )
    batches = [json.loads(payload)["items"] for (payload,) in rows]
    made = Counter(item["n"] for items in batches for item in items)
    return [
        *(f"batched trigger {n} is in {made[n]} batches" for n in sorted({*made, *story.collected})
          if made[n] != (n in story.collected)),
        *(f"batched trigger {n} was turned away" for n in story.turned_away if n in made),
        *(f"{items} are one batch" for items in batches
          if len(items) > MOST or len({item["key"] for item in items}) > 1
          or [item["n"] for item in items] != sorted(item["n"] for item in items)),
    ]  # fmt: skip


def _of_windows(db: sqlite3.Connection, story: Calendar) -> list[str]:
    """Check that runs are put off until their window opens, as long as nobody starts them over."""
    rows = db.execute(
        "SELECT id, created_at, doc ->> 'scheduled_at' FROM runs WHERE job_id = ?",
        (story.jobs["windowed"],),
    )
    return [
        f"run {run} was made at {made} for {at}, outside of its window"
        for run, made, at in rows
        if not cron.matches(WINDOW, "UTC", from_timestamp(at or made))
    ]


def _too_early(db: sqlite3.Connection) -> list[str]:
    """Check that no run has started before it was put off to."""
    rows = db.execute(
        "SELECT runs.id, ledger.at, doc ->> 'scheduled_at' FROM runs "
        "JOIN ledger ON ledger.subject = runs.id AND data ->> 'to' = 'executing' "
        "WHERE coalesce(doc ->> 'scheduled_at', '') > ledger.at AND NOT EXISTS (SELECT 1 "
        "FROM ledger AS later WHERE later.subject = runs.id AND later.seq > ledger.seq "
        "AND later.message LIKE 'rescheduled%')"
    )
    return [f"run {run} has started at {at}, and was to at {due}" for run, at, due in rows]
