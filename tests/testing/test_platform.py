"""`strait.testing.platform`: real runs, whose time the test moves."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta

import pytest

from strait.authoring import JobOptions, define_job
from strait.errors import HttpError
from strait.testing import platform

from . import definitions


@pytest.fixture(scope="module")
def p():
    with platform() as made:
        yield made


def test_a_job_runs_to_its_end(p):
    run = p.run(definitions.greeting(), {"name": "ada"})
    assert run.status == "completed"
    assert run.result == {"text": "hello ada"}


def test_a_plain_handler_gets_a_context_that_blocks(p):
    run = p.run(definitions.plain_greeting(), {"name": "bob"})
    assert run.result == {"text": "hello bob"}


def test_a_sleep_of_three_days_passes_at_once(p):
    began, started = p.now, time.monotonic()
    run = p.run(definitions.reminder(), {"name": "ada"})
    assert run.status == "completed"
    assert p.now - began >= timedelta(days=3)
    assert time.monotonic() - started < 5


def test_time_stands_still_until_it_is_moved(p):
    reminder = definitions.reminder()
    p.register(reminder)
    run = p.client.workflows.trigger(reminder.id, payload={"name": "ada"})
    p.settle()
    began = p.now
    p.advance(days=2, hours=23)
    assert p.client.workflow_runs.get(run.id).status == "running"
    p.advance(hours=2)
    assert p.client.workflow_runs.get(run.id).status == "completed"
    assert p.now == began + timedelta(days=3, hours=1)


def test_attempts_are_made_when_they_are_due(p):
    attempts = []
    run = p.run(definitions.failing(attempts), {})
    assert run.status == "completed"
    assert attempts == [1, 2, 3]


def test_a_run_that_waits_for_an_event_is_returned_as_it_waits_and_times_out_in_time(p):
    waiting = definitions.waiting_for_payment()
    run = p.run(waiting, {"order": 7}, within=timedelta(minutes=59))
    assert run.status == "running"
    p.client.event_triggers.send("paid.7", payload={"amount": 3})
    p.settle()
    assert p.client.workflow_runs.get(run.id).status == "completed"
    late = p.run(waiting, {"order": 8})
    assert late.status in {"failed", "timed_out"}


def test_a_schedule_runs_once_for_each_of_its_minutes():
    seen = []

    async def tick(payload, ctx):
        seen.append(ctx.run_id)

    job = define_job(JobOptions(name="Tick", slug="tick", cron="0 * * * *", run=tick))
    with platform(job, start=datetime(2026, 3, 1, 0, 30, tzinfo=UTC)) as p:
        p.advance(hours=5)
        assert len(set(seen)) == len(seen) == 5


def test_a_handler_that_hangs_times_out_by_the_virtual_clock():
    with platform(patience_secs=0.05) as p:
        run = p.run(definitions.hanging(), {})
        assert run.status in {"timed_out", "failed", "dead_letter"}
        assert p.now >= datetime(2026, 1, 1, 0, 1, tzinfo=UTC)


def test_time_waits_for_a_handler_that_is_only_slow(p):
    run = p.run(definitions.slow(0.05), {})
    assert run.result == {"done": True}


def test_a_definition_of_an_earlier_platform_is_registered_anew():
    job = definitions.greeting()
    for _ in range(2):
        with platform() as p:
            assert p.run(job, {"name": "ada"}).status == "completed"


def test_every_platform_starts_at_the_same_instant_unless_told_otherwise():
    with platform() as p:
        assert p.now == datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="time zone"):
        platform(start=datetime(2026, 1, 1))  # noqa: DTZ001 - that is what is refused


def test_time_cannot_be_moved_back(p):
    with pytest.raises(ValueError, match="not back"):
        p.advance(seconds=-1)


def test_a_typed_handler_gets_its_object_and_the_platform_refuses_what_does_not_fit(p):
    ship = definitions.typed()
    run = p.run(ship, {"id": "o", "on": "2026-01-31"})
    assert run.result == {"id": "o", "on": "2026-02-01"}
    with pytest.raises(HttpError, match=r"\$\.on is required"):
        p.client.jobs.trigger(ship.id, payload={"id": "o"})


def test_a_payload_that_only_its_type_refuses_fails_the_run_without_another_attempt(p):
    run = p.run(definitions.typed(), {"id": "o", "on": "soon"})
    assert (run.status, run.attempt) == ("failed", 1)
    assert "does not fit `Order`: `on`: " in run.error


def test_a_payload_may_be_given_as_the_object(p):
    run = p.run(definitions.typed(), definitions.Order("o", date(2026, 1, 1)))
    assert run.result == {"id": "o", "on": "2026-01-02"}


def test_signed_dispatches_are_checked_by_the_virtual_clock(p):
    signed = definitions.greeting(endpoint_signing_secret="0123456789abcdef")
    p.advance(days=30)
    assert p.run(signed, {"name": "ada"}).status == "completed"


async def test_the_platform_runs_in_the_loop_of_an_async_test():
    async with platform(definitions.reminder()) as p:
        run = await p.run(definitions.greeting(), {"name": "ada"})
        assert run.result == {"text": "hello ada"}
        reminder = definitions.reminder()
        assert (await p.run(reminder, {"name": "bob"})).status == "completed"
        before = p.now
        await p.advance(minutes=1)
        await p.settle()
        assert p.now == before + timedelta(minutes=1)
