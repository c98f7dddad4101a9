"""`uvicorn examples.hosting.asgi_app:app`; the jobs are at `/jobs/{slug}`."""

from __future__ import annotations

from examples.hosting.jobs import JOBS, OPTIONS
from strait.serve import asgi

app = asgi(JOBS, **OPTIONS)
