"""Whose turn it is: runs that wait long behind others that are more urgent."""

from __future__ import annotations

import sqlite3
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from simulation import setting
from simulation.world import World
from strait.clock import SECOND, from_timestamp
from strait.engine.queue import MAX_PRIORITY
from strait.server.outbound import Answer
from strait.server.scheduler import PROMOTE_EVERY_SECS
from strait.server.work.promotion import WAIT_SECS

if TYPE_CHECKING:
    from simulation.terms import Terms

# A round is due this soon after what has waited for long enough, and may find the writer at work.
_LATE_SECS = PROMOTE_EVERY_SECS + 30
_URGENT = 3

_QUEUED_AT = (
    "(SELECT at FROM ledger WHERE subject = {}.id AND data ->> 'to' = 'queued' "
    "ORDER BY seq DESC LIMIT 1)"
)


class Turns(World):
    """Those who queue up before a job that does one thing at a time, and takes long for it."""

    def line_jobs(self) -> dict[str, dict[str, Any]]:
        """Return the bodies of the jobs."""
        job = setting.job(self.machine.chance, "line", "lingers")
        only = {"max_concurrency": 1, "max_attempts": 1, "timeout_secs": 3600}
        return {"line": job | only | {"max_concurrency_per_key": 0, "run_ttl_secs": 30 * 24 * 3600}}

    async def _posted(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        if url.endswith("/lingers"):
            self._check_turn(headers["x-run-id"])
            if not self.handlers.healthy:
                await self.machine.clock.sleep(self.machine.chance.choice((5.0, 200.0, 900.0)))
        return await super()._posted(url, headers, body)

    async def _queue_up(self) -> None:
        """Trigger several runs, some of them more urgent than others."""
        for _ in range(self.machine.chance.randint(2, 5)):
            urgent = self.machine.chance.choice((0, _URGENT))
            body = {"payload": {"n": self._next()}, "priority": urgent}
            said = await self._ask("POST", f"/v1/jobs/{self.jobs['line']}/trigger", body)
            if said.status == 201:
                self.acknowledged.append(said.body["id"])

    async def _wait_in_line(self) -> None:
        """Let time go by in which those who wait are promoted, also where the clock is set back."""
        machine = self.machine
        await self._queue_up()
        if machine.chance.random() < 0.3:
            await self._set_back()
            await self._queue_up()
        waited, before = machine.chance.choice((200, 700, 1500)), self._in_line()
        was_full = machine.was_full
        await machine.clock.sleep(float(waited))
        rounds = max(0, waited - WAIT_SECS - _LATE_SECS) // PROMOTE_EVERY_SECS
        after = {} if was_full else self._in_line()
        machine.faults += [
            f"run {run} of priority {urgent} has waited {waited} s, and is of {after[run, since]}"
            for (run, since), urgent in before.items()
            if after.get((run, since), MAX_PRIORITY) < min(MAX_PRIORITY, urgent + rounds)
        ]

    async def _set_back(self) -> None:
        self.was_set_back = True
        self.machine.note("the clock is set back while some wait")
        self.machine.upset()
        self.machine.clock.set(-setting.SET_BACK_SECS)
        self.machine.calm_down()

    def _in_line(self) -> dict[tuple[str, str], int]:
        """Return the priorities of those who wait, by the run and the instant it was queued at."""
        rows = self.machine._running().reader.execute(
            f"SELECT id, {_QUEUED_AT.format('runs')}, doc ->> 'priority' FROM runs "
            # One that its endpoint's circuit breaker puts off is not in line.
            "WHERE job_id = ? AND status = 'queued' AND coalesce(doc ->> 'next_retry_at', '') = ''",
            (self.jobs["line"],),
        )
        return {(run, at): int(priority or 0) for run, at, priority in rows}

    def _check_turn(self, run: str) -> None:
        """Check that nobody is more urgent who was in line when this run began."""
        if self.machine.platform is None or self.machine.was_full:
            return  # a start that was refused is tried again after a while
        rows = self.machine.platform.reader.execute(
            "SELECT other.id, other.doc ->> 'priority', own.doc ->> 'priority' FROM runs AS own "
            "JOIN runs AS other ON other.job_id = own.job_id AND other.status = 'queued' "
            "AND coalesce(other.doc ->> 'next_retry_at', '') = '' "
            f"AND {_QUEUED_AT.format('other')} < own.doc ->> 'started_at' "
            # What is queued by one request is in line one after the other.
            f"AND {_QUEUED_AT.format('other')} != {_QUEUED_AT.format('own')} WHERE own.id = ?",
            (run,),
        )
        # One that waits may have been promoted since.
        self.machine.faults += [
            f"run {run} of priority {own} was begun before {other} of priority {urgent}"
            for other, urgent, own in rows
            if int(urgent or 0) > int(own or 0) + 1
        ]


def broken(db: sqlite3.Connection, story: Terms) -> list[str]:
    """Return which promises were broken."""
    found = []
    rows = db.execute(
        "SELECT id, doc ->> 'priority', payload ->> 'n' FROM runs WHERE job_id = ? "
        "AND doc ->> 'triggered_by' = 'manual' AND NOT EXISTS (SELECT 1 FROM ledger "
        "WHERE subject = runs.id AND data ->> 'next_retry_at' IS NOT NULL)",
        (story.jobs["line"],),
    ).fetchall()
    for run, priority, _ in rows:
        lines = db.execute(
            "SELECT at, data ->> 'to' FROM ledger WHERE subject = ? AND type = 'state_change' "
            "ORDER BY seq",
            (run,),
        ).fetchall()
        waits = [
            (from_timestamp(since), from_timestamp(until))
            for (since, to), (until, _) in pairwise(lines)
            if to == "queued"
        ]
        least = sum(_rounds(wait, story.machine.calm) for wait in waits)
        if int(priority or 0) < min(MAX_PRIORITY, least):
            found.append(f"run {run} of {priority} was to be promoted {least} times: {lines}")
        if not story.was_set_back:
            most = sum(_most_rounds(wait) for wait in waits)
            if int(priority or 0) > _URGENT + most:
                found.append(f"run {run} of {priority} was promoted more than {most} times")
    return found


def _rounds(wait: tuple[int, int], calm: list[tuple[int, int]]) -> int:
    """Return how often a run was promoted at least while it waited."""
    secs = sum(
        max(0, (min(wait[1], ended) - max(wait[0], began)) // SECOND - WAIT_SECS - _LATE_SECS)
        // PROMOTE_EVERY_SECS
        for began, ended in calm
    )
    return max(0, secs)


def _most_rounds(wait: tuple[int, int]) -> int:
    waited = (wait[1] - wait[0]) // SECOND - WAIT_SECS
    return 0 if waited < 0 else waited // PROMOTE_EVERY_SECS + 1
