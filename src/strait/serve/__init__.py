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

from typing import TYPE_CHECKING

from strait.lazily import lazily

if TYPE_CHECKING:
    from strait.serve.application import Host, asgi
    from strait.serve.blocking import WsgiHost, wsgi
    from strait.serve.core import HostOptions, job_url
    from strait.serve.discovery import DiscoveryError, Found, discover
    from strait.serve.functions import aws_lambda
    from strait.serve.manifest import Manifest
    from strait.serve.registration import (
        Override,
        RegistrationReport,
        plan_all,
        register_all,
    )

_SOURCES = {
    "DiscoveryError": "strait.serve.discovery",
    "Found": "strait.serve.discovery",
    "Host": "strait.serve.application",
    "HostOptions": "strait.serve.core",
    "Manifest": "strait.serve.manifest",
    "Override": "strait.serve.registration",
    "RegistrationReport": "strait.serve.registration",
    "WsgiHost": "strait.serve.blocking",
    "asgi": "strait.serve.application",
    "aws_lambda": "strait.serve.functions",
    "discover": "strait.serve.discovery",
    "job_url": "strait.serve.core",
    "plan_all": "strait.serve.registration",
    "register_all": "strait.serve.registration",
    "wsgi": "strait.serve.blocking",
}

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

# A platform needs a manifest and stamps of files from here, and no handlers.
__getattr__, __dir__ = lazily(__name__, _SOURCES)
