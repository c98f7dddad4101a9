"""What waits in the queue: while its job changes, for too long, or until its successor comes."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from simulation import setting
from simulation.world import World
from strait.clock import SECOND, to_timestamp

if TYPE_CHECKING:
    from simulation.calendar import Calendar

CREATED = 201
POLICIES = ("pin", "latest", "minor")
OVERLAPS = ("allow", "skip", "cancel_running")
_ACTIVE = {"queued", "delayed", "dequeued", "executing", "waiting"}
# A dispatch may have looked at its job so long before its handler sees it.
_LATE = 2 * SECOND


class Queued(World):
    """Those who change jobs while runs wait, or give them little time."""

    def queued_jobs(self, period_hours: int) -> dict[str, dict[str, Any]]:
        """Return the bodies of the jobs."""
        chance = self.machine.chance
        made = {"hurried": setting.job(chance, "hurried", "plain") | {"max_concurrency": 1}}
        for policy in POLICIES:
            made[f"as-{policy}"] = setting.job(chance, f"as-{policy}", "v1") | {
                "version_policy": policy,
                "max_concurrency": 1,
            }
        for overlap in OVERLAPS:
            made[f"laps-{overlap}"] = setting.job(chance, f"laps-{overlap}", "durable") | {
                "cron": f"30 */{period_hours} * * *",
                "cron_catchup": chance.choice(("skip", "last", "all")),
                "cron_overlap_policy": overlap,
                "run_ttl_secs": 40 * 24 * 3600,
            }
        return made

    async def _hurry(self) -> None:
        """Trigger several runs that are to start soon or never, one after the other."""
        chance = self.machine.chance
        for _ in range(chance.randint(1, 4)):
            number = self._next()
            body: dict[str, Any] = {"payload": {"n": number}, "priority": chance.randint(0, 3)}
            body["ttl_secs"] = chance.choice((5, 60, 1800))
            if chance.random() < 0.2:
                body["scheduled_at"] = self._in_secs(60)
            path = f"/v1/jobs/{self.jobs['hurried']}/trigger"
            said = await self._ask("POST", path, body)
            if said.status == CREATED:
                self.acknowledged.append(said.body["id"])
        if chance.random() < 0.4:
            await self.machine.cut_power()
            await self.machine.clock.sleep(chance.choice((30.0, 3600.0)))
            await self.machine.boot()

    async def _change_version(self) -> None:
        """Trigger a job, change where it is sent while its runs wait, and trigger it again."""
        chance = self.machine.chance
        kind = f"as-{chance.choice(POLICIES)}"
        path = f"/v1/jobs/{self.jobs[kind]}"
        await self._trigger_few(kind)
        version = (await self._ask("GET", path)).body["version"] + 1
        url = f"http://127.0.0.1:9/v{version}"
        body = {"endpoint_url": url, "backwards_compatible": chance.random() < 0.5}
        await self._ask("PATCH", path, body)
        await self._trigger_few(kind)

    async def _trigger_few(self, kind: str) -> None:
        for _ in range(self.machine.chance.randint(1, 3)):
            await self._trigger_once(kind, {"n": self._next(), "who": "a"})

    async def _end_overlaps(self) -> None:
        for overlap in OVERLAPS:
            await self._ask("PATCH", f"/v1/jobs/{self.jobs[f'laps-{overlap}']}", {"cron": ""})


def broken(db: sqlite3.Connection, story: Calendar) -> list[str]:
    """Return which promises were broken."""
    return [*_too_late(db, story), *_versions(db, story), *_overlaps(db, story)]


def _too_late(db: sqlite3.Connection, story: Calendar) -> list[str]:
    """Check that no run was started first after its time, or expired within it."""
    rows = db.execute(
        "SELECT runs.id, doc ->> 'expires_at', "
        "(SELECT at FROM ledger WHERE subject = runs.id AND data ->> 'to' = 'executing' "
        "ORDER BY ledger.id LIMIT 1), (SELECT at FROM ledger WHERE subject = runs.id "
        "AND data ->> 'to' = 'expired') FROM runs "
        "WHERE job_id = ? AND doc ->> 'replayed_run_id' IS NULL AND NOT EXISTS (SELECT 1 "
        "FROM ledger WHERE subject = runs.id AND data ->> 'from' = 'dead_letter')",
        (story.jobs["hurried"],),
    )
    found = []
    for run, until, began, expired in rows:
        if began and began > until:
            found.append(f"run {run} had time until {until}, and was started at {began}")
        if expired and expired < until:
            found.append(f"run {run} had time until {until}, and has expired at {expired}")
    return found


def _versions(db: sqlite3.Connection, story: Calendar) -> list[str]:
    """Check that each dispatch went where the version of its job says that counts for it."""
    found = []
    for policy in POLICIES:
        job = story.jobs[f"as-{policy}"]
        changes = [
            (at, version, bool(compatible))
            for at, version, compatible in db.execute(
                "SELECT doc ->> 'updated_at', version, doc ->> 'backwards_compatible' "
                "FROM job_versions WHERE job_id = ? ORDER BY version",
                (job,),
            )
        ]
        rows = db.execute("SELECT id, doc ->> 'job_version' FROM runs WHERE job_id = ?", (job,))
        for run, own in rows:
            for kind, at in story.handlers.called[run]:
                allowed = _allowed(policy, int(own), changes, at)
                if int(kind.removeprefix("v")) not in allowed:
                    found.append(f"run {run} of v{own}, {policy}, was sent to {kind}: {changes}")
    return found


def _allowed(policy: str, own: int, changes: list[tuple[str, int, bool]], at: int) -> set[int]:
    """Return the versions by which a run may have been dispatched at some instant."""
    if policy == "pin":
        return {own}
    earliest, latest = to_timestamp(at - _LATE), to_timestamp(at)
    before = [change for change in changes if change[0] <= earliest] or changes[:1]
    since = [change for change in changes if earliest < change[0] <= latest]
    return {
        version if policy == "latest" or compatible else own
        for _, version, compatible in (before[-1], *since)
    }


def _overlaps(db: sqlite3.Connection, story: Calendar) -> list[str]:
    """Check that no tick overlaps with runs that are to be left alone, and that others end."""
    found = []
    for overlap in ("skip", "cancel_running"):
        states: dict[str, str] = {}
        doomed: set[str] = set()
        undos: set[str] = set()
        rows = db.execute(
            "SELECT subject, data ->> 'to', doc ->> 'triggered_by', ledger.message FROM ledger "
            "JOIN runs ON runs.id = subject WHERE job_id = ? AND type = 'state_change' "
            "ORDER BY ledger.id",
            (story.jobs[f"laps-{overlap}"],),
        )
        for run, to, by, message in rows.fetchall():
            if run in doomed and to != "canceled":
                found.append(f"run {run} became {to}, and the next one has begun")
            doomed.discard(run)
            active = {
                other
                for other, status in states.items()
                if status in _ACTIVE and not (other in undos and overlap == "cancel_running")
            }
            if run not in states and by == "cron" and active:
                if overlap == "skip":
                    found.append(f"run {run} was started by the clock beside {sorted(active)}")
                doomed |= active
            if by == "undo" and "superseded" in (message or ""):
                found.append(f"run {run} undoes another, and was ended for the next one")
            states[run] = to
            undos |= {run} if by == "undo" else set()
        left = sorted(doomed) if overlap == "cancel_running" else []
        found += [f"run {run} goes on beside the next one" for run in left]
    return found
