"""A pipeline of steps that stops between any two of them until a test lets it go on."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from strait.authoring import JobOptions, RunContext, current_step, define_job

HERE = Path(os.environ.get("E2E_STEPS", os.devnull))
STEPS = 4


def note(line: str) -> None:
    """Append a line to the journal, whole or not at all."""
    with (HERE / "journal").open("a", encoding="utf-8") as journal:
        journal.write(line + "\n")


def charge(number: int) -> dict[str, Any]:
    """Have an effect outside of the platform, under the key of the step."""
    step = current_step()
    note(f"did {step.name} {step.idempotency_key}")
    return {"number": number, "by": os.getpid()}


async def pipeline(payload: Any, ctx: RunContext) -> Any:
    """Do the steps one after the other, and stop behind each."""
    done = []
    for number in range(STEPS):
        done.append(await ctx.step(f"step-{number}", charge, number))
        note(f"recorded step-{number} {os.getpid()}")
        while not (HERE / f"go-{number}").exists():  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.01)
    return done


pipeline_job = define_job(
    JobOptions(
        name="Pipeline",
        slug="pipeline",
        run=pipeline,
        max_attempts=STEPS + 2,
        retry_strategy="fixed",
    )
)
