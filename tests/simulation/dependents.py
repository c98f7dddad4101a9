"""Jobs whose runs wait for those of another, under keys or not, while that is made and unmade."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from simulation import setting
from simulation.machine import Machine
from simulation.world import World
from strait.clock import from_timestamp
from strait.fsm import is_terminal_run_status
from strait.store import dependencies as rows

if TYPE_CHECKING:
    from simulation.calendar import Calendar

CREATED = 201
FIRST = "first"
CONDITIONS = ("completed", "failed", "any")
_FAILED = {"failed", "timed_out", "crashed", "system_failed", "expired", "dead_letter"}


class Held(NamedTuple):
    """A run that depends on others: the condition, and the keys that it was triggered under."""

    condition: str
    key: str
    dependency_key: str


class Candidate(NamedTuple):
    """A run of the job that others depend on, as it ended last before some line."""

    made: str
    key: str
    dependency_key: str
    status: str


class Dependents(World):
    """Those who have runs wait for others.

    Attributes:
        held: the runs that depend on others, by id.
        freed: those whose keys somebody may have freed.
        bound: from when to when the jobs surely depended on the first, by condition.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.held: dict[str, Held] = {}
        self.freed: set[str] = set()
        self.bound: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self._bound_since: dict[str, int] = {}
        self._keys_used: list[str] = []

    def dependent_jobs(self) -> dict[str, dict[str, Any]]:
        """Return the bodies of the jobs: the first, and one that waits for it on each condition."""
        chance = self.machine.chance
        made = {FIRST: setting.job(chance, FIRST, "plain")}
        for condition in CONDITIONS:
            made[f"after-{condition}"] = setting.job(chance, f"after-{condition}", "plain")
        return made

    async def _set_up_dependents(self) -> None:
        for condition in CONDITIONS:
            await self._bind(condition)

    async def _bind(self, condition: str) -> None:
        """Have runs wait, whether or not somebody was told before that they do."""
        body = {"depends_on_job_id": self.jobs[FIRST], "condition": condition}
        await self._ask("POST", self._path(condition), body)
        self._bound_since.setdefault(condition, self.machine.stamp())

    async def _unbind(self, condition: str) -> None:
        since = self._bound_since.pop(condition, None)
        if since is not None:
            self.bound[condition].append((since, self.machine.stamp()))
        path = self._path(condition)
        for found in (await self._ask("GET", path)).body["data"]:
            await self._ask("DELETE", f"{path}/{found['id']}")

    def _path(self, condition: str) -> str:
        return f"/v1/jobs/{self.jobs[f'after-{condition}']}/dependencies"

    async def _rebind(self) -> None:
        """Let runs go that wait for others, and have them wait again after a while."""
        chance = self.machine.chance
        condition = chance.choice(CONDITIONS)
        await self._unbind(condition)
        if chance.random() < 0.5:
            await self._follow(condition)
        await self.machine.clock.sleep(chance.choice((0.0, 0.001, 1.0)))
        await self._bind(condition)
        await self._follow(condition)

    async def _precede(self) -> None:
        """Trigger what others wait for."""
        number, chance = self._next(), self.machine.chance
        key = chance.choice((f"pair-{number}", f"pair-{number}", *self._keys_used[-3:]))
        self._keys_used.append(key)
        await self._trigger_under(FIRST, number, key)

    async def _follow_some(self) -> None:
        for _ in range(self.machine.chance.randint(1, 3)):
            await self._follow(self.machine.chance.choice(CONDITIONS))

    async def _follow(self, condition: str) -> None:
        """Trigger what waits for others: for one of its own key, or for any."""
        number, chance = self._next(), self.machine.chance
        key = chance.choice((f"pair-{number}", *self._keys_used[-3:]))
        self._keys_used.append(key)
        await self._trigger_under(f"after-{condition}", number, key, condition)

    async def _trigger_under(self, kind: str, number: int, key: str, condition: str = "") -> None:
        """Trigger a job once: under a key, with one in the payload, or with none."""
        payload: dict[str, Any] = {"n": number, "who": "a"}
        own = shared = ""
        match self.machine.chance.choice(("key", "dependency key", "none", "none")):
            case "key":
                own = key
            case "dependency key":
                payload["dependency_key"] = shared = key
        path = f"/v1/jobs/{self.jobs[kind]}/trigger"
        said = await self._ask("POST", path, {"payload": payload}, key=own)
        # The run that has a key may be older, and was triggered otherwise then.
        if said.status == CREATED and said.body["id"] not in self.acknowledged:
            self.acknowledged.append(said.body["id"])
            if condition:
                self.held[said.body["id"]] = Held(condition, own, shared)

    async def _free_key(self) -> None:
        """Free the key of a run that waits, which then waits for another."""
        with_keys = [run for run, held in self.held.items() if held.key]
        if with_keys:
            run = self.machine.chance.choice(with_keys)
            self.freed.add(run)
            await self._ask("DELETE", f"/v1/runs/{run}/idempotency-key")

    async def _let_all_go(self) -> None:
        """See that nothing waits which might go, then let go of what waits."""
        reader = self.machine._running().reader
        for _ in range(400):
            living = reader.execute("SELECT status FROM runs WHERE job_id = ?", (self.jobs[FIRST],))
            paused = [status for (status,) in living if not is_terminal_run_status(status)]
            if not paused:
                break
            await self._resume_first()
            await self.machine.clock.sleep(600.0)
        await self.machine.settle()
        for condition in CONDITIONS:
            await self._bind(condition)
            for run in rows.held_runs(reader, self.jobs[f"after-{condition}"]):
                said = await self._ask("GET", f"/v1/runs/{run}/dependency-status")
                if said.body["dependencies_satisfied"]:
                    self.machine.faults.append(f"run {run} waits, and what it waits for is over")
        for condition in CONDITIONS:
            await self._unbind(condition)

    async def _resume_first(self) -> None:
        paused = self.machine._running().reader.execute(
            "SELECT id FROM runs WHERE job_id = ? AND status = 'paused'", (self.jobs[FIRST],)
        )
        for (run,) in paused.fetchall():
            await self._ask("POST", f"/v1/runs/{run}/resume", {})


