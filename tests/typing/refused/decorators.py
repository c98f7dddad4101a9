"""What a checker makes of decorated functions; lines that end in `# no` must be refused."""

from __future__ import annotations

from typing import assert_type

from pydantic import BaseModel

from strait.authoring import RunContext, Step, TriggerJobInput, job, sleep_step, workflow


class Greeting(BaseModel):
    name: str


@job(slug="greet", timeout_secs=60)
async def greet(payload: Greeting, ctx: RunContext) -> str:
    return f"hello {payload.name}"


@job
def plain(payload: dict[str, int], ctx: object) -> int:
    return len(payload)


@workflow(slug="rest", payload_type=Greeting)
def rest() -> list[Step]:
    return [sleep_step("rest", 1)]


async def uses(ctx: RunContext) -> None:
    assert_type(await greet(Greeting(name="a"), ctx), str)
    assert_type(plain({"a": 1}, ctx), int)
    plain({"a": 1})  # no
    TriggerJobInput[Greeting](payload=1)  # no
    await greet(1, ctx)  # no
    job(slug="x", timeout=1)  # no
    job(slug=1)  # no
    rest(1)  # no
