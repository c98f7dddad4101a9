"""Workflows outlive the server: each stage of a run, one server after the other on one file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from strait.clock import VirtualClock
from strait.server.unit import Unit
from support.handlers import Answer, Gate, Handlers, Received
from support.workflows import Flows, approval, child, event, sleep
from support.world import world

HOUR = 3600


class Lives:
    """One database under one server after the other, in one virtual time."""

    def __init__(self, handlers: Handlers, database: Path) -> None:
        self.clock = VirtualClock()
        self._handlers = handlers
        self._database = database
        self._stack = AsyncExitStack()

    async def begin(self) -> Flows:
        """Start a server."""
        made = world(self._handlers, self._database, clock=self.clock)
        return Flows(await self._stack.enter_async_context(made))

    async def end(self) -> None:
        """Stop the server."""
        await self._stack.aclose()

    async def restart(self, down_secs: float = 0) -> Flows:
        """Stop the server, let time pass without one, and start the next one."""
        await self.end()
        self.clock.advance(down_secs)
        flows = await self.begin()
        await flows.world.settled()
        return flows


@pytest.fixture
async def lives(handlers: Handlers, tmp_path: Path) -> AsyncIterator[Lives]:
    made = Lives(handlers, tmp_path / "strait.db")
    yield made
    await made.end()


# ------------------------------------------------------------------------------------ every stage

JOBS = ("a", "x", "last")
STAGES = ("a", "ok", "nap", "e", "x", "last")


class Journey:
    """A run of a workflow with a step of every type, step by step."""

    def __init__(self, flows: Flows) -> None:
        self.flows = flows
        self.gates = {ref: flows.hold(ref) for ref in JOBS}
        self.runs: dict[str, str] = {}

    async def begin(self) -> None:
        jobs = {ref: await self.flows.job(ref, script=self.gates[ref]) for ref in JOBS}
        inner = await self.flows.create(jobs["x"])
        made = await self.flows.create(
            jobs["a"],
            approval("ok", "a"),
            sleep("nap", HOUR, "ok"),
            event("e", "go:{{id}}", "nap", event_timeout_secs=24 * HOUR),
            child("c", inner, "e"),
            {**jobs["last"], "depends_on": ["c"]},
        )
        self.inner, self.run_id = inner, await self.flows.trigger(made, {"id": 7})

    async def reach(self, stage: str) -> None:
        """Return when the run has got to a stage."""
        if stage in JOBS:
            calls = await self.flows.until_called(stage)
            await self.flows.world.until(calls[-1].run_id, "executing")
        else:
            await self.flows.until_step(self.run_id, stage, "waiting")

    async def leave(self, stage: str) -> None:
        """Let the run go on to the next stage."""
        match stage:
            case "ok":
                await self.flows.did(self.run_id, "steps/ok/approve")
            case "nap":
                await self.flows.world.pass_time(HOUR + 1)
            case "e":
                assert (await self.flows.send("go:7", "went")).status_code == 200
            case job:
                self.gates[job].open()


@pytest.mark.parametrize("stop_at", [*STAGES, "everywhere"])
async def test_a_run_goes_on_after_a_restart_at_any_stage(lives: Lives, stop_at: str) -> None:
    journey = Journey(await lives.begin())
    await journey.begin()
    for stage in STAGES:
        await journey.reach(stage)
        if stop_at in {stage, "everywhere"}:
            journey.flows = await lives.restart()
        await journey.leave(stage)
    flows = journey.flows
    await flows.until(journey.run_id, "completed")
    steps = await flows.steps(journey.run_id)
    assert {step["status"] for step in steps.values()} == {"completed"}
    assert (steps["e"]["output"], steps["c"]["output"]) == ("went", {"x": {"ok": True}})
    assert flows.inputs("last")[-1] == {"id": 7, "parent_outputs": {"c": steps["c"]["output"]}}
    # Only what was executing is dispatched again, and nothing is made twice.
    for ref in JOBS:
        dispatches = 2 if stop_at in {ref, "everywhere"} else 1
        assert [call.attempt for call in flows.calls(ref)] == [1] * dispatches
    assert len((await flows.api.get("/v1/runs")).json()["data"]) == len(JOBS)
    assert len((await flows.get(""))["data"]) == 2
    assert len((await flows.api.get("/v1/events")).json()["data"]) == 3


# ------------------------------------------------------------------------------------- while down


@pytest.mark.parametrize(
    ("step", "fields", "status", "error"),
    [
        (sleep("s", HOUR), {}, "completed", ""),
        (
            event("s", "go", event_timeout_secs=HOUR),
            {},
            "failed",
            "event trigger timed out",
        ),
        (approval("s", approval_timeout_secs=HOUR), {}, "failed", "approval timed out"),
        (approval("s"), {"timeout_secs": HOUR}, "timed_out", "workflow timed out"),
    ],
    ids=["sleep", "event", "approval", "workflow"],
)
async def test_what_was_due_while_no_server_ran_happens_at_once(
    lives: Lives, step: dict[str, Any], fields: dict[str, Any], status: str, error: str
) -> None:
    flows = await lives.begin()
    run_id = await flows.start(step, **fields)
    flows = await lives.restart(down_secs=2 * HOUR)
    run = await flows.run(run_id)
    assert (run["status"], run.get("error", "")) == (status, error)


async def test_what_is_not_due_yet_waits_for_the_rest_of_its_time(lives: Lives) -> None:
    flows = await lives.begin()
    run_id = await flows.start(sleep("s", 3 * HOUR))
    flows = await lives.restart(down_secs=2 * HOUR)
    assert (await flows.statuses(run_id))["s"] == "waiting"
    await flows.world.pass_time(HOUR - 60)
    assert (await flows.run(run_id))["status"] == "running"
    await flows.world.pass_time(61)
    assert (await flows.run(run_id))["status"] == "completed"


async def test_ticks_that_passed_without_a_server_are_not_made_up_for(lives: Lives) -> None:
    flows = await lives.begin()
    made = await flows.create(sleep("s", 1), cron="0 * * * *")
    flows = await lives.restart(down_secs=5.5 * HOUR)
    path = f"/v1/workflows/{made['id']}/runs"
    assert (await flows.api.get(path)).json()["data"] == []
    await flows.world.pass_time(HOUR)
    assert len((await flows.api.get(path)).json()["data"]) == 1


# ---------------------------------------------------------------------------------- in the middle


async def test_a_paused_run_stays_paused_and_can_be_resumed(lives: Lives) -> None:
    flows = await lives.begin()
    gate = Gate()
    run_id = await flows.start(await flows.job("a", script=gate), sleep("s", HOUR))
    (call,) = await flows.until_called("a")
    await flows.world.until(call.run_id, "executing")
    await flows.did(run_id, "pause")
    flows = await lives.restart(down_secs=2 * HOUR)
    assert (await flows.run(run_id))["status"] == "paused"
    assert len(flows.calls("a")) == 1
    gate.open()
    await flows.did(run_id, "resume")
    await flows.until(run_id, "completed")
    assert [call.attempt for call in flows.calls("a")] == [1, 1]


async def test_a_step_between_two_attempts_has_its_second_one(lives: Lives) -> None:
    flows = await lives.begin()
    answers = iter([Answer(500), Answer()])
    run_id = await flows.start(
        await flows.job(
            "a",
            script=lambda call: next(answers),
            retry_max_attempts=2,
            retry_backoff="fixed",
            retry_initial_delay_secs=60,
        )
    )
    (call,) = await flows.until_called("a")
    await flows.world.until(call.run_id, "queued", attempt=2)
    flows = await lives.restart(down_secs=HOUR)
    run = await flows.until(run_id, "completed", "failed")
    assert run["status"] == "completed"
    assert [call.attempt for call in flows.calls("a")] == [1, 2]


async def test_a_step_at_its_cost_gate_is_still_asked_about(lives: Lives) -> None:
    flows = await lives.begin()
    step = await flows.job("a", cost_gate_threshold_microusd=1, cost_gate_timeout_secs=2 * HOUR)

    async def script(call: Received) -> Answer:
        body = {"provider": "p", "model": "m", "cost_microusd": 5}
        path = f"/sdk/v1/runs/{call.run_id}/usage"
        assert (await flows.world.handler(call.token).post(path, json=body)).status_code == 201
        return Answer(200)

    flows.world.handlers.scripts["/a"] = script
    await flows.world.until(await flows.world.trigger({"id": step["job_id"]}), "completed")
    run_id = await flows.start(step)
    flows = await lives.restart(down_secs=HOUR)
    assert await flows.statuses(run_id) == {"a": "waiting"}
    await flows.world.pass_time(HOUR + 1)
    assert (await flows.run(run_id))["error"] == "approval timed out"


async def test_d21_a_run_that_stands_still_is_looked_at_again(
    lives: Lives, caplog: pytest.LogCaptureFixture
) -> None:
    flows = await lives.begin()
    run_id = await flows.start(approval("a"), await flows.job("b", "a"))
    waiting = await flows.start(approval("a"))

    def lose_the_start(unit: Unit) -> None:
        unit.db.execute(
            "UPDATE step_runs SET doc = json_remove(json_set(doc, '$.status', "
            "iif(step_ref = 'a', 'completed', 'waiting')), '$.started_at') "
            "WHERE workflow_run_id = ?",
            (run_id,),
        )

    await flows.world.platform.write(lose_the_start)
    flows = await lives.restart()
    await flows.until(run_id, "completed")
    assert (await flows.run(waiting))["status"] == "running"
    told = [line for line in caplog.messages if "stood still" in line]
    assert told == [f"workflow run {run_id} stood still, and is looked at again"]


async def test_what_is_being_undone_is_undone_to_the_end(lives: Lives) -> None:
    flows = await lives.begin()
    gate = Gate()
    undo = {ref: await flows.job(f"undo-{ref}", script=gate) for ref in "ab"}
    run_id = await flows.start(
        await flows.job("a", compensation_job_id=undo["a"]["job_id"]),
        await flows.job("b", "a", compensation_job_id=undo["b"]["job_id"]),
        await flows.job("bad", "b", script=lambda call: Answer(400)),
    )
    await flows.until(run_id, "failed")
    await flows.did(run_id, "compensate")
    (call,) = await flows.until_called("undo-b")
    await flows.world.until(call.run_id, "executing")
    flows = await lives.restart()
    gate.open()
    await flows.until(run_id, "compensated")
    assert [len(flows.calls(f"undo-{ref}")) for ref in "ab"] == [1, 2]


async def test_the_history_of_a_run_goes_on_where_it_stopped(lives: Lives) -> None:
    flows = await lives.begin()
    run_id = await flows.start(approval("a"), sleep("b", HOUR, "a"))
    before = await flows.get(f"/{run_id}/timeline")
    flows = await lives.restart()
    await flows.did(run_id, "steps/a/approve")
    await flows.world.pass_time(HOUR + 1)
    after = await flows.get(f"/{run_id}/timeline")
    assert after["started_at"] == before["started_at"]
    assert (after["status"], after["total_ms"] // 1000) == ("completed", HOUR)
    assert [step["step_ref"] for step in after["steps"]] == ["a", "b"]
