"""Jobs, their groups, their runs, and what handlers say of them."""

from __future__ import annotations

import time
from typing import Any

from strait.clock import SECOND, to_timestamp
from strait.reserved import step_key
from support.handlers import Answer, Gate, ok
from support.world import PROJECT

from .driver import Driver, Scene


def a_job(scene: Scene, slug: str, **fields: Any) -> dict[str, Any]:
    url = f"{scene.world.handlers.url}{slug}"
    return {
        "project_id": PROJECT,
        "name": slug.title(),
        "slug": slug,
        "endpoint_url": url,
        **fields,
    }


async def started(scene: Scene, job_id: str, **fields: Any) -> tuple[str, Driver]:
    """Trigger a job whose handler is held back; return the run and a client of its handler."""
    run = await scene.key("jobs.trigger", job_id, **fields)
    (call, *_) = await scene.world.handlers.wait(1, run.id)
    await scene.world.until(run.id, "executing")
    return run.id, scene.handler(call.token)


async def jobs(scene: Scene) -> None:
    """Jobs from their making to their deletion."""
    key = scene.key
    group = await key("job_groups.create", project_id=PROJECT, name="Orders", slug="orders")
    job = await key("jobs.create", a_job(scene, "pay", group_id=group.id, tags={"team": "money"}))
    other = await key("jobs.create", a_job(scene, "ship"))
    assert [row.slug for row in await key("jobs.list", slug="pay")] == ["pay"]
    assert (await key("jobs.get", job.id)).group_id == group.id
    assert (await key("jobs.update", job.id, {"timeout_secs": 9})).timeout_secs == 9
    (*_, version) = await key("jobs.list_versions", job.id)
    assert (await key("jobs.get_version", job.id, version.id)).timeout_secs != 9
    clone = await key("jobs.clone", job.id, name="Pay again", slug="pay-again")
    assert clone.timeout_secs == 9

    dependency = await key(
        "jobs.create_dependency", other.id, depends_on_job_id=job.id, condition="completed"
    )
    listed = await key("jobs.list_dependencies", other.id)
    assert [row.id for row in listed] == [dependency.id]
    await key("jobs.delete_dependency", other.id, dependency.id)
    assert await key("jobs.list_dependencies", other.id) == []

    made = await key("jobs.batch", jobs=[a_job(scene, "a"), a_job(scene, "b")])
    ids = [row.id for row in made.created]
    assert (await key("jobs.batch_disable", ids=ids)).updated == 2
    assert (await key("jobs.get", ids[0])).enabled is False
    assert (await key("jobs.batch_enable", ids=ids)).updated == 2

    assert (await key("jobs.pause", job.id, reason="tea")).pause_reason == "tea"
    assert (await key("jobs.resume", job.id)).paused is False
    moved = f"{scene.world.handlers.url}moved"
    await key("jobs.set_endpoint", clone.id, endpoint_url=moved)
    assert (await key("jobs.get", clone.id)).endpoint_url == moved
    assert (await key("jobs.verify_endpoint", clone.id)).success is True

    assert [row.slug for row in await key("job_groups.list")] == ["orders"]
    assert (await key("job_groups.get", group.id)).name == "Orders"
    assert (await key("job_groups.update", group.id, {"name": "All orders"})).name == "All orders"
    grouped = {row.slug for row in await key("job_groups.list_jobs", group.id)}
    assert grouped == {"pay", "pay-again"}
    await key("job_groups.pause_all", group.id)
    assert (await key("jobs.get", job.id)).paused is True
    await key("job_groups.resume_all", group.id)
    assert (await key("jobs.get", job.id)).paused is False

    run = await key("jobs.trigger", job.id, payload={"n": 1})
    await scene.world.until(run.id, "completed")
    assert (await key("jobs.get_health", job.id)).total_runs == 1
    assert (await key("job_groups.get_stats", group.id)) is not None
    bulk = await key("jobs.bulk_trigger", job.id, items=[{"payload": 1}, {"payload": 2}])
    assert bulk.total == 2
    assert [row.id for row in await key("batch_operations.list")] == [bulk.batch_id]
    assert (await key("batch_operations.get", bulk.batch_id)).id == bulk.batch_id
    for row in bulk.results:
        await scene.world.until(row.id, "completed")

    await key("jobs.delete", clone.id)
    await key.fails(404, "jobs.get", clone.id)
    await key("job_groups.delete", group.id)
    await key.fails(404, "job_groups.get", group.id)


