"""Figures over workflow runs, approvals and events, worked out by hand."""

from __future__ import annotations

from support.analytics import BROKEN, get, period, stranger
from support.handlers import Gate, ok
from support.workflows import Flows, approval, event, sleep, told

HOUR = 3600
DAY = 24 * HOUR
# What the server orders within one instant of the clock begins some microseconds after it.
JUST_OVER = 0.001
# The virtual clock begins here.
FIRST, SECOND, NEXT_DAY = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "2026-01-02T00:00:00Z"


async def slept(flows: Flows, secs: int) -> None:
    """Have a workflow run sleep for so long and complete."""
    run_id = await flows.start(sleep("nap", secs))
    await flows.until_step(run_id, "nap", "waiting")
    await flows.world.pass_time(secs + JUST_OVER)
    await flows.until(run_id, "completed")


async def broke(flows: Flows, ref: str) -> None:
    """Have a workflow run fail at once."""
    step = await flows.job(ref, script=lambda call: BROKEN)
    await flows.until(await flows.start(step), "failed")


async def timed_out(flows: Flows, secs: int) -> None:
    """Have a workflow run wait for an event until its time is over."""
    run_id = await flows.start(event("never", f"never-{secs}"), timeout_secs=secs)
    await flows.until_step(run_id, "never", "waiting")
    await flows.world.pass_time(secs + JUST_OVER)
    await flows.until(run_id, "timed_out")


async def test_completion_of_workflow_runs_is_counted_by_hour_or_day(still: Flows) -> None:
    await slept(still, 4)
    await broke(still, "one")
    await still.world.pass_time(HOUR)
    await timed_out(still, 60)
    await still.world.pass_time(DAY)
    await slept(still, 1)
    await still.start(event("held", "held"))
    none = {"completed": 0, "failed": 0, "timed_out": 0}
    path = "/workflows/completion-rates"
    assert await get(still.world, path, bucket="hour") == [
        {"period": FIRST, **none, "completed": 1, "failed": 1},
        {"period": SECOND, **none, "timed_out": 1},
        {"period": "2026-01-02T01:00:00Z", **none, "completed": 1},
    ]
    assert await get(still.world, path) == [
        {"period": FIRST, "completed": 1, "failed": 1, "timed_out": 1},
        {"period": NEXT_DAY, **none, "completed": 1},
    ]
    assert len(await get(still.world, path, to=NEXT_DAY)) == 1


async def test_a_summary_of_workflow_runs_has_the_mean_of_their_durations(still: Flows) -> None:
    await slept(still, 4)
    await slept(still, 8)
    await timed_out(still, 60)
    await broke(still, "one")
    await still.start(event("held", "held"))
    assert await get(still.world, "/workflows/summary") == {
        "total": 4, "completed": 2, "failed": 2, "success_rate": 0.5, "avg_duration_ms": 18_000,
    }  # fmt: skip


async def test_the_steps_of_a_workflow_have_their_durations_and_failures(still: Flows) -> None:
    one = await still.job("one")
    flow = await still.create(one, sleep("nap", 2, "one"))
    other = await still.create(sleep("nap", 90))
    answers = [ok(), ok(), BROKEN]
    for secs, answer in zip((10, 20, 60), answers, strict=True):
        still.world.handlers.scripts["/one"] = gate = Gate(answer)
        run_id = await still.trigger(flow)
        await still.until_step(run_id, "one", "running")
        await still.world.pass_time(secs)
        gate.open()
        if answer is BROKEN:
            await still.until(run_id, "failed")
            continue
        await still.until_step(run_id, "nap", "waiting")
        await still.world.pass_time(2 + JUST_OVER)
        await still.until(run_id, "completed")
    path = f"/workflows/{flow['id']}/step-durations"
    # At 0.95 * (3 - 1) = 1.9: 20 s + 0.9 * 40 s. The step that was not begun is not counted.
    assert await get(still.world, path) == [
        {"step_ref": "one", "avg_ms": 30_000, "p95_ms": 56_000, "count": 3,
         "failure_rate": 0.3333},
        {"step_ref": "nap", "avg_ms": 2_000, "p95_ms": 2_000, "count": 2, "failure_rate": 0},
    ]  # fmt: skip
    assert await get(still.world, f"/workflows/{other['id']}/step-durations") == []
    foreign = await stranger(still.world)
    refused = await foreign.get(f"/v1/analytics{path}", params=period(still.world))
    assert told(refused) == (404, "workflow not found")


async def test_approvals_are_counted_by_their_outcome(still: Flows) -> None:
    for secs in (30, 10):
        run_id = await still.start(approval("ok"))
        await still.until_step(run_id, "ok", "waiting")
        await still.world.pass_time(secs)
        await still.did(run_id, "steps/ok/approve")
    late = await still.start(approval("ok", approval_timeout_secs=60))
    await still.until_step(late, "ok", "waiting")
    await still.world.pass_time(60 + JUST_OVER)
    await still.until(late, "failed", "timed_out")
    rejected = await still.start(approval("ok"))
    await still.until_step(rejected, "ok", "waiting")
    await still.did(rejected, "steps/ok/reject", reason="no")
    waiting = await still.start(approval("ok"))
    await still.until_step(waiting, "ok", "waiting")
    assert await get(still.world, "/approvals") == {
        "total_requested": 5, "total_approved": 2, "total_timed_out": 1, "total_pending": 1,
        "avg_approval_time_secs": 20,
    }  # fmt: skip
    none = await get(still.world, "/approvals", **{"from": NEXT_DAY, "to": "2026-01-03T00:00:00Z"})
    assert none["total_requested"] == 0


async def waited(flows: Flows, key: str, secs: float) -> None:
    """Have a workflow run wait for an event that comes after so long."""
    run_id = await flows.start(event("told", key))
    await flows.until_step(run_id, "told", "waiting")
    await flows.world.pass_time(secs)
    assert (await flows.send(key)).status_code == 200
    await flows.until(run_id, "completed")


async def test_events_that_are_waited_for_are_counted_by_hour_or_day(still: Flows) -> None:
    await waited(still, "a", 1)
    late = await still.start(event("told", "b", event_timeout_secs=60))
    await still.until_step(late, "told", "waiting")
    await still.world.pass_time(60 + JUST_OVER)
    await still.until(late, "failed", "timed_out")
    # A sleep is no event that anybody sends.
    await slept(still, 1)
    await still.world.pass_time(HOUR)
    run_id = await still.start(event("told", "c"))
    await still.until_step(run_id, "told", "waiting")
    world = still.world
    assert await get(world, "/events/volume", bucket="hour") == [
        {"period": FIRST, "created": 2, "received": 1, "timed_out": 1},
        {"period": SECOND, "created": 1, "received": 0, "timed_out": 0},
    ]
    assert await get(world, "/events/volume") == [
        {"period": FIRST, "created": 3, "received": 1, "timed_out": 1}
    ]


async def test_the_latency_of_events_is_from_the_wait_to_the_event(still: Flows) -> None:
    for number, secs in enumerate((1, 2, 3, 4, 10)):
        await waited(still, f"e{number}", secs)
    pending = await still.start(event("told", "pending"))
    await still.until_step(pending, "told", "waiting")
    # Of five: the third; 0.8 and 0.96 of the way from the fourth to the fifth.
    assert await get(still.world, "/events/latency") == {
        "avg_ms": 4_000, "p50_ms": 3_000, "p95_ms": 8_800, "p99_ms": 9_760, "count": 5,
    }  # fmt: skip
