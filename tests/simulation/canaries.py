"""A workflow whose next version is given a share of its runs, then all of them, or none."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple

from simulation.machine import Machine
from simulation.setting import PROJECT
from simulation.world import World
from strait.clock import SECOND, from_timestamp, to_timestamp

if TYPE_CHECKING:
    from simulation.calendar import Calendar

CREATED = 201
OLD, NEW = 1, 2
REFS = {OLD: {"s0"}, NEW: {"s0", "s1"}}
"""The steps of each version."""
INTERVAL_SECS = 60
STEPS = (10, 60)
JUDGED_RUNS = 5
"""With fewer runs than this nothing is said of a version."""
_ENDED = ("completed", "failed", "timed_out", "compensated", "compensation_failed")


class Share(NamedTuple):
    """A canary, as the database has it in the end."""

    began: str
    ended: str
    status: str
    traffic_pct: int
    step_at: str
    goes_on: bool


class Canaries(World):
    """Those who bring a new version in.

    Attributes:
        shifting: the id of the workflow.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.shifting = ""

    async def _set_up_canaries(self) -> None:
        steps = [self._job_step("s0", "plain"), self._job_step("s1", "says")]
        body = {"project_id": PROJECT, "name": "Shifting", "slug": "shifting", "steps": steps[:1]}
        said = await self._ask("POST", "/v1/workflows", body)
        self.shifting = said.body["id"]
        await self._ask("PATCH", f"/v1/workflows/{self.shifting}", {"steps": steps})

    def _job_step(self, ref: str, job: str) -> dict[str, Any]:
        return {"step_ref": ref, "step_type": "job", "job_id": self.jobs[job],
                "on_failure": "continue"}  # fmt: skip

    async def _shift(self) -> None:
        """Begin a canary, give it another share, or roll it back, and have it used."""
        for _ in range(self.machine.chance.randint(1, 4)):
            await self._shift_once()
            await self._run_shifting()

    async def _shift_once(self) -> None:
        chance = self.machine.chance
        path = f"/v1/workflows/{self.shifting}/canary"
        match chance.choice(("begin", "begin", "move", "roll back")):
            case "begin":
                body: dict[str, Any] = {"workflow_id": self.shifting, "source_version": OLD}
                body |= {"target_version": NEW, "traffic_pct": chance.choice((0, 30, 70))}
                if chance.random() < 0.6:
                    body["auto_promote"] = {
                        "enabled": True,
                        "steps": STEPS,
                        "interval": INTERVAL_SECS * 10**9,
                        "failure_rate_threshold": 90,
                    }
                said = await self._ask("POST", "/v1/canary-deployments", body)
                if said.status == CREATED and (await self._ask("GET", path)).body != said.body:
                    self.machine.faults.append(f"{path} is not the one that was begun last")
            case "move":
                await self._ask("PATCH", path, {"traffic_pct": chance.choice((0, 50, 90, 100))})
            case _:
                await self._ask("POST", f"{path}/rollback", {})

    async def _run_shifting(self) -> None:
        """Start a few runs, of one version or the other."""
        for _ in range(self.machine.chance.randint(1, 3)):
            number = self._next()
            body = {"payload": {"n": number, "who": "flow"}}
            path = f"/v1/workflows/{self.shifting}/trigger"
            said = await self._insist("POST", path, body, key=f"shifting-{number}")
            if said.status == CREATED:
                self.workflow_runs.append(said.body["id"])


def broken(db: sqlite3.Connection, story: Calendar) -> list[str]:
    """Return which promises were broken."""
    rows = db.execute(
        "SELECT id, created_at, doc ->> 'workflow_version' FROM workflow_runs "
        "WHERE workflow_id = ? AND doc ->> 'retry_of_run_id' IS NULL",
        (story.shifting,),
    )
    shares, found = _shares(db, story), []
    for run, made, version in rows:
        allowed = _versions(shares, made)
        if int(version) not in allowed:
            found.append(f"run {run}, made at {made}, is of version {version}: {shares}")
    refs: dict[str, set[str]] = {}
    versions = {}
    for run, version, ref in db.execute(
        "SELECT workflow_runs.id, workflow_runs.doc ->> 'workflow_version', step_ref "
        "FROM workflow_runs JOIN step_runs ON workflow_run_id = workflow_runs.id "
        "WHERE workflow_id = ?",
        (story.shifting,),
    ):
        refs.setdefault(run, set()).add(ref)
        versions[run] = int(version)
    return [
        *found,
        *(f"run {run} of version {versions[run]} has the steps {sorted(has)}"
          for run, has in refs.items() if has != REFS[versions[run]]),
        *_left_behind(db, story, shares),
    ]  # fmt: skip


def _shares(db: sqlite3.Connection, story: Calendar) -> list[Share]:
    rows = db.execute(
        "SELECT created_at, fields FROM records WHERE kind = 'canary' AND owner_id = ? "
        "ORDER BY rowid",
        (story.shifting,),
    )
    return [
        Share(
            began,
            fields.get("completed_at", ""),
            fields["status"],
            fields["traffic_pct"],
            fields["step_at"],
            bool(fields.get("auto_promote_config")),
        )
        for began, fields in ((began, json.loads(text)) for began, text in rows)
    ]


def _versions(shares: list[Share], made: str) -> set[int]:
    """Return the versions that a run may be of that was made at some instant."""
    before = [share for share in shares if share.began < made]
    if not before:
        return {NEW}
    share = before[-1]
    if not share.ended or made < share.ended:
        gets_nothing = share.traffic_pct == 0 and share.step_at < made
        return {OLD} if gets_nothing and not share.ended else {OLD, NEW}
    return {NEW} if share.status == "completed" else {OLD}


def _left_behind(db: sqlite3.Connection, story: Calendar, shares: list[Share]) -> list[str]:
    """Check that a canary has gone on which goes on by itself, once enough runs were seen."""
    seen_until = to_timestamp(story.quiet_since - 2 * INTERVAL_SECS * SECOND)
    found = []
    for share in shares:
        if share.status != "active" or not share.goes_on:
            continue
        judged = [
            done
            for (done,) in db.execute(
                "SELECT doc ->> 'finished_at' FROM workflow_runs WHERE workflow_id = ? "
                "AND created_at >= ? AND doc ->> 'workflow_version' = ? "
                "AND status IN (SELECT value FROM json_each(?))",
                (story.shifting, share.step_at, NEW, json.dumps(_ENDED)),
            )
        ]
        if len([done for done in judged if done < seen_until]) >= JUDGED_RUNS and (
            from_timestamp(share.step_at) < from_timestamp(seen_until)
        ):
            found.append(f"{share} has not gone on, and {len(judged)} runs have ended")
    return found
