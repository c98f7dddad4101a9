"""The application: `uvicorn web:app`. Its handlers are at /strait, beside its own routes.

Without STRAIT_SIGNING_SECRET the handlers believe anybody who reaches them: set it wherever that
is not only this machine.
"""

import os

from fastapi import FastAPI
from main import welcome_job

from strait import AsyncClient
from strait.serve import asgi

app = FastAPI()
app.mount(
    "/strait", asgi([welcome_job], signing_secret=os.environ.get("STRAIT_SIGNING_SECRET", ""))
)


@app.post("/users/{name}", status_code=202)
async def create_user(name: str) -> dict[str, str]:
    """Start a run, and answer at once: the run is on disk."""
    async with AsyncClient.from_env() as client:
        [job] = await client.jobs.list(slug="welcome")
        run = await client.jobs.trigger(job.id, payload={"name": name})
    return {"run": run.id}
