"""Handlers in processes of their own: they are killed, they die, and what they say gets through."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress

import httpx
import pytest
import pytest_asyncio

from strait.authoring import DefinitionError, JobOptions, define_job
from strait.reserved import event_state_key
from strait.serve import asgi, execution
from strait.serve.isolation import Children, how_it_ended

from .conftest import Dispatcher, Platform
from .isolated_jobs import JOBS
from .processes import ROOT, serving

ENDED = (410, "run has reached a terminal state")


pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dispatch():
    """A way to dispatch to one host, whose processes are used again as they are anywhere."""
    platform = Platform()
    async with serving(platform) as url:
        host = asgi(JOBS, base_url=url, heartbeat_secs=0.05, cancel_grace_secs=0.05)
        front = httpx.AsyncClient(transport=httpx.ASGITransport(host), base_url="http://host.test")
        async with front:
            dispatcher = Dispatcher(host, front)
            dispatcher.platform = platform
            yield dispatcher
        await host.close()


@pytest.fixture
def platform(dispatch):
    yield dispatch.platform
    dispatch.platform.calls.clear()
    dispatch.platform.refuse.clear()
    dispatch.platform.state.clear()


async def until(condition):
    async with asyncio.timeout(60):
        while not (found := condition()):  # noqa: ASYNC110 - another process cannot be awaited
            await asyncio.sleep(0.01)
        return found


def is_alive(pid):
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


async def pid_of(note):
    return int(await until(lambda: note.exists() and note.read_text()))


async def test_a_handler_runs_in_a_process_that_is_used_again(dispatch, platform):
    first = (await dispatch("pid")).json()
    assert first != os.getpid()
    assert (await dispatch("pid")).json() == first


async def test_what_a_handler_asks_and_returns_gets_through(dispatch, platform):
    answer = await dispatch("typed", {"number": 1})
    assert answer.json() == {"number": 2}
    assert platform.bodies("checkpoint") == [{"state": {"n": 1}, "source": "sdk"}]
    assert [body["message"] for body in platform.bodies("log")] == ["typed"]


async def test_a_payload_that_does_not_fit_is_refused(dispatch, platform):
    answer = await dispatch("typed", {"number": "x"})
    assert answer.json()["error"]["type"] == "PayloadError"


async def test_steps_are_recorded_and_not_done_again(dispatch, platform):
    assert (await dispatch("steps", {"n": 4})).json() == [8, 6, 1]
    recorded = len(platform.bodies("state"))
    assert (await dispatch("steps", {"n": 4}, X_Attempt="2")).json() == [8, 6, 2]
    assert len([body for body in platform.bodies("state") if body]) < 2 * recorded


async def test_a_wait_ends_the_attempt(dispatch, platform):
    assert (await dispatch("event")).status_code == 202
    platform.state[event_state_key("e", 0)] = {"payload": 5}
    assert (await dispatch("event")).json() == 5


@pytest.mark.parametrize(
    ("how", "status", "kind"),
    [
        ("value", 500, "ValueError"),
        ("final", 422, "NonRetryable"),
        ("later", 429, "RetryAfter"),
        ("exit", 500, "SystemExit"),
    ],
)
async def test_errors_mean_what_they_mean_elsewhere(dispatch, platform, how, status, kind):
    answer = await dispatch("raises", how)
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
    assert answer.headers.get("retry-after") == ("7" if how == "later" else None)
    assert ("fail" in platform.operations) == (how == "final")


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("exit", "the process of the handler ended with exit code 7"),
        ("segfault", "the process of the handler was ended by SIGSEGV"),
        ("kill", "was ended by SIGKILL, as the system does when memory runs out"),
    ],
)
async def test_a_process_that_dies_is_a_failure_that_says_how(dispatch, platform, how, text):
    answer = await dispatch("dies", how)
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "ProcessDied")
    assert text in answer.json()["error"]["message"]
    assert text in platform.bodies("log")[-1]["message"]


async def test_a_handler_that_never_stops_is_killed_at_its_timeout(dispatch, platform, tmp_path):
    note, hook = tmp_path / "note", tmp_path / "hook"
    payload = {"note": str(note), "hook": str(hook)}
    await dispatch("pid")
    answer = await dispatch("spins", payload, X_Strait_Timeout_Secs="0.5")
    assert answer.status_code == 504
    assert answer.json()["error"]["message"] == "the handler of job `spins` took over 0.5 s"
    pid = await pid_of(note)
    assert not is_alive(pid)
    assert hook.read_text() == f"{os.getpid()} the handler of job `spins` took over 0.5 s"
    (said,) = platform.bodies("log")
    assert said["message"] == "TimeoutError: the handler of job `spins` took over 0.5 s"


async def test_a_process_that_gives_nobody_a_turn_is_killed_too(dispatch, platform, tmp_path):
    note = tmp_path / "note"
    await dispatch("pid")
    answer = await dispatch("holds_everything", {"note": str(note)}, X_Strait_Timeout_Secs="0.5")
    assert answer.status_code == 504
    assert not is_alive(await pid_of(note))


async def test_a_handler_whose_run_has_ended_is_told_and_then_killed(dispatch, platform, tmp_path):
    note = tmp_path / "note"
    answer = asyncio.create_task(dispatch("spins", {"note": str(note)}))
    pid = await pid_of(note)
    platform.refuse["heartbeat"] = ENDED
    assert (await answer).json()["error"] == {
        "type": "AttemptOutlived",
        "message": "the run has ended",
    }
    assert not is_alive(pid)


async def test_an_async_handler_may_tidy_up_when_it_is_canceled(
    dispatch, platform, tmp_path, monkeypatch
):
    # A machine that is very busy takes longer than what a process usually gets for it.
    monkeypatch.setattr(execution, "LAST_WORDS_SECS", 60)
    note = tmp_path / "note"
    answer = asyncio.create_task(dispatch("awaits", {"note": str(note)}))
    await pid_of(note)
    assert dispatch.host._executor.cancel("run_1", "drain")
    assert (await answer).status_code == 503
    assert note.read_text() == "drain"


async def test_a_process_in_which_something_is_left_is_not_used_again(dispatch, platform):
    first = (await dispatch("leaves_a_task")).json()
    assert (await dispatch("pid")).json() != first
    assert not is_alive(first)


async def test_no_process_outlives_its_host(dispatch, platform, tmp_path):
    note = tmp_path / "note"
    idle = (await dispatch("pid")).json()
    answer = asyncio.create_task(dispatch("awaits", {"note": str(note)}))
    busy = await pid_of(note)
    other = (await dispatch("pid")).json()
    await dispatch.host.close()
    assert (await answer).json()["error"]["type"] == "ProcessDied"
    assert not any(is_alive(pid) for pid in (idle, busy, other))
    # The host can be used on.
    assert (await dispatch("pid")).status_code == 200


async def test_a_process_ends_with_its_parent_however_that_ends(tmp_path):
    program = """
