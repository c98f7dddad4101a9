"""What the platform does for `strait dev`: one address, several versions of the code behind it."""

from __future__ import annotations

from typing import Any

import pytest

from strait.engine.circuit import FAILURES_TO_OPEN
from strait.engine.model import Run
from strait.server.development import Development, HandlerHost, LoadError, hold, tell_held
from support.handlers import Gate, Handlers, ok
from support.world import PROJECT, World

# Nobody listens there.
ADDRESS = "http://127.0.0.1:1"


def serve(world: World, handlers: Handlers, version: int = 1) -> HandlerHost:
    """Let a process serve the code from now on."""
    host = HandlerHost(version, handlers.url.rstrip("/"), pid=1000 + version)
    development = world.platform.development
    if development is None:
        development = Development("shop.py", PROJECT, ADDRESS, "serving")
        world.platform.development = development
    elif development.host is not None:
        development.old.append(development.host)
    development.host = host
    return host


async def hosted(world: World, **fields: Any) -> dict[str, Any]:
    return await world.job(**{"endpoint_url": f"{ADDRESS}/jobs/it", **fields})


@pytest.fixture
async def newer(handlers: Handlers) -> Any:
    made = Handlers()
    await made.start()
    yield made
    await made.stop()


async def test_dispatches_go_to_the_newest_version_and_what_runs_stays_where_it_is(
    world: World, newer: Handlers
) -> None:
    first = serve(world, world.handlers)
    world.handlers.script = gate = Gate(ok("old"))
    newer.script = lambda call: ok("new")
    job = await hosted(world)
    running, _ = await world.executing(job)
    assert world.handlers.of(running)[0].path == "/jobs/it"
    serve(world, newer, 2)
    later = await world.trigger(job)
    assert (await world.until(later, "completed"))["result"] == "new"
    assert first.running == 1
    gate.open()
    assert (await world.until(running, "completed"))["result"] == "old"
    await first.idle()
    assert len(world.handlers.received) == 1
    assert (await world.api.get(f"/v1/jobs/{job['id']}")).json()["version"] == job["version"]


async def test_what_an_ended_version_ran_begins_anew_as_the_same_attempt(
    world: World, newer: Handlers
) -> None:
    first = serve(world, world.handlers)
    world.handlers.script = Gate()
    newer.script = lambda call: ok("new")
    job = await hosted(world, max_attempts=1)
    running, _ = await world.executing(job)
    serve(world, newer, 2)
    first.closed = True
    world.handlers.hang_up()
    run = await world.until(running, "completed", "dead_letter")
    assert (run["status"], run["result"], run["attempt"]) == ("completed", "new", 1)


async def test_a_process_that_died_under_many_runs_puts_off_none_that_waits(
    world: World, newer: Handlers
) -> None:
    serve(world, world.handlers)
    world.handlers.script = Gate()
    newer.script = lambda call: ok("new")
    job = await hosted(world, max_attempts=1)
    # More than open the circuit of an endpoint that nobody minds.
    died = [await world.trigger(job) for _ in range(FAILURES_TO_OPEN + 1)]
    await world.handlers.wait(len(died))
    world.handlers.hang_up()
    for run_id in died:
        run = await world.until(run_id, "completed", "dead_letter")
        assert (run["status"], run["error_class"]) == ("dead_letter", "connection")
    serve(world, newer, 2)
    run = await world.until(await world.trigger(job), "completed")
    assert run.get("metadata", {}) == {}, "it was not put off"


async def test_an_attempt_that_a_debugger_has_seen_is_not_timed_out(virtual: World) -> None:
    host = serve(virtual, virtual.handlers)
    virtual.handlers.script = gate = Gate(ok("at last"))
    job = await hosted(virtual, timeout_secs=5, max_attempts=1)
    running, handler = await virtual.executing(job)
    host.debug(attached=True)
    await virtual.pass_time(3_600)
    assert (await virtual.run(running))["status"] == "executing"
    beat = await handler.post(f"/sdk/v1/runs/{running}/heartbeat", json={})
    assert beat.is_success, "its token is still good"
    host.debug(attached=False)
    await virtual.pass_time(60)
    assert (await virtual.run(running))["status"] == "executing"
    gate.open()
    assert (await virtual.until(running, "completed"))["result"] == "at last"


