"""The jobs of the application; `web.py` hosts them, and `strait dev main.py` runs them here."""

from strait.authoring import JobOptions, RunContext, define_job


async def welcome(payload: dict[str, str], ctx: RunContext) -> dict[str, str]:
    """Welcome a new user."""
    await ctx.report_progress(50, "writing")
    return {"sent": f"welcome {payload['name']}"}


welcome_job = define_job(JobOptions(name="Welcome", slug="welcome", run=welcome))
