"""A job. `strait dev main.py` runs it here, `strait trigger greet name=Ada --wait` calls it."""

from strait.authoring import JobOptions, RunContext, define_job


async def greet(payload: dict[str, str], ctx: RunContext) -> dict[str, str]:
    """Greet somebody; a handler that raises is called again, three times in all."""
    ctx.logger.info("greeting %s", payload["name"])
    return {"text": f"hello {payload['name']}"}


greet_job = define_job(JobOptions(name="Greet", slug="greet", run=greet))
