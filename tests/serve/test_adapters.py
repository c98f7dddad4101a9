"""Every adapter answers every request as the ASGI host does; and what each has of its own."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import subprocess
import sys
import threading
import warnings
from dataclasses import dataclass

import httpx
import pytest

from strait.authoring import DefinitionError, JobOptions, define_job
from strait.serve import asgi, aws_lambda, wsgi
from strait.serve.blocking import BlockingHost
from strait.serve.starlette import mount
from strait.signing import sign

from .conftest import SECRET, run_token

URL = "http://platform.test"
LIMIT = 1000


async def echo(payload, ctx):
    return {"payload": payload, "run": ctx.run_id, "secrets": dict(ctx.secrets)}


def plain(payload, ctx):
    raise ValueError("no good")


JOBS = [
    define_job(JobOptions(name="Echo", slug="echo", run=echo)),
    define_job(JobOptions(name="Ü", slug="ü/x y", run=echo)),
    define_job(JobOptions(name="Plain", slug="plain", run=plain)),
]
OPTIONS = {"base_url": URL, "max_body_bytes": LIMIT, "heartbeat_secs": 0}


@dataclass
class Said:
    status: int
    body: object
    allow: str | None


def through_asgi():
    host = asgi(JOBS, **OPTIONS)

    def ask(method, path, headers, body):
        async def once():
            transport = httpx.ASGITransport(host)
            async with httpx.AsyncClient(transport=transport, base_url="http://h") as client:
                return await client.request(method, path, headers=headers, content=body)

        answer = asyncio.run(once())
        return Said(answer.status_code, answer.json(), answer.headers.get("allow"))

    return ask, lambda: asyncio.run(host.close())


def through_wsgi():
    from werkzeug.test import Client

    host = wsgi(JOBS, **OPTIONS)

    def ask(method, path, headers, body):
        answer = Client(host).open(path, method=method, headers=headers, data=body)
        return Said(answer.status_code, answer.json, answer.headers.get("allow"))

    return ask, host.close


def through_flask():
    from flask import Flask

    from strait.serve.flask import blueprint

    app = Flask("test")
    app.register_blueprint(blueprint(JOBS, **OPTIONS), url_prefix="/strait")

    def ask(method, path, headers, body):
        client = app.test_client()
        answer = client.open(f"/strait{path}", method=method, headers=headers, data=body)
        return Said(answer.status_code, answer.json, answer.headers.get("allow"))

    return ask, lambda: None


def through_django():
    import django
    from django.conf import settings
    from django.test import RequestFactory

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="test")
        django.setup()
    from strait.serve.django import urls

    (pattern,) = urls(JOBS, **OPTIONS)

    def ask(method, path, headers, body):
        request = RequestFactory().generic(method, path, body or b"", "text/plain", headers=headers)
        from urllib.parse import unquote

        # Django's own servers check CSRF tokens unless a view is exempt.
        assert pattern.callback.csrf_exempt
        answer = asyncio.run(pattern.callback(request, path=unquote(path).lstrip("/")))
        return Said(answer.status_code, json.loads(answer.content), answer.headers.get("allow"))

    return ask, lambda: None


def through_lambda():
    function = aws_lambda(JOBS, **OPTIONS)

    def ask(method, path, headers, body):
        context = {"http": {"method": method}, "stage": "$default"}
        event = {"rawPath": path, "headers": headers, "requestContext": context}
        if body is not None:
            event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
            event["headers"] = {**headers, "content-length": str(len(body))}
        reply = function(event, None)
        return Said(reply["statusCode"], json.loads(reply["body"]), reply["headers"].get("allow"))

    return ask, lambda: None


WAYS = {
    "wsgi": through_wsgi,
    "flask": through_flask,
    "django": through_django,
    "lambda": through_lambda,
}
RUN = {"x-run-id": "run_1", "x-run-token": "a.b.c", "x-secret-token": "s"}
REQUESTS = [
    ("POST", "/jobs/echo", RUN, b'{"a": 1}'),
    ("POST", "/jobs/echo", RUN, b""),
    ("POST", "/jobs/%C3%BC%2Fx%20y", RUN, b"[1]"),
    ("POST", "/jobs/plain", {"x-run-id": "run_1"}, b"{}"),
    ("POST", "/jobs/echo", RUN, b"{"),
    ("POST", "/jobs/echo", RUN, b" " * (LIMIT + 1)),
    ("POST", "/jobs/echo", RUN, b'"' + b"x" * (LIMIT - 2) + b'"'),
    ("POST", "/jobs/echo", {}, b"{}"),
    ("POST", "/jobs/echo", {}, b'{"type": "endpoint.test"}'),
    ("POST", "/jobs/other", RUN, b"{}"),
    ("GET", "/jobs/echo", {}, None),
    ("DELETE", "/health", {}, None),
    ("GET", "/health", {}, None),
    ("GET", "/", {}, None),
]


@pytest.fixture(scope="module")
def expected():
    ask, close = through_asgi()
    answers = [ask(*request) for request in REQUESTS]
    close()
    assert [said.status for said in answers] == [
        *(200, 200, 200, 500, 400, 413, 200, 400, 200, 404, 405, 405, 200, 404),
    ]
    return answers


@pytest.mark.parametrize("way", WAYS)
def test_every_adapter_answers_as_the_asgi_host_does(way, expected):
    ask, close = WAYS[way]()
    try:
        assert [ask(*request) for request in REQUESTS] == expected
    finally:
        close()


# ---------------------------------------------------------------------------------------- WSGI


def environ(body=b"{}", path="/jobs/echo", **more):
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "HTTP_X_RUN_ID": "run_1",
        **more,
    }


@pytest.fixture
def host():
    host = wsgi(JOBS, **OPTIONS)
    yield host
    host.close()


def call(host, given):
    statuses = []
    body = b"".join(host(given, lambda status, headers: statuses.append(status)))
    return statuses[0], body


def test_wsgi_reads_a_body_without_a_length_where_the_server_tells_its_end(host):
    said = call(host, environ(b"[1]", CONTENT_LENGTH="", **{"wsgi.input_terminated": True}))
    assert (said[0], json.loads(said[1])["payload"]) == ("200 OK", [1])
    # Elsewhere reading on would wait for ever.
    assert json.loads(call(host, environ(b"[1]", CONTENT_LENGTH=""))[1])["payload"] == {}
    large = environ(b" " * 5000, CONTENT_LENGTH="", **{"wsgi.input_terminated": True})
    assert call(host, large)[0] == "413 Request Entity Too Large"


def test_wsgi_answers_head_without_a_body(host):
    assert call(host, environ(path="/health", REQUEST_METHOD="HEAD")) == ("200 OK", b"")


def test_async_handlers_of_many_requests_run_at_once_on_one_loop():
    met, everybody = [], asyncio.Event()

    async def meet(payload, ctx):
        met.append(asyncio.get_running_loop())
        if len(met) == 3:
            everybody.set()
        await everybody.wait()
        return len(set(map(id, met)))

    host = wsgi([define_job(JobOptions(name="M", slug="m", run=meet))], **OPTIONS)
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(call(host, environ(path="/jobs/m"))[1]))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    host.close()
    assert answers == [b"1"] * 3


def test_a_host_that_was_closed_starts_again_with_the_next_request(host):
    assert call(host, environ())[0] == "200 OK"
    host.close()
    host.close()
    assert call(host, environ())[0] == "200 OK"


def test_a_forked_server_has_a_loop_of_its_own(host):
    assert call(host, environ())[0] == "200 OK"
    read, write = os.pipe()
    with warnings.catch_warnings():
        # Servers that fork have their threads later; here one is there already, on purpose.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.write(write, call(host, environ())[0].encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as said:
        assert said.read() == "200 OK"
    os.waitpid(child, 0)


def test_two_jobs_of_one_slug_are_refused_when_a_host_is_made():
    twice = [JOBS[0], define_job(JobOptions(name="E", slug="echo", run=echo))]
    for make in (wsgi, aws_lambda, BlockingHost):
        with pytest.raises(DefinitionError, match="two jobs have the slug `echo`"):
            make(twice)


def test_a_host_on_a_loop_of_its_own_checks_signatures():
    host = wsgi(JOBS, signing_secret=SECRET, **OPTIONS)
    assert call(host, environ())[0] == "401 Unauthorized"
    import time

    stamp = str(int(time.time()))
    signed = {
        "HTTP_X_STRAIT_TIMESTAMP": stamp,
        "HTTP_X_STRAIT_SIGNATURE": sign(SECRET, stamp, b"{}"),
        "HTTP_X_RUN_TOKEN": run_token(assignment_id="a"),
    }
    assert call(host, environ(**signed))[0] == "200 OK"
    assert call(host, environ(**signed))[0] == "409 Conflict"
    host.close()


# -------------------------------------------------------------------------------------- Lambda


@pytest.mark.parametrize(
    "event",
    [
        {"httpMethod": "GET", "path": "/strait/health", "headers": None},
        {"httpMethod": "GET", "path": "/strait/health", "multiValueHeaders": {"a": ["b"]}},
        {"rawPath": "/prod/strait/health", "requestContext": {"stage": "prod"}},
    ],
)
def test_a_function_knows_where_it_is_mounted(event):
    if "rawPath" in event:
        event["requestContext"]["http"] = {"method": "GET"}
    reply = aws_lambda(JOBS, base_path="/strait/", **OPTIONS)(event, None)
    assert (reply["statusCode"], json.loads(reply["body"])["status"]) == (200, "ok")
    assert reply.get("multiValueHeaders", reply.get("headers"))["content-type"] in (
        "application/json",
        ["application/json"],
    )


def test_a_function_that_is_called_with_no_request_says_what_it_takes():
    with pytest.raises(ValueError, match=r"takes HTTP requests.*not an event with 'detail', 'id'"):
        aws_lambda(JOBS, **OPTIONS)({"id": 1, "detail": {}}, None)


def test_a_function_refuses_what_is_no_base64():
    event = {"httpMethod": "POST", "path": "/jobs/echo", "body": "?", "isBase64Encoded": True}
    assert aws_lambda(JOBS, **OPTIONS)(event, None)["statusCode"] == 400


@pytest.mark.parametrize("own", [{}, {"x-strait-timeout-secs": "60"}])
def test_an_attempt_times_out_before_its_function_does(own):
    async def slow(payload, ctx):
        await asyncio.Event().wait()

    class Context:
        def get_remaining_time_in_millis(self):
            return 1010

    job = define_job(JobOptions(name="S", slug="s", run=slow, timeout_secs=60))
    event = {"httpMethod": "POST", "path": "/jobs/s", "headers": {"X-Run-ID": "r", **own}}
    assert aws_lambda([job], **OPTIONS)(event, Context())["statusCode"] == 504


# ----------------------------------------------------------------------------------- Starlette


async def test_a_mounted_host_is_closed_with_its_application():
    from contextlib import asynccontextmanager

    from starlette.applications import Starlette

    seen = []

    @asynccontextmanager
    async def own(app):
        seen.append("begin")
        yield {"own": 1}
        seen.append("end")

    app = Starlette(lifespan=own)
    host = mount(app, JOBS, **OPTIONS)
    async with app.router.lifespan_context(app) as state:
        assert (state, seen) == ({"own": 1}, ["begin"])
        host._platform._transport()
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://h") as client:
            answer = await client.post("/strait/jobs/echo", json=1, headers=RUN)
            assert answer.json()["payload"] == 1
    assert seen == ["begin", "end"]
    assert host._platform._own is None


def test_no_framework_is_imported_but_by_its_own_module():
    program = (
        "import sys, strait.serve\n"
        "print([n for n in ('django', 'fastapi', 'flask', 'starlette') if n in sys.modules])"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (said.stdout, said.returncode) == ("[]\n", 0), said.stderr
