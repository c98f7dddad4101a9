"""`uvicorn examples.hosting.fastapi_app:app`; the jobs are at `/strait/jobs/{slug}`."""

from __future__ import annotations

from fastapi import FastAPI

from examples.hosting.jobs import JOBS, OPTIONS
from strait.serve.fastapi import mount

app = FastAPI()
mount(app, JOBS, **OPTIONS)
