"""A platform's run plane, and a way to dispatch to a host as the platform does."""

from __future__ import annotations

import asyncio
import base64
import json
import time

import httpx
import pytest

from strait.authoring import JobOptions, define_job
from strait.serve import asgi
from strait.signing import sign

SECRET = "esec_0123456789abcdef"


class Platform:
    """`/sdk/v1/runs/{id}/...` as an ASGI application; it keeps what it was asked."""

    def __init__(self):
        self.calls = []
        self.state = {}
        self.refuse = {}
        self.heartbeat = asyncio.Event()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = dict(scope["headers"])
        operation = scope["path"].split("/", 5)[5]
        value = json.loads(body) if body else None
        self.calls.append((scope["method"], operation, value, headers[b"authorization"].decode()))
        status, answer = self.answer(scope["method"], operation, value)
        raw = json.dumps(answer).encode()
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", b"application/json")],
            }
        )
        await send({"type": "http.response.body", "body": raw})

    def answer(self, method, operation, body):
        if operation in self.refuse:
            status, message = self.refuse[operation], ""
            if isinstance(status, tuple):
                status, message = status
            said = {"code": "x", "message": message or f"refused with {status}"}
            return status, {"error": said}
        if operation == "heartbeat":
            self.heartbeat.set()
        if operation == "state" and method == "POST":
            self.state[body["key"]] = body["value"]
            return 201, self.row(body["key"])
        if operation == "state":
            return 200, [self.row(key) for key in self.state]
        if operation.startswith("state/"):
            key = operation.removeprefix("state/")
            if key not in self.state:
                return 404, {"error": {"code": "not_found", "message": "state key not found"}}
            return 200, self.row(key)
        if operation == "wait-for-event":
            waiting = {"status": "waiting", "event_key": body["event_key"]}
            return 200, {**waiting, "trigger_id": "t", "expires_at": "2026-01-01T00:00:00Z"}
        return 200, {}

    def row(self, key):
        return {
            "run_id": "r",
            "state_key": key,
            "value": self.state[key],
            "updated_at": "2026-01-01T00:00:00Z",
        }

    def bodies(self, operation):
        return [body for _, called, body, _ in self.calls if called == operation]

    @property
    def operations(self):
        return [operation for _, operation, _, _ in self.calls]


@pytest.fixture
def platform():
    return Platform()


class Dispatcher:
    """Sends dispatches to a host."""

    def __init__(self, host, http):
        self.host = host
        self.http = http

    async def __call__(self, slug="j", payload=None, *, signed="", sent_at=None, **headers):
        body = payload if isinstance(payload, bytes) else json.dumps(payload or {}).encode()
        named = {"X-Run-ID": "run_1", "X-Job-ID": "job_1", "X-Attempt": "1"}
        named |= {"X-Run-Token": run_token()}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        if signed:
            stamp = str(int(time.time() if sent_at is None else sent_at))
            named["X-Strait-Timestamp"] = stamp
            named["X-Strait-Signature"] = sign(signed, stamp, body)
        sent = {name: value for name, value in named.items() if value is not None}
        return await self.http.post(f"/jobs/{slug}", content=body, headers=sent)


def run_token(**claims):
    known = {"iss": "strait:run-token", "sub": "run_1", "attempt": 1, **claims}
    middle = base64.urlsafe_b64encode(json.dumps(known).encode()).rstrip(b"=").decode()
    return f"e30.{middle}.c2ln"


@pytest.fixture
async def hosting(platform):
    """Return a function that hosts a handler and gives a way to dispatch to it."""
    opened = []

    async def start(run=None, *, jobs=None, signing_secret=(), of_host=None, **options):
        if jobs is None:
            jobs = [define_job(JobOptions(name="J", slug="j", run=run, **options))]
        backend = httpx.AsyncClient(transport=httpx.ASGITransport(platform))
        host = asgi(
            jobs,
            base_url="http://platform.test",
            signing_secret=signing_secret,
            project_id="proj-1",
            http_client=backend,
            **(of_host or {}),
        )
        front = httpx.AsyncClient(transport=httpx.ASGITransport(host), base_url="http://host.test")
        opened.extend((front, backend, host))
        return Dispatcher(host, front)

    yield start
    for thing in opened:
        await (thing.aclose() if hasattr(thing, "aclose") else thing.close())
