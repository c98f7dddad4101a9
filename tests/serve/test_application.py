"""The host as an HTTP server: addresses, signatures, replays, forms of dispatches, bad input."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
import types

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from strait import ValidationError
from strait.authoring import DefinitionError, JobOptions, define_job
from strait.serve import asgi, inbound, job_url
from strait.serve.fastapi import mount
from strait.serve.guard import Guard, ReplayWindow

from .conftest import SECRET, run_token


async def echo(payload, ctx):
    return {"payload": payload, "run": ctx.run_id, "job": ctx.job_id, "attempt": ctx.attempt}


def job(slug="j", run=echo, **options):
    return define_job(JobOptions(name="J", slug=slug, run=run, **options))


async def test_health_tells_what_is_hosted(hosting):
    dispatch = await hosting(jobs=[job("b"), job("a")])
    answer = await dispatch.http.get("/health")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "ok", "jobs": ["a", "b"], "active": 0},
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/jobs/other", 404, "there is no job at `/jobs/other` on this host"),
        ("POST", "/jobs/remote", 404, "job `remote` has no handler here"),
        ("GET", "/", 404, "there is no job at `/` on this host"),
        ("GET", "/jobs/j", 405, "this address takes POST"),
        ("DELETE", "/health", 405, "this address takes GET"),
    ],
)
async def test_other_addresses_and_methods_are_refused(hosting, method, path, status, message):
    dispatch = await hosting(jobs=[job(), job("remote", run=None)])
    answer = await dispatch.http.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]["message"] == message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"a": ', "the body is no JSON"),
        (b"<html>", "the body is no JSON"),
        (b'{"a": NaN}', "`NaN` is no JSON"),
        (b"\xff\xfe", "the body is no JSON"),
        (b"[" * 100_000, "the body is no JSON"),
    ],
)
async def test_a_body_that_is_no_json_is_refused(hosting, body, message):
    answer = await (await hosting(echo))(payload=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "BadDispatch"
    assert message in answer.json()["error"]["message"]


async def test_a_request_without_a_run_is_refused(hosting):
    answer = await (await hosting(echo))(X_Run_ID=None)
    assert answer.status_code == 400
    assert "`X-Run-ID` is missing" in answer.json()["error"]["message"]


async def test_a_body_over_the_cap_is_refused(hosting):
    dispatch = await hosting(echo)
    cap = 10 * 1024 * 1024
    fits = b'"' + b"x" * (cap - 2) + b'"'
    assert (await dispatch(payload=fits)).status_code == 200
    assert (await dispatch(payload=fits + b" ")).status_code == 413

    async def parts():
        for _ in range(11):
            yield b"x" * 1024 * 1024

    answer = await dispatch.http.post("/jobs/j", content=parts())
    assert (answer.status_code, answer.json()["error"]["type"]) == (413, "BodyTooLarge")


async def test_an_empty_body_is_an_empty_payload(hosting):
    assert (await (await hosting(echo))(payload=b"")).json()["payload"] == {}


async def test_the_documented_envelope_is_unwrapped(hosting):
    envelope = {"payload": [1], "metadata": {}, "job_id": "job_9", "run_id": "run_1", "attempt": 4}
    dispatch = await hosting(echo)
    answer = await dispatch(
        payload=envelope, X_Run_Token=None, X_SDK_Token=run_token(), X_Job_ID=None, X_Attempt=None
    )
    assert answer.json() == {"payload": [1], "run": "run_1", "job": "job_9", "attempt": 4}


@pytest.mark.parametrize(
    "payload",
    [{"payload": 1}, {"payload": 1, "run_id": "run_2"}, {"run_id": "run_1"}, [{"payload": 1}]],
)
async def test_a_payload_that_only_looks_like_an_envelope_is_left_alone(hosting, payload):
    assert (await (await hosting(echo))(payload=payload)).json()["payload"] == payload


async def test_the_platforms_test_of_an_endpoint_does_not_run_the_handler(hosting):
    def run(payload, ctx):
        raise AssertionError("must not be called")

    dispatch = await hosting(run, signing_secret=SECRET)
    answer = await dispatch(
        payload={"type": "endpoint.test"},
        signed=SECRET,
        X_Run_ID=None,
        X_Run_Token=None,
    )
    assert (answer.status_code, answer.json()) == (200, {})


async def test_a_signed_dispatch_is_taken(hosting):
    dispatch = await hosting(echo, signing_secret=SECRET)
    body = b'{"a": 2,  "bb": 1}'
    assert (await dispatch(payload=body, signed=SECRET)).json()["payload"] == {"a": 2, "bb": 1}


@pytest.mark.parametrize(
    ("dispatch_with", "reason"),
    [
        ({}, "the signature is missing"),
        ({"signed": "another secret of some length"}, "the signature does not match"),
        ({"signed": SECRET, "sent_at": time.time() - 40_000}, "more than 300 s away"),
        ({"signed": SECRET, "sent_at": time.time() + 40_000}, "more than 300 s away"),
        ({"X_Strait_Signature": "v1=\xe9", "X_Strait_Timestamp": "1"}, "does not match"),
    ],
)
async def test_what_is_not_signed_well_and_freshly_is_refused(hosting, dispatch_with, reason):
    called = []

    async def run(payload, ctx):
        called.append(payload)

    dispatch = await hosting(run, signing_secret=SECRET)
    values = {
        k: v.encode("latin-1") if isinstance(v, str) and k.startswith("X") else v
        for k, v in dispatch_with.items()
    }
    answer = await dispatch(**values)
    assert answer.status_code == 401
    assert reason in answer.json()["error"]["message"]
    assert called == []


async def test_a_job_may_have_a_secret_of_its_own(hosting):
    own = "own-secret-0123456789"
    dispatch = await hosting(jobs=[job(endpoint_signing_secret=own), job("open")])
    assert (await dispatch()).status_code == 401
    assert (await dispatch(signed=own)).status_code == 200
    assert (await dispatch("open")).status_code == 200


async def test_an_assignment_is_taken_once(hosting):
    dispatch = await hosting(echo, signing_secret=SECRET)

    async def send(run="run_1", **claims):
        token = run_token(**claims)
        return (await dispatch(signed=SECRET, X_Run_ID=run, X_Run_Token=token)).status_code

    assert await send(assignment_id="a1") == 200
    assert await send(assignment_id="a1") == 409
    assert await send(assignment_id="a2") == 200
    assert await send(run="run_2", assignment_id="a1") == 200
    # Platforms that assign nothing dispatch an attempt again after a pause or a wait.
    assert await send() == 200
    assert await send() == 200


async def test_two_runs_with_one_signature_are_both_taken(hosting):
    dispatch = await hosting(echo, signing_secret=SECRET)
    answers = await asyncio.gather(
        *(
            dispatch(
                signed=SECRET,
                sent_at=1 + time.time() // 1,
                X_Run_ID=f"run_{i}",
                X_Run_Token=run_token(assignment_id="a"),
            )
            for i in range(3)
        )
    )
    assert [answer.status_code for answer in answers] == [200, 200, 200]


def test_a_replay_is_remembered_for_the_whole_window_and_then_forgotten():
    now = [0.0]
    window = ReplayWindow(10, lambda: now[0])
    assert not window.seen(b"r", "a")
    now[0] = 9.9
    assert not window.seen(b"r", "b")
    for at in (10, 19.8):
        now[0] = at
        assert window.seen(b"r", "b")
    now[0] = 41
    assert not window.seen(b"r", "c")
    now[0] = 52
    assert not window.seen(b"r", "a")


def test_a_signature_cannot_outlive_the_memory_of_its_dispatch():
    now = [1000.0]
    guard = Guard(lambda: now[0], tolerance_secs=300)
    headers = {b"x-run-id": b"r", b"x-run-token": run_token(assignment_id="a").encode()}
    assert not guard.is_replay(headers)
    # A signature from the sender's future is good for twice the tolerance.
    for later in range(0, 601, 50):
        now[0] = 1000.0 + later
        assert guard.is_replay(headers)


@given(st.binary())
def test_no_token_makes_reading_its_claims_raise(token):
    headers = {b"x-run-token": token}
    assert isinstance(inbound.assignment_of(headers), str)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                b"x-run-id",
                b"x-attempt",
                b"x-strait-timeout-secs",
                b"x-last-checkpoint",
                b"x-secret-a",
            ]
        ),
        st.binary(),
    ),
    st.binary()
    | st.builds(lambda v: json.dumps(v).encode(), st.dictionaries(st.text(), st.integers())),
)
def test_any_request_is_a_dispatch_or_a_bad_one(headers, body):
    with contextlib.suppress(inbound.BadDispatchError):
        found = inbound.parse(headers, body)
        assert found.run_id
        assert found.attempt >= 0
        assert found.timeout_secs is None or found.timeout_secs > 0


async def test_slugs_of_any_characters_have_an_address(hosting):
    slugs = ["a b", "a/b", "\u00e4", "100%", "x.y", "a?b#c"]
    dispatch = await hosting(jobs=[job(slug) for slug in slugs])
    for slug in slugs:
        url = job_url("http://host.test/", slug)
        answer = await dispatch.http.post(url, content=b"1", headers={"X-Run-ID": "run_1"})
        assert answer.json()["payload"] == 1


async def test_a_host_can_be_mounted_below_a_path(hosting):
    dispatch = await hosting(echo)
    mounted = httpx.ASGITransport(dispatch.host, root_path="/handlers")
    async with httpx.AsyncClient(transport=mounted, base_url="http://host.test") as http:
        answer = await http.post("/handlers/jobs/j", content=b"1", headers={"X-Run-ID": "run_1"})
    assert answer.json()["payload"] == 1


@pytest.mark.parametrize("path", ["/strait/health", "/api/strait/health"])
async def test_an_application_may_know_what_a_proxy_cuts_off(path):
    mounted = FastAPI()
    mount(mounted, [job()])

    async def behind_a_proxy(scope, receive, send):
        # As `FastAPI(root_path="/api")` does, whether the proxy has cut that off or not.
        await mounted({**scope, "root_path": "/api"}, receive, send)

    transport = httpx.ASGITransport(behind_a_proxy)
    async with httpx.AsyncClient(transport=transport, base_url="http://h") as client:
        answer = await client.get(path)
    assert answer.json()["jobs"] == ["j"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([echo], "`echo` is no job; give what `@job` or `define_job` makes of a function"),
        (["shop.jobs"], "`'shop.jobs'` is no job"),
        ("shop.jobs", "give a job, a list of jobs, or a module that has some, not 'shop.jobs'"),
        (None, "give a job, a list of jobs, or a module that has some, not None"),
    ],
)
def test_what_is_no_job_is_refused_rather_than_not_hosted(source, message):
    with pytest.raises(DefinitionError, match=re.escape(message)):
        asgi(source)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"signing_secret": None},
            "`signing_secret` must be a text, or a list of texts, not `None",
        ),
        ({"signing_secret": SECRET.encode()}, "`signing_secret` must be a text, .* not `bytes`"),
        ({"signing_secret": [b"x"]}, "`signing_secret` must be a text, .* not `list of other"),
        ({"max_body_bytes": "1"}, "`max_body_bytes` must be a whole number, 1 or more, not '1'"),
        ({"max_threads": 0}, "`max_threads` must be a whole number, 1 or more, not 0"),
        ({"heartbeat_secs": "10"}, "`heartbeat_secs` must be a number, 0 or more, not '10'"),
        ({"base_url": "nope"}, r"`base_url` must be an http\(s\) address, not 'nope'"),
    ],
)
def test_a_wrong_option_is_refused_when_the_host_is_made(options, message):
    with pytest.raises(ValueError if "heartbeat_secs" in options else ValidationError) as caught:
        asgi([job()], **options)
    assert re.search(message, str(caught.value))
    assert SECRET not in str(caught.value)


async def test_websockets_are_closed(hosting):
    dispatch = await hosting(echo)
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    await dispatch.host({"type": "websocket", "path": "/jobs/j"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1000}]


async def test_a_caller_that_leaves_while_it_sends_is_answered_nothing(hosting):
    dispatch = await hosting(echo)
    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/jobs/j", "headers": []}
    await dispatch.host(scope, receive, send)
    assert sent == []
    assert dispatch.host.active == 0


def test_a_module_can_be_hosted_and_two_jobs_of_one_slug_cannot():
    module = types.ModuleType("jobs")
    module.first = job("a")
    module.others = [job("b"), job("c")]
    assert sorted(asgi(module, base_url="http://x.test").jobs) == ["a", "b", "c"]
    with pytest.raises(DefinitionError, match="two jobs have the slug `a`"):
        asgi([job("a"), job("a")], base_url="http://x.test")


def test_the_platforms_address_comes_from_the_environment_if_not_given(monkeypatch):
    monkeypatch.setenv("STRAIT_BASE_URL", "https://platform.test")
    assert asgi(job())._platform.base_url == "https://platform.test"
