"""Jobs and workflows that the tests of `strait.testing` run."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import date, timedelta

from strait.authoring import (
    JobOptions,
    WorkflowOptions,
    define_job,
    define_workflow,
    job_step,
    sleep_step,
    wait_for_event_step,
)


def greeting(**options):
    async def greet(payload, ctx):
        await ctx.report_progress(50)
        return {"text": f"hello {payload['name']}"}

    return define_job(JobOptions(name="Greet", slug="greet", run=greet, **options))


def plain_greeting():
    def greet(payload, ctx):
        ctx.state.set("seen", payload["name"])
        return {"text": f"hello {ctx.state.get('seen')}"}

    return define_job(JobOptions(name="Greet", slug="greet", run=greet))


def reminder():
    """Sleep for three days, then greet."""
    return define_workflow(
        WorkflowOptions(
            name="Remind",
            slug="remind",
            steps=[
                sleep_step("wait", 3 * 86_400),
                job_step("greet", greeting(), depends_on=["wait"]),
            ],
        )
    )


def failing(attempts):
    async def fail(payload, ctx):
        attempts.append(ctx.attempt)
        if ctx.attempt < 3:
            raise RuntimeError("not yet")
        return {"attempt": ctx.attempt}

    return define_job(JobOptions(name="Fail", slug="fail", max_attempts=3, run=fail))


def hanging():
    async def hang(payload, ctx):
        await asyncio.Event().wait()

    return define_job(JobOptions(name="H", slug="hang", timeout_secs=60, max_attempts=1, run=hang))


def slow(secs):
    def work(payload, ctx):
        time.sleep(secs)
        return {"done": True}

    return define_job(JobOptions(name="Slow", slug="slow", run=work))


def waiting_for_payment():
    return define_workflow(
        WorkflowOptions(
            name="Pay",
            slug="pay",
            steps=[wait_for_event_step("paid", "paid.{{order}}", event_timeout_secs=3600)],
        )
    )


@dataclass
class Order:
    id: str
    on: date


def typed():
    async def ship(payload: Order, ctx) -> Order:
        return Order(payload.id, payload.on + timedelta(days=1))

    return define_job(JobOptions(name="Ship", slug="ship", run=ship))