async def test_without_a_debugger_an_attempt_is_timed_out_as_ever(virtual: World) -> None:
    serve(virtual, virtual.handlers)
    virtual.handlers.script = Gate()
    running, _ = await virtual.executing(await hosted(virtual, timeout_secs=5, max_attempts=1))
    await virtual.pass_time(6)
    assert (await virtual.run(running))["status"] != "executing"


async def test_runs_of_a_job_that_the_code_does_not_have_wait_for_it(world: World) -> None:
    serve(world, world.handlers)
    world.handlers.script = lambda call: ok("here")
    kept, gone = await hosted(world), await hosted(world)
    assert hold(world.platform, [kept["slug"]]) == {gone["slug"]}
    waiting = await world.trigger(gone)
    done = await world.trigger(kept)
    await world.until(done, "completed")
    assert (await world.run(waiting))["status"] == "queued"
    # A change of the job, such as of its limits, does not let them go.
    await world.api.patch(f"/v1/jobs/{gone['id']}", json={"max_concurrency": 7})
    await world.settled()
    assert (await world.run(waiting))["status"] == "queued"
    assert hold(world.platform, [kept["slug"], gone["slug"]]) == frozenset()
    assert (await world.until(waiting, "completed"))["attempt"] == 1


async def test_before_the_first_version_only_what_is_hosted_here_waits(world: World) -> None:
    world.platform.development = Development("shop.py", PROJECT, ADDRESS)
    world.handlers.script = lambda call: ok("here")
    here, elsewhere = await hosted(world), await world.job()
    assert hold(world.platform, []) == {here["slug"]}
    waiting = await world.trigger(here)
    await world.until(await world.trigger(elsewhere), "completed")
    assert (await world.run(waiting))["status"] == "queued"
    serve(world, world.handlers)
    hold(world.platform, [here["slug"]])
    assert (await world.until(waiting, "completed"))["attempt"] == 1


async def test_a_run_that_waits_for_its_job_tells_why(world: World) -> None:
    serve(world, world.handlers)
    gone = await hosted(world)
    hold(world.platform, [])
    told: list[bool] = []
    platform = world.platform
    platform.witness = lambda run: told.append(isinstance(run, Run) and tell_held(platform, run))
    waiting = await world.trigger(gone)
    await world.settled()
    events = (await world.api.get(f"/v1/runs/{waiting}/events")).json()["data"]
    (why,) = [event["message"] for event in events if event["level"] == "warn"]
    assert told == [True]
    assert gone["slug"] in why


async def test_jobs_that_are_hosted_elsewhere_are_never_held(world: World) -> None:
    serve(world, world.handlers)
    elsewhere = await world.job()
    assert hold(world.platform, []) == frozenset()
    await world.until(await world.trigger(elsewhere), "completed")


async def test_an_endpoint_is_verified_where_it_is_now(world: World) -> None:
    serve(world, world.handlers)
    job = await hosted(world)
    answer = await world.api.post(f"/v1/jobs/{job['id']}/endpoint/verify")
    assert answer.json()["success"] is True


async def test_it_shows_versions_errors_and_jobs_that_are_not_there(
    world: World, newer: Handlers
) -> None:
    off = (await world.api.get("/v1/dev/status")).json()
    assert off["state"] == "off"
    first = serve(world, world.handlers)
    world.handlers.script = gate = Gate()
    gone = await hosted(world)
    running, _ = await world.executing(gone)
    serve(world, newer, 2)
    hold(world.platform, [])
    development = world.platform.development
    assert development is not None
    development.state = "failed"
    development.error = LoadError("ValueError", "no", "shop.py:3", ("line",))
    first.debug(attached=True)
    shown = (await world.api.get("/v1/dev/status")).json()
    assert shown["state"] == "failed"
    assert (shown["target"], shown["code_version"]) == ("shop.py", 2)
    assert shown["error"] == {
        "type": "ValueError", "message": "no", "at": "shop.py:3", "trace": ["line"],
    }  # fmt: skip
    assert shown["held_jobs"] == [gone["slug"]]
    old, new = shown["processes"]
    assert (old["code_version"], old["running"], old["current"]) == (1, 1, False)
    assert (old["debugger"], new["debugger"]) == (True, False)
    assert (new["code_version"], new["running"], new["current"]) == (2, 0, True)
    gate.open()
    await world.until(running, "completed")
