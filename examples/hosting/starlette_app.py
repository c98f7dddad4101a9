"""`uvicorn examples.hosting.starlette_app:app`; the jobs are at `/strait/jobs/{slug}`."""

from __future__ import annotations

from starlette.applications import Starlette

from examples.hosting.jobs import JOBS, OPTIONS
from strait.serve.starlette import mount

app = Starlette()
mount(app, JOBS, **OPTIONS)
