"""The target of the server's measurement: a handler that does nothing."""

from __future__ import annotations

from strait.authoring import JobOptions, RunContext, define_job


async def noop(payload: dict[str, int], ctx: RunContext) -> dict[str, bool]:
    return {"ok": True}


job = define_job(JobOptions(name="No-op", slug="noop", run=noop))
