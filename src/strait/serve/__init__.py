"""Hosting the handlers of authored jobs.

    from strait.serve import asgi

    app = asgi([job], base_url="https://api.strait.dev", signing_secret=secret)

`app` is an ASGI application with one address a job, `POST /jobs/{slug}`; run it with any ASGI
server, or mount it. `strait dev TARGET` does the same in a child process and registers the jobs.
"""

from __future__ import annotations

from strait.serve.application import Host, asgi, job_url
from strait.serve.discovery import DiscoveryError, Found, discover
from strait.serve.registration import (
    Manifest,
    Override,
    RegistrationReport,
    plan_all,
    register_all,
)

__all__ = [
    "DiscoveryError",
    "Found",
    "Host",
    "Manifest",
    "Override",
    "RegistrationReport",
    "asgi",
    "discover",
    "job_url",
    "plan_all",
    "register_all",
]
