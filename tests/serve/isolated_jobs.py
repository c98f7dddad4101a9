"""Handlers that run in processes of their own; a new process imports this module."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from pathlib import Path

from pydantic import BaseModel

from strait.authoring import JobOptions, define_job, step
from strait.errors import NonRetryable, RetryAfter


class Order(BaseModel):
    number: int


def note(payload, text):
    """Write something down for the test, whole or not at all."""
    unfinished = Path(payload["note"] + "~")
    unfinished.write_text(str(text))
    unfinished.rename(payload["note"])


def pid(payload, ctx):
    return os.getpid()


async def typed(payload: Order, ctx) -> Order:
    await ctx.checkpoint({"n": payload.number})
    ctx.logger.info("typed")
    return Order(number=payload.number + 1)


@step
def double(n):
    return n * 2


def steps(payload, ctx):
    return [double(payload["n"]), ctx.step("six", lambda: 6), ctx.attempt]


def spins(payload, ctx):
    note(payload, os.getpid())
    while True:
        pass


async def holds_everything(payload, ctx):
    """Neither the loop of the process nor any other of its threads gets a turn."""
    note(payload, os.getpid())
    ctypes.PyDLL(None).sleep(600)


async def awaits(payload, ctx):
    note(payload, os.getpid())
    try:
        await asyncio.Event().wait()
    finally:
        note(payload, ctx.cancel_reason)


def dies(payload, ctx):
    match payload:
        case "exit":
            os._exit(7)
        case "segfault":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), 9)


def raises(payload, ctx):
    match payload:
        case "value":
            raise ValueError("no good")
        case "final":
            raise NonRetryable("never")
        case "later":
            raise RetryAfter(7)
        case "exit":
            sys.exit(3)


async def leaves_a_task(payload, ctx):
    keep.append(asyncio.create_task(asyncio.Event().wait()))
    return os.getpid()


def event(payload, ctx):
    return ctx.wait_for_event("e")


keep = []


def failed(payload, error, ctx):
    Path(payload["hook"]).write_text(f"{os.getpid()} {error}")


HANDLERS = (
    *(pid, typed, steps, holds_everything, awaits, dies, raises),
    *(leaves_a_task, event),
)
JOBS = [
    define_job(JobOptions(name=run.__name__, slug=run.__name__, run=run, isolation="process"))
    for run in HANDLERS
]
JOBS.append(
    define_job(
        JobOptions(name="S", slug="spins", run=spins, on_failure=failed, isolation="process")
    )
)