import asyncio, os, sys
from strait.serve import asgi
import serve.isolated_jobs as jobs
import httpx

async def main():
    host = asgi(jobs.JOBS, base_url="http://127.0.0.1:9")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(host), base_url="http://h"
    ) as client:
        headers = {"X-Run-ID": "r"}
        idle = (await client.post("/jobs/pid", json={}, headers=headers)).json()
        print(idle, flush=True)
        os.kill(os.getpid(), 9)

if __name__ == "__main__":
    asyncio.run(main())
"""
    path = tmp_path / "program.py"
    path.write_text(program)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(path)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}:{ROOT}"},
    )
    child = int(await process.stdout.readline())
    await process.communicate()
    await until(lambda: not is_alive(child))


async def test_a_job_that_no_other_process_finds_is_refused():
    async def inside(payload, ctx):
        pass

    job = define_job(JobOptions(name="I", slug="inside", run=inside, isolation="process"))
    with pytest.raises(DefinitionError, match="job `inside` has `isolation='process'`"):
        asgi([job])


async def test_no_other_isolation_is_known():
    with pytest.raises(DefinitionError, match="`isolation` must be"):
        define_job(JobOptions(name="I", slug="i", run=print, isolation="thread"))


async def test_a_host_needs_a_process_for_them():
    with pytest.raises(ValueError, match="`max_processes` must be 1 or more, not 0"):
        Children(0)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (None, "does not answer"),
        (3, "exit code 3"),
        (-15, "by SIGTERM"),
        (-63, "by signal 63"),
    ],
)
async def test_how_a_process_ended_is_said_in_words(code, text):
    assert how_it_ended(code).endswith(text) or text in how_it_ended(code)
