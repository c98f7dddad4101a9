"""Hosting the handlers of authored jobs.

    from strait.serve import asgi

    app = asgi([job], base_url="https://api.strait.dev", signing_secret=secret)

`app` is an ASGI application with one address a job, `POST /jobs/{slug}`; run it with any ASGI
server, or mount it. `wsgi` is the same for WSGI servers, `aws_lambda` for functions that are called
with events, and `strait.serve.fastapi`, `starlette`, `flask` and `django` have a line for each of
those; a framework is imported by its own module only. `strait dev TARGET` hosts jobs in a child
process and registers them.
"""

from __future__ import annotations

from strait.serve.application import Host, asgi
from strait.serve.blocking import WsgiHost, wsgi
from strait.serve.core import HostOptions, job_url
from strait.serve.discovery import DiscoveryError, Found, discover
from strait.serve.functions import aws_lambda
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
    "HostOptions",
    "Manifest",
    "Override",
    "RegistrationReport",
    "WsgiHost",
    "asgi",
    "aws_lambda",
    "discover",
    "job_url",
    "plan_all",
    "register_all",
    "wsgi",
]
