"""What waits for somebody to decide: approvals, and steps that cost much."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from simulation import setting
from simulation.machine import LostError, Machine
from simulation.setting import PROJECT
from simulation.world import FullError, World
from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.engine.workflows.cost_gates import TIMEOUT_ACTOR
from strait.server.outbound import Answer

if TYPE_CHECKING:
    from simulation.terms import Terms

# What waits for too long is ended this soon once its time is up.
_SOON = 5 * SECOND
_RAN = frozenset({"completed", "failed"})


class Gates(World):
    """Those who have something asked about, and those who decide it: in time, too late, or both.

    Attributes:
        gated: the steps of the workflows that wait for decisions, by their ids.
        told: what was said to whoever decided, by the workflow run and the step.
        by_hand: the workflow runs that somebody has mended.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.gated: dict[str, list[dict[str, Any]]] = {}
        self.told: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.by_hand: set[str] = set()

    async def _posted(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        if url.endswith("/costly"):
            run, usage = headers["x-run-id"], {"provider": "p", "model": "m", "cost_microusd": 900}
            with suppress(LostError):
                path = f"/sdk/v1/runs/{run}/usage"
                await self.machine.ask("POST", path, usage, token=headers["x-run-token"])
        return await super()._posted(url, headers, body)

    async def _set_up_gates(self) -> None:
        job = setting.job(self.machine.chance, "costly", "costly") | {"max_attempts": 1}
        self.jobs["costly"] = (await self._ask("POST", "/v1/jobs", job)).body["id"]
        await self._trigger_once("costly", {"n": self._next(), "who": "a"})
        await self.machine.clock.sleep(5.0)
        for number in range(2):
            body = self._gated(number)
            said = await self._ask("POST", "/v1/workflows", body)
            self.gated[said.body["id"]] = body["steps"]

    def _gated(self, number: int) -> dict[str, Any]:
        chance = self.machine.chance

        def step(ref: str, *after: str, **fields: Any) -> dict[str, Any]:
            policy = chance.choice(("fail_workflow", "skip_dependents", "continue"))
            return {"step_ref": ref, "depends_on": list(after), "on_failure": policy, **fields}

        def job(ref: str, *after: str, kind: str = "plain", **fields: Any) -> dict[str, Any]:
            return step(ref, *after, step_type="job", job_id=self.jobs[kind], **fields)

        gate = {
            "cost_gate_threshold_microusd": 1,
            "cost_gate_timeout_secs": chance.choice((60, 1800)),
            "cost_gate_default_action": chance.choice(("approve", "fail")),
        }
        ask = {"approval_approvers": [], "approval_timeout_secs": chance.choice((60, 1800))}
        steps = [
            job("first"),
            job("gate", *chance.choice(((), ("first",))), kind="costly", **gate),
            step("ask", step_type="approval", **ask),
            job("past-gate", "gate"),
            job("past-ask", "ask"),
            job("past-both", "gate", "ask"),
        ]
        return {"project_id": PROJECT, "name": "G", "slug": f"gated-{number}", "steps": steps}

    async def _run_gated(self) -> None:
        workflow = self.machine.chance.choice(list(self.gated))
        said = await self._ask("POST", f"/v1/workflows/{workflow}/trigger", {"payload": {"n": -4}})
        if said.status == 201:
            self.workflow_runs.append(said.body["id"])

    async def _decide(self) -> None:
        """Decide something that is asked, once or twice, now or as its time ends."""
        machine, chance = self.machine, self.machine.chance
        asked = self._open()
        if not asked:
            await self._run_gated()
            return
        run, ref, until = chance.choice(asked)
        match chance.choice(("now", "now", "now", "as it ends", "without power", "suspended")):
            case "as it ends":
                left = (until - machine.clock.now()) / SECOND
                await machine.clock.sleep(max(0.0, left + chance.choice((-0.01, 0.0, 0.001, 1.0))))
            case "suspended":
                machine.upset()
                machine.clock.go_on_unseen(max(0.0, (until - machine.clock.now()) / SECOND) + 0.1)
                machine.calm_down()
            case "without power":
                await machine.cut_power()
                left = (until - machine.clock.now()) / SECOND
                await machine.clock.sleep(max(0.0, left + chance.choice((-30.0, 1.0))))
                await machine.boot()
        times = chance.choice((1, 1, 2))
        decisions = [self._say(run, ref, chance.choice(("approve", "reject"))) for _ in "x" * times]
        if chance.random() < 0.15:
            decisions.append(self._cut_soon())
        await asyncio.gather(*decisions)

    def _open(self) -> list[tuple[str, str, int]]:
        rows = self.machine._running().reader.execute(
            "SELECT workflow_run_id, step_ref, expires_at FROM approvals "
            "WHERE status = 'pending' AND expires_at != ''"
        )
        return [(run, ref, from_timestamp(until)) for run, ref, until in rows]

    def _look_at_what_is_asked(self) -> None:
        """Check that nothing is asked for whose time is up, while all is well."""
        machine = self.machine
        if machine.platform is None or machine.was_full:
            return
        held = {
            run
            for (run,) in machine.platform.reader.execute(
                "SELECT id FROM workflow_runs WHERE status = 'paused'"
            )
        }
        machine.faults += [
            f"{ref} of {run} is open, and had time until {to_timestamp(until)}"
            for run, ref, until in self._open()
            if run not in held and machine._calm_since + _SOON < until + _SOON < machine.clock.now()
        ]

    async def _cut_soon(self) -> None:
        await self.machine.clock.sleep(self.machine.chance.choice((0.0, 0.0001, 0.002)))
        await self.machine.cut_power()
        await self.machine.boot()

    async def _say(self, run: str, ref: str, what: str) -> None:
        body = {"reason": "no"} if what == "reject" else {}
        with suppress(LostError, FullError):
            said = await self._ask("POST", f"/v1/workflow-runs/{run}/steps/{ref}/{what}", body)
            if said.status == 200:
                self.told[run, ref].add(what)

    async def _mend_one(self, path: str, how: str) -> None:
        self.by_hand.add(path.rpartition("/")[2])
        await super()._mend_one(path, how)  # type: ignore[misc]  # those of `Flows`


class Asked(NamedTuple):
    """An approval, and what became of its step."""

    run: str
    ref: str
    status: str
    until: str
    approved_by: str
    approved_at: str
    step: str
    step_status: str
    finished_at: str

    @property
    def decided_at(self) -> str:
        """When it was decided."""
        return self.approved_at or self.finished_at


def broken(db: sqlite3.Connection, story: Terms) -> list[str]:
    """Return which promises were broken."""
    rows = db.execute(
        "SELECT approvals.workflow_run_id, approvals.step_ref, approvals.status, expires_at, "
        "coalesce(approvals.doc ->> 'approved_by', ''), "
        "coalesce(approvals.doc ->> 'approved_at', ''), step_runs.id, step_runs.doc ->> 'status', "
        "coalesce(step_runs.doc ->> 'finished_at', '') FROM approvals "
        "JOIN step_runs ON step_runs.workflow_run_id = approvals.workflow_run_id "
        "AND step_runs.step_ref = approvals.step_ref"
    )
    asked = [Asked(*row) for row in rows if row[0] not in story.by_hand]
    return [
        *(fault for one in asked for fault in _as_told(one, story)),
        *(fault for one in asked for fault in _in_time(one)),
        *(fault for one in asked for fault in _as_decided(db, one)),
        *_left_open(db, asked, story),
        *_never_asked(db, asked, story),
        *_downstream(db, story),
    ]


def _as_told(one: Asked, story: Terms) -> list[str]:
    """Check that what somebody was told to have decided is decided, and so."""
    told = story.told[one.run, one.ref]
    if len(told) > 1:
        return [f"{one.ref} of {one.run} was approved, and rejected"]
    by_somebody = one.approved_by != TIMEOUT_ACTOR
    return [
        f"{one.ref} of {one.run} was to be {what}d, and is {one.status} by {one.approved_by!r}"
        for what, status in (("approve", "approved"), ("reject", "rejected"))
        if what in told and not (one.status == status and by_somebody)
    ]


def _in_time(one: Asked) -> list[str]:
    """Check that nothing was approved after its time, and nothing ended before it."""
    ended = one.status == "timed_out" or one.approved_by == TIMEOUT_ACTOR
    where = f"{one.ref} of {one.run}, which had time until {one.until}, "
    if ended and one.decided_at < one.until:
        return [f"{where}had no more at {one.decided_at}"]
    if one.status == "approved" and not ended and one.approved_at >= one.until:
        return [f"{where}was approved at {one.approved_at}"]
    return []


def _as_decided(db: sqlite3.Connection, one: Asked) -> list[str]:
    """Check that a step has run if that was approved, and not otherwise."""
    runs = db.execute("SELECT count(*) FROM runs WHERE workflow_step_run_id = ?", (one.step,))
    (count,) = runs.fetchone()
    if one.status != "approved":
        wrong = count or one.step_status not in {"failed", "canceled"}
    elif one.ref == "gate":
        wrong = count != (one.step_status != "canceled") and not (
            count == 1 and one.step_status == "canceled"
        )
    else:
        wrong = one.step_status != "completed"
    if wrong:
        return [f"{one.ref} of {one.run} was {one.status}, is {one.step_status}, had {count} runs"]
    return []


def _left_open(db: sqlite3.Connection, asked: list[Asked], story: Terms) -> list[str]:
    """Check that nothing stays open when its time is up, while all is well."""
    held = {
        run for (run,) in db.execute("SELECT subject FROM ledger WHERE data ->> 'to' = 'paused'")
    }
    return [
        f"{one.ref} of {one.run} had time until {one.until}, and was open until {one.decided_at}"
        for one in asked
        if one.run not in held
        for began, ended in story.machine.calm
        if began <= (until := from_timestamp(one.until)) < ended - _SOON
        if from_timestamp(one.decided_at) > until + _SOON
    ]


def _never_asked(db: sqlite3.Connection, asked: list[Asked], story: Terms) -> list[str]:
    """Check that no step that costs much has run without being asked about."""
    if story.archive is not None:
        return []  # what it costs may be forgotten
    known = {one.step for one in asked}
    rows = db.execute(
        "SELECT workflow_run_id, step_runs.id FROM step_runs JOIN runs "
        "ON runs.workflow_step_run_id = step_runs.id WHERE step_ref = 'gate'"
    )
    return [
        f"the gate of {run} is open"
        for run, step in rows
        if step not in known and run not in story.by_hand
    ]


def _downstream(db: sqlite3.Connection, story: Terms) -> list[str]:
    """Check that what depends on a decision has run exactly if that lets it."""
    found = []
    flows = db.execute("SELECT id, workflow_id, status FROM workflow_runs").fetchall()
    for run, workflow, flow in flows:
        if run in story.by_hand:
            continue
        defined = {step["step_ref"]: step for step in story.gated[workflow]}
        steps = dict(
            db.execute(
                "SELECT step_ref, doc ->> 'status' FROM step_runs WHERE workflow_run_id = ?", (run,)
            ).fetchall()
        )
        for ref, status in steps.items():
            lets = all(
                steps[other] == "completed"
                or (steps[other] in {"failed", "canceled"}
                    and defined[other]["on_failure"] == "continue")
                for other in defined[ref]["depends_on"]
            )  # fmt: skip
            if status in _RAN and not lets:
                found.append(f"{ref} of {run} is {status}, and was not to run: {steps}")
            if flow == "completed" and lets and status == "skipped":
                found.append(f"{ref} of {run} is {status}, and was to run: {steps}")
    return found