async def handlers(scene: Scene) -> None:
    """Everything that a handler can say of its run, and what the API shows of it."""
    key, hold = scene.key, Gate(ok("done"))
    scene.world.handlers.scripts["/held"] = hold
    scene.world.handlers.scripts["/child"] = lambda call: ok("child")
    job = await key("jobs.create", a_job(scene, "held"))
    await key("jobs.create", a_job(scene, "child"))
    run_id, handler = await started(scene, job.id, payload={"n": 1})

    async def chunk() -> None:
        await handler("sdk_runs.stream_run", run_id, chunk="hel")

    assert (await handler("sdk_runs.get_payload", run_id)) == {"n": 1}
    await handler("sdk_runs.log_run", run_id, message="hello", level="info")
    await handler("sdk_runs.progress_run", run_id, percent=50, message="half")
    await handler("sdk_runs.annotate_run", run_id, annotations={"who": "ada"})
    await handler("sdk_runs.heartbeat_run", run_id)
    await handler("sdk_runs.checkpoint_run", run_id, state={"at": 3})
    await handler("sdk_runs.output_run", run_id, output_key="sum", value=7)
    await handler("sdk_runs.set_state", run_id, key="cursor", value=[1])
    assert (await handler("sdk_runs.get_state", run_id, "cursor")).value == [1]
    assert [row.state_key for row in await handler("sdk_runs.list_state", run_id)] == ["cursor"]
    await handler("sdk_runs.set_memory", run_id, "seen", value={"a": 1})
    assert (await handler("sdk_runs.get_memory", run_id, "seen")).value == {"a": 1}
    assert [row.memory_key for row in await handler("sdk_runs.list_memory", run_id)] == ["seen"]
    await handler("sdk_runs.delete_memory", run_id, "seen")
    await handler("sdk_runs.resources_run", run_id, cpu_percent=3.5, memory_mb=64)
    await handler("sdk_runs.resource_snapshot_run", run_id, cpu_percent=4, memory_mb=65)
    await handler(
        "sdk_runs.usage_run", run_id, provider="p", model="m", prompt_tokens=3, cost_microusd=5
    )
    await handler("sdk_runs.tool_call_run", run_id, tool_name="search")
    await handler("sdk_runs.iteration_run", run_id, iteration=1)
    (streamed,) = await key.events("runs.stream_chunks", run_id, cause=chunk)
    assert streamed.chunk == "hel"
    spawned = await handler("sdk_runs.spawn_run", run_id, job_slug="child", project_id=PROJECT)
    await scene.world.until(spawned.id, "completed")

    assert "hello" in [row.message for row in await key("runs.list_events", run_id)]
    assert [row.state for row in await key("runs.list_checkpoints", run_id)] == [{"at": 3}]
    assert [row.value for row in await key("runs.list_outputs", run_id)] == [7]
    kept = {row.state_key: row.value for row in await key("runs.list_state", run_id)}
    assert kept["cursor"] == [1]
    assert [row.memory_mb for row in await key("runs.list_resources", run_id)] == [65]
    assert [row.tool_name for row in await key("runs.list_tool_calls", run_id)] == ["search"]
    assert [row.cost_microusd for row in await key("runs.get_usage", run_id)] == [5]
    assert [row.id for row in await key("runs.get_children", run_id)] == [spawned.id]
    assert (await key("runs.get_debug_bundle", run_id)) is not None
    assert run_id in (await key("runs.get_report", run_id))
    assert await key("runs.set_debug", run_id, debug_mode=True) == {"status": "ok"}
    assert (await key("runs.get_dependency_status", run_id)) is not None
    await handler("sdk_runs.delete_state", run_id, "cursor")
    assert "cursor" not in [row.state_key for row in await key("runs.list_state", run_id)]

    continued = await handler("sdk_runs.continue_run", run_id, payload={"n": 2})
    lineage = [row.id for row in await key("runs.get_lineage", run_id)]
    assert set(lineage) == {run_id, continued.id}

    async def complete() -> None:
        await handler("sdk_runs.complete_run", run_id, result={"total": 7})

    await key.events("runs.stream", run_id, cause=complete)
    assert (await key("runs.get", run_id)).result == {"total": 7}
    failing, other = await started(scene, job.id)
    await other("sdk_runs.fail_run", failing, error="no such order")
    assert (await key("runs.get", failing)).error == "no such order"
    await key("runs.delete", continued.id)
    await _logs(scene, job.id)


async def _logs(scene: Scene, job_id: str) -> None:
    run_id, handler = await started(scene, job_id)

    async def line() -> None:
        await handler("sdk_runs.log_run", run_id, message="a line")

    await scene.key.events("runs.stream_logs", run_id, cause=line)
    assert (await scene.key("runs.delete", run_id)).status == "canceled"


