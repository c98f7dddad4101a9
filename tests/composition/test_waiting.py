"""`wait_for_run` and `trigger_and_wait`, sync and async."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strait import Client, NotFoundError, RateLimitedError, StraitTimeoutError, TransportError
from strait.composition import (
    RunNotStartedError,
    WaitForRunOptions,
    trigger_and_wait,
    trigger_and_wait_async,
    wait_for_run,
    wait_for_run_async,
)
from strait.composition.waiting import _has_ended, _Watch
from strait.errors import ValidationError
from strait.fsm import RunStatus, StepRunStatus, WorkflowRunStatus
from strait.fsm.runs import RUN_MACHINE
from strait.fsm.step_runs import STEP_RUN_MACHINE
from strait.fsm.workflow_runs import WORKFLOW_RUN_MACHINE
from strait.models import TriggerResult

from .conftest import AWAITABLES, Pace, Platform, Script, lost, not_found


def run(status: str) -> dict[str, str]:
    return {"id": "run_1", "status": status}


def status_of(found: Any) -> str:
    return str(found["status"])


@pytest.fixture(params=["sync", "async"])
def waits(request: pytest.FixtureRequest, clock: Pace) -> Any:
    """Return `wait_for_run` or its twin, to be called with a `get_run` and options."""
    if request.param == "sync":
        return lambda get, opts=None: wait_for_run(get, status_of, "run_1", opts)
    return lambda get, opts=None: asyncio.run(wait_for_run_async(get, status_of, "run_1", opts))


def test_a_run_is_looked_at_until_it_has_ended(waits: Any, clock: Pace) -> None:
    get = Script(run("queued"), run("executing"), run("waiting"), run("failed"))
    assert waits(get) == run("failed")
    assert get.calls == [("run_1",)] * 4
    assert clock.waits == [0.5, 0.75, 1.125]


def test_a_run_that_does_not_end_is_a_timeout_at_the_deadline(waits: Any, clock: Pace) -> None:
    get = Script(run("executing"))
    with pytest.raises(StraitTimeoutError, match="`run_1` did not end within 60000 ms") as raised:
        waits(get)
    assert clock.now == 60
    assert (raised.value.run_id, raised.value.elapsed_ms) == ("run_1", 60_000)


def test_the_last_wait_is_clipped_and_followed_by_a_last_look(waits: Any, clock: Pace) -> None:
    opts = WaitForRunOptions(timeout_ms=1000, initial_delay_ms=900, factor=3)
    assert waits(Script(run("queued"), run("queued"), run("completed")), opts) == run("completed")
    assert clock.waits == [0.9, 0.1]


def test_no_time_at_all_is_one_look(waits: Any, clock: Pace) -> None:
    get = Script(run("queued"))
    with pytest.raises(StraitTimeoutError):
        waits(get, WaitForRunOptions(timeout_ms=0))
    assert len(get.calls) == 1
    assert clock.waits == []


def test_trouble_that_may_pass_is_borne_until_the_deadline(waits: Any) -> None:
    limited = RateLimitedError(429, "slow down")
    assert waits(Script(lost(), limited, lost(), run("completed"))) == run("completed")
    with pytest.raises(StraitTimeoutError) as raised:
        waits(Script(lost()), WaitForRunOptions(timeout_ms=2000))
    assert isinstance(raised.value.__cause__, TransportError)


def test_trouble_that_was_over_is_not_the_cause_of_a_timeout(waits: Any) -> None:
    with pytest.raises(StraitTimeoutError) as raised:
        waits(Script(lost(), run("queued")), WaitForRunOptions(timeout_ms=2000))
    assert raised.value.__cause__ is None


def test_retry_after_lengthens_the_wait_but_not_past_the_deadline(waits: Any, clock: Pace) -> None:
    limited = RateLimitedError(429, "slow down", headers={"Retry-After": "5"})
    waits(Script(limited, run("completed")))
    assert clock.waits == [5]
    clock.waits.clear()
    with pytest.raises(StraitTimeoutError):
        waits(Script(limited), WaitForRunOptions(timeout_ms=3000))
    assert clock.waits == [3]


def test_errors_that_will_not_pass_are_raised_at_once(waits: Any, clock: Pace) -> None:
    with pytest.raises(NotFoundError):
        waits(Script(not_found()))
    with pytest.raises(KeyError):
        waits(Script({}))
    assert clock.waits == []


@pytest.mark.parametrize("status", ["compensated", "compensation_failed", "dead_letter", "skipped"])
def test_the_ends_of_workflow_runs_and_of_steps_are_ends_too(waits: Any, status: str) -> None:
    assert waits(Script(run(status))) == run(status)


@pytest.mark.parametrize("status", ["running", "compensating", "paused", "of_tomorrow"])
def test_a_stage_is_no_end_and_neither_is_what_nobody_knows(waits: Any, status: str) -> None:
    with pytest.raises(StraitTimeoutError):
        waits(Script(run(status)))


def test_no_status_is_an_end_of_one_machine_and_a_stage_of_another() -> None:
    machines = (
        (RUN_MACHINE, RunStatus),
        (WORKFLOW_RUN_MACHINE, WorkflowRunStatus),
        (STEP_RUN_MACHINE, StepRunStatus),
    )
    for machine, statuses in machines:
        for status in statuses:
            assert _has_ended(status) == machine.is_terminal(status)


def test_the_user_can_say_what_an_end_is(waits: Any) -> None:
    opts = WaitForRunOptions(is_terminal=lambda status: status == "executing")
    assert waits(Script(run("completed"), run("executing")), opts) == run("executing")


@pytest.mark.parametrize("awaitable", AWAITABLES)
async def test_a_look_may_be_anything_that_can_be_awaited(clock: Pace, awaitable: Any) -> None:
    get = Script(lost(), run("queued"), run("completed"))
    found = await wait_for_run_async(lambda _: awaitable(get), status_of, "run_1")
    assert found == run("completed")


def test_an_asynchronous_look_is_refused_where_nothing_awaits_it(clock: Pace) -> None:
    async def get(run_id: str) -> dict[str, str]:
        return run("completed")

    with pytest.raises(ValidationError, match="use `wait_for_run_async`"):
        wait_for_run(get, status_of, "run_1")


def test_an_empty_id_is_refused_before_anything_is_asked() -> None:
    get = Script(run("completed"))
    with pytest.raises(ValidationError, match="`run_id` is empty"):
        wait_for_run(get, status_of, "")
    assert get.calls == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("timeout_ms", -1), ("initial_delay_ms", -1), ("max_delay_ms", 0), ("factor", 0.5)],
)
def test_options_out_of_range_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=f"`{name}` must be a number of at least"):
        WaitForRunOptions(**{name: value})


@given(
    timeout=st.integers(0, 2000),
    initial=st.integers(0, 20_000),
    most=st.integers(1, 20_000),
    factor=st.floats(1, 10),
    looks=st.lists(st.floats(0, 5), max_size=5),
)
def test_the_waits_never_pass_the_deadline_and_always_end(
    timeout: int, initial: int, most: int, factor: float, looks: list[float]
) -> None:
    clock = Pace()

    def walk() -> None:
        watch = _Watch("run_1", WaitForRunOptions(timeout, initial, most, factor))
        for number in range(timeout + 10):
            clock.now += looks[number] if number < len(looks) else 0
            left = timeout / 1000 - clock.now
            wait = watch.delay()
            assert 0 < wait <= left
            assert wait <= most / 1000
            clock.sleep(wait)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("strait.composition.pace.now", lambda: clock.now)
        with pytest.raises(StraitTimeoutError):
            walk()


# ----------------------------------------------------------------------------- trigger_and_wait


@pytest.fixture(params=["sync", "async"])
def triggers(request: pytest.FixtureRequest, clock: Pace) -> Any:
    if request.param == "sync":
        return trigger_and_wait
    return lambda *args: asyncio.run(trigger_and_wait_async(*args))


def id_of(triggered: Any) -> Any:
    return triggered["id"]


def test_a_triggered_run_is_waited_for(triggers: Any) -> None:
    trigger, get = Script(run("queued")), Script(run("executing"), run("completed"))
    assert triggers(trigger, get, id_of, status_of, {"n": 1}) == run("completed")
    assert trigger.calls == [({"n": 1},)]
    assert get.calls == [("run_1",)] * 2


def test_the_options_are_those_of_waiting(triggers: Any, clock: Pace) -> None:
    opts = WaitForRunOptions(timeout_ms=10)
    with pytest.raises(StraitTimeoutError):
        triggers(Script(run("queued")), Script(run("queued")), id_of, status_of, None, opts)
    assert clock.now == 0.01


DEBOUNCED = {"debounced": True, "fire_at": "2026-01-02T03:04:05Z"}
NOT_STARTED = [
    (DEBOUNCED, "debounced until 2026-01-02T03:04:05Z"),
    (TriggerResult.model_validate(DEBOUNCED), "debounced until 2026-01-02T03:04:05Z"),
    ({"batch": True, "buffered": True}, "buffered for a batch"),
    ({"id": "", "status": "dry_run"}, "has no id"),
    (None, "answered None"),
]


@pytest.mark.parametrize(("answer", "why"), NOT_STARTED)
def test_a_trigger_that_starts_no_run_says_so(triggers: Any, answer: Any, why: str) -> None:
    get = Script(run("completed"))
    with pytest.raises(RunNotStartedError, match=why) as raised:
        triggers(Script(answer), get, id_of, status_of, None)
    assert get.calls == []
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), again.answer) == (str(raised.value), raised.value.answer)


def test_a_trigger_that_fails_is_not_repeated(triggers: Any) -> None:
    trigger = Script(lost())
    with pytest.raises(TransportError):
        triggers(trigger, Script(run("completed")), id_of, status_of, None)
    assert len(trigger.calls) == 1


@pytest.mark.parametrize("awaitable", AWAITABLES)
async def test_a_trigger_may_be_anything_that_can_be_awaited(clock: Pace, awaitable: Any) -> None:
    trigger, get = Script(run("queued")), Script(run("completed"))
    found: Any = await trigger_and_wait_async(
        lambda _: awaitable(trigger), lambda _: awaitable(get), id_of, status_of, None
    )
    assert found == run("completed")


def test_a_run_of_our_own_client_is_waited_for(clock: Pace, platform: Platform) -> None:
    platform.answers = [
        (201, run("queued")),
        (200, run("executing")),
        (200, run("completed")),
    ]
    with platform.client() as client:
        found = trigger_and_wait(
            lambda body: client.jobs.trigger("job_1", body),
            client.runs.get,
            lambda triggered: triggered.id,
            lambda run: run.status,
            {"payload": {"n": 1}},
        )
    assert (found.id, found.status) == ("run_1", "completed")
    assert [request.method for request in platform.requests] == ["POST", "GET", "GET"]


def test_a_real_run_ends_on_the_embedded_platform() -> None:
    with Client.local() as client:
        job = client.jobs.create(
            project_id=client.project_id,
            name="Unreachable",
            slug="unreachable",
            endpoint_url="http://127.0.0.1:9/run",
            max_attempts=1,
        )
        opts = WaitForRunOptions(timeout_ms=20_000, initial_delay_ms=5, max_delay_ms=50)
        found = trigger_and_wait(
            lambda _: client.jobs.trigger(job.id),
            client.runs.get,
            lambda triggered: triggered.id,
            lambda run: run.status,
            None,
            opts,
        )
    assert found.status in {"system_failed", "failed", "dead_letter"}