def broken(db: sqlite3.Connection, story: Calendar) -> list[str]:
    """Check that no run was let go before the run had ended as it asks that counts for it."""
    found = []
    lines = db.execute(
        "SELECT subject, id, at, data ->> 'from', data ->> 'to' FROM ledger "
        "WHERE type = 'state_change' AND subject IN (SELECT value FROM json_each(?)) ORDER BY id",
        (json.dumps(sorted(story.held)),),
    )
    waits: set[str] = set()
    seen: set[str] = set()
    for run, place, at, before, after in lines.fetchall():
        is_first = run not in seen
        seen.add(run)
        if is_first and after == "waiting":
            waits.add(run)
            continue
        goes = is_first or (run in waits and before == "waiting" and after == "queued")
        waits.discard(run)
        held = story.held[run]
        spans = story.bound[held.condition]
        if not goes or not any(a < from_timestamp(at) < b for a, b in spans):
            continue
        outcomes = _outcomes(db, story, run, held, place)
        if not any(_fits(held.condition, outcome) for outcome in outcomes):
            found.append(f"run {run}, {held}, was let go at {at} after {outcomes}")
    return found


def _outcomes(
    db: sqlite3.Connection, story: Calendar, run: str, held: Held, place: int
) -> list[str]:
    """Return how the run ended that counts for another, before a line; two if keys were freed."""
    candidates = _ended_before(db, story.jobs[FIRST], place)
    ways = [held] if run not in story.freed else [held, held._replace(key="")]
    found = []
    for way in ways:
        fitting = [
            one
            for one in candidates
            if (one.key == way.key if way.key else way.dependency_key in {"", one.dependency_key})
        ]
        found.append(max(fitting).status if fitting else "")
    return found


def _ended_before(db: sqlite3.Connection, job: str, place: int) -> list[Candidate]:
    found = db.execute(
        "SELECT created_at, coalesce(idempotency_key, ''), "
        "coalesce(doc ->> '$.metadata.dependency_key', ''), (SELECT data ->> 'to' FROM ledger "
        "WHERE subject = runs.id AND type = 'state_change' AND ledger.id < ? "
        "ORDER BY ledger.id DESC LIMIT 1) AS was FROM runs WHERE job_id = ?",
        (place, job),
    )
    return [Candidate(*row) for row in found if row[3] and is_terminal_run_status(row[3])]


def _fits(condition: str, outcome: str) -> bool:
    match condition:
        case "completed":
            return outcome == "completed"
        case "failed":
            return outcome in _FAILED
        case _:
            return bool(outcome)