async def runs(scene: Scene) -> None:
    """What can be done with runs: hold, move, end and repeat them."""
    key, world = scene.key, scene.world
    answers: list[Answer] = []
    world.handlers.scripts["/flaky"] = lambda call: answers.pop(0) if answers else ok(1)
    world.handlers.scripts["/slow"] = Gate(ok(1))
    flaky = await key("jobs.create", a_job(scene, "flaky", max_attempts=1))
    slow = await key("jobs.create", a_job(scene, "slow"))

    failed, handler = await started(scene, slow.id)
    await handler("sdk_runs.fail_run", failed, error="no such order")
    assert [row.id for row in await key("runs.list", status="failed")] == [failed]
    again = await key("runs.replay", failed)
    replayed = await key("runs.bulk_replay", run_ids=[failed])
    both = [again.id, replayed.results[0].new_run_id]
    assert (await key("runs.bulk_cancel", run_ids=both)).canceled == 2

    dead = []
    for _ in range(4):
        answers.append(Answer(500))
        run = await key("jobs.trigger", flaky.id, payload={"card": 1})
        await world.until(run.id, "dead_letter")
        dead.append(run.id)
    assert [row.id for row in await key("runs.get_dlq")] == dead[::-1]
    assert {row.id for row in await key("admin_dlq.list")} == set(dead)
    assert (await key("admin_dlq.unmask", dead[0])).ok is True
    await key("admin_dlq.replay", dead[0])
    await key("runs.dlq_replay", dead[1])
    assert (await key("runs.bulk_dlq_replay", run_ids=[dead[2]])).count == 1
    for run_id in dead[:3]:
        await world.until(run_id, "completed")
    assert (await key("admin_dlq.purge", dead[3])).ok is True
    assert await key("runs.get_dlq") == []

    late = to_timestamp(world.platform.clock.now() + 86_400_000_000)
    delayed = await key(
        "jobs.trigger", slow.id, payload=1, scheduled_at=late, idempotency_key="once"
    )
    assert (await key("runs.delete_idempotency_key", delayed.id))["status"] == "reset"
    moved = await key("runs.reschedule", delayed.id, scheduled_at=late, payload=2)
    assert moved.payload == 2
    held, _ = await started(scene, slow.id)
    assert (await key("runs.pause", held)).status == "paused"
    assert (await key("runs.resume", held)).status == "queued"
    await world.until(held, "executing")
    await key("runs.restart", held)
    assert (await key("runs.delete", held)).status == "canceled"
    assert (await key("runs.bulk_cancel", run_ids=[delayed.id])).canceled == 1
    await started(scene, slow.id)
    assert (await key("runs.bulk_cancel_all", job_id=slow.id)).canceled == 1
    assert (await key("stats.list")) is not None


_LONG_FROM_NOW = to_timestamp(time.time_ns() // 1000 + 3600 * SECOND)


async def events(scene: Scene) -> None:
    """Handlers that wait for events, and who sends them."""
    key = scene.key
    scene.world.handlers.scripts["/waits"] = Gate(ok(1))
    job = await key("jobs.create", a_job(scene, "waits"))
    for name in ("paid-1", "paid-2", "lost"):
        run_id, handler = await started(scene, job.id)
        await handler("sdk_runs.wait_for_event_run", run_id, event_key=name, timeout_secs=60)
    run_id, handler = await started(scene, job.id)
    done = {"name": "charge", "occurrence": 0, "status": "completed", "output": "paid"}
    await handler("sdk_runs.set_state", run_id, key=step_key("charge", 0), value=done)
    (step,) = await key("runs.list_steps", run_id)
    assert (step.name, step.output) == ("charge", "paid")
    suspended = await handler("sdk_runs.suspend_run", run_id, wake_at=_LONG_FROM_NOW)
    assert suspended.status == "waiting"
    assert {row.event_key for row in await key("event_triggers.list_events")} == {
        *("paid-1", "paid-2", "lost")
    }
    assert (await key("event_triggers.get_event", "lost")).status == "waiting"

    async def send() -> None:
        sent = await key("event_triggers.send_event", "paid-1", payload={"by": "ada"})
        assert sent.status == "received"

    await key.events("event_triggers.get_stream", "paid-1", cause=send)
    assert (await key("event_triggers.send_prefix", "paid", payload=1)) is not None
    await key("event_triggers.delete_event", "lost")
    assert (await key("event_triggers.get_event", "lost")).status == "canceled"
    assert (await key("event_triggers.get_stat")) is not None
    purged = await key("event_triggers.purge_event", older_than_days=1, dry_run=True)
    assert purged.dry_run is True
    await key("runs.bulk_cancel_all", job_id=job.id)
