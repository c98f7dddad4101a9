"""`strait dev` loads the code anew when it is saved, and nothing that runs is lost by that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .processes import environment
from .reloading import APP, Dev, dev, gone, moved_on

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for processes of others"),
]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    file = tmp_path / "app.py"
    file.write_text(APP)
    return file


class Blocked:
    """A run whose handler is in the midst of it, until the test lets it go.

    The handler reads a pipe; opening the other end of it waits until it does.
    """

    def __init__(self, it: Dev, folder: Path, name: str = "gate") -> None:
        pipe = folder / name
        os.mkfifo(pipe)
        self.id = it.trigger("block", {"gate": str(pipe)})
        self._pipe = pipe
        self._end = os.open(pipe, os.O_WRONLY)

    def begin_anew(self) -> None:
        """Wait until another process is in the midst of it."""
        os.close(self._end)
        self._end = os.open(self._pipe, os.O_WRONLY)

    def let_go(self) -> None:
        os.close(self._end)


def test_a_running_run_finishes_on_the_old_code_and_what_waits_goes_on_in_the_new(
    app: Path,
) -> None:
    with dev("app.py", "--ephemeral", cwd=app.parent) as it:
        waiting = it.trigger("wait", {"event": "paid"})
        it.until("run", id=waiting, status="waiting")
        running = Blocked(it, app.parent)
        queued = it.trigger("block", {"gate": os.devnull})
        (old,) = [one["pid"] for one in it.status()["processes"]]
        ended = gone(old)
        moved_on(app, '"version": 1', '"version": 2')
        told = it.until("reload")
        assert (told["version"], told["files"], told["running_on_old"]) == (2, ["app.py"], 1)
        assert told["changes"] == "3 jobs updated"
        assert it.result(it.trigger("answer")) == {"version": 2}
        status = it.status()
        assert [one["code_version"] for one in status["processes"]] == [1, 2]
        assert [one["running"] for one in status["processes"]] == [1, 0]
        with it.client() as client:
            client.event_triggers.send("paid", payload={"cents": 5})
            assert {job.version for job in client.jobs.list()} == {1}, "a reload changes no job"
        assert it.result(waiting) == {"version": 2, "event": {"cents": 5}}
        running.let_go()
        assert it.result(running.id) == {"version": 1}
        assert it.result(queued) == {"version": 2}
        ended()
        # Of the same size and within the same second: no bytecode of before is believed.
        moved_on(app, '"version": 2', '"version": 3')
        assert it.until("reload")["version"] == 3
        assert it.result(it.trigger("answer")) == {"version": 3}
        it.process.terminate()
        assert it.process.wait(30) == 0


def test_code_that_cannot_be_imported_changes_nothing_and_is_told_with_its_line(app: Path) -> None:
    helper = app.parent / "helper.py"
    helper.write_text("VERSION = 1\n")
    app.write_text("import helper\n" + APP)
    with dev("app.py", "--ephemeral", cwd=app.parent) as it:
        helper.write_text("VERSION = 1\n\nraise ValueError('on purpose')\n")
        told = it.until("error")
        assert (told["type"], told["at"]) == ("ValueError", "helper.py:3")
        assert "on purpose" in told["message"]
        assert [line.split('"')[1] for line in told["trace"]] == [
            str(app.resolve()),
            str(helper.resolve()),
        ]
        status = it.status()
        assert (status["state"], status["code_version"]) == ("failed", 1)
        assert status["error"]["at"] == "helper.py:3"
        assert it.result(it.trigger("answer")) == {"version": 1}, "the last good version serves"
        moved_on(app, '"version": 1', '"version": 2')
        assert it.until("error")["at"] == "helper.py:3"
        helper.write_text("VERSION = 2\n")
        it.until("reload", version=2)
        assert it.result(it.trigger("answer")) == {"version": 2}
        status = it.status()
        assert status["state"] == "serving"
        assert "error" not in status


def test_a_first_start_with_an_error_waits_for_it_to_be_put_right(app: Path) -> None:
    app.write_text("from not_yet import something\n" + APP)
    with dev("app.py", "--ephemeral", cwd=app.parent) as it:
        assert set(it.ready) == {"base_url", "api_key", "project_id"}
        told = it.until("error")
        assert (told["type"], told["at"]) == ("ModuleNotFoundError", "app.py:1")
        assert it.status()["state"] == "failed"
        (app.parent / "not_yet.py").write_text("something = 1\n")
        it.until("serving")
        assert it.result(it.trigger("answer")) == {"version": 1}


def test_twenty_saves_in_a_burst_load_the_code_once(app: Path) -> None:
    with dev("app.py", "--ephemeral", cwd=app.parent) as it:
        for number in range(2, 22):
            app.write_text(APP.replace('"version": 1', f'"version": {number}'))
        it.until("reload")
        while (found := it.result(it.trigger("answer"))) != {"version": 21}:
            assert found != {"version": 1}
            it.until("reload")
        it.process.terminate()
        it.process.wait(30)
        reloads = [one for one in it.rest() if one["event"] == "reload"]
    # On a machine that was busy in the midst of the burst it may be two.
    assert len(reloads) <= 2, reloads


def test_jobs_that_come_and_go_are_told_and_runs_of_one_that_is_gone_wait(app: Path) -> None:
    more = '\nextra_job = define_job(JobOptions(name="Extra", slug="extra", run=answer))\n'
    with dev("app.py", "--ephemeral", cwd=app.parent) as it:
        app.write_text(APP + more)
        assert it.until("reload")["changes"] == "3 jobs updated, 1 job added"
        assert it.result(it.trigger("extra")) == {"version": 1}
        app.write_text(APP)
        assert it.until("held")["job"] == "extra"
        assert it.until("reload")["changes"] == "3 jobs updated, 1 job removed"
        waiting = it.trigger("extra")
        it.until("run", id=waiting, status="held")
        assert it.result(it.trigger("answer")) == {"version": 1}
        with it.client() as client:
            assert client.runs.get(waiting).status == "queued"
            (why,) = [e.message for e in client.runs.list_events(waiting) if e.level == "warn"]
            assert "does not define the job `extra`" in why
        assert it.status()["held_jobs"] == ["extra"]
        app.write_text(APP + more)
        it.until("reload")
        assert it.result(waiting) == {"version": 1}


def test_no_child_survives_a_platform_that_is_killed(app: Path) -> None:
    with dev("app.py", "--ephemeral", cwd=app.parent) as it:
        running = Blocked(it, app.parent)
        moved_on(app, '"version": 1', '"version": 2')
        it.until("reload")
        children = it.pids()
        assert len(children) >= 2, "an old version and a new one, and one that waits"
        ends = [gone(pid) for pid in children]
        it.process.kill()
        for ended in ends:
            ended()
        running.let_go()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_code_whose_import_does_not_end_is_left_at_the_first_signal(
    app: Path, number: signal.Signals
) -> None:
    gate = app.parent / "gate"
    os.mkfifo(gate)
    app.write_text(f"open({str(gate)!r}).read()\n" + APP)
    process = subprocess.Popen(
        [sys.executable, "-m", "strait.cli", "dev", "app.py", "--ephemeral", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=app.parent, env=environment(),
    )  # fmt: skip
    # The pipe can be opened as soon as the import is at it; nothing is ever written.
    with process, open(gate, "w"):
        process.send_signal(number)
        out, _ = process.communicate(timeout=9)
    assert process.returncode == 0
    assert b'"base_url"' not in out, "it was never ready"


def test_a_save_stops_an_import_that_does_not_end_and_runs_go_on_meanwhile(app: Path) -> None:
    with dev("app.py", "--ephemeral", cwd=app.parent) as it:
        moved_on(app, "import os\n", "import os\nopen('gate').read()\n")
        os.mkfifo(app.parent / "gate")
        moved_on(app, '"version": 1', '"version": 2')
        # The pipe can be opened as soon as the import is at it; nothing is ever written.
        with open(app.parent / "gate", "w"):
            assert it.status()["state"] == "loading"
            assert it.result(it.trigger("answer")) == {"version": 1}
            hung = [gone(pid) for pid in it.pids() if pid != it.status()["processes"][0]["pid"]]
            moved_on(app, "open('gate').read()\n", "")
            assert it.until("reload")["files"] == ["app.py"]
            for ended in hung:
                ended()
        assert it.result(it.trigger("answer")) == {"version": 2}


def test_a_save_stops_the_very_first_import_too(app: Path) -> None:
    os.mkfifo(app.parent / "gate")
    (app.parent / "deep").mkdir()
    helper = app.parent / "deep" / "helper.py"
    helper.write_text("open('gate').read()\n")
    app.write_text("import deep.helper\n" + APP)
    with dev("app.py", "--ephemeral", cwd=app.parent, ready=False) as it:
        with open(app.parent / "gate", "w"):
            helper.write_text("")
            it.ready = it.line()
        assert it.result(it.trigger("answer")) == {"version": 1}


def test_code_that_asks_for_input_is_told_that_there_is_none(app: Path) -> None:
    app.write_text("name = input('your name? ')\n" + APP)
    with dev("app.py", "--ephemeral", cwd=app.parent) as it:
        told = it.until("error")
        assert (told["type"], told["at"]) == ("EOFError", "app.py:1")


def test_code_that_raises_an_interrupt_is_told_as_all_other_errors_are(app: Path) -> None:
    app.write_text("raise KeyboardInterrupt\n" + APP)
    with dev("app.py", "--ephemeral", cwd=app.parent) as it:
        told = it.until("error")
        assert (told["type"], told["at"]) == ("KeyboardInterrupt", "app.py:1")
        assert "Traceback" not in it.stderr


def test_a_process_in_the_midst_of_an_import_ends_with_its_platform(app: Path) -> None:
    os.mkfifo(app.parent / "gate")
    app.write_text("open('gate').read()\n" + APP)
    with (
        dev("app.py", "--ephemeral", cwd=app.parent, ready=False) as it,
        open(app.parent / "gate", "w"),
    ):
        ends = [gone(pid) for pid in it.pids()]
        assert ends
        it.process.kill()
        for ended in ends:
            ended()


def test_a_second_signal_ends_everything_at_once(app: Path) -> None:
    with dev("app.py", "--ephemeral", cwd=app.parent) as it:
        running = Blocked(it, app.parent)
        ends = [gone(pid) for pid in it.pids()]
        it.process.terminate()
        it.until("stopping")
        it.process.terminate()
        assert it.process.wait(9) == 1, "sooner than handlers are waited for"
        for ended in ends:
            ended()
        running.let_go()


def test_handlers_that_die_are_started_again(app: Path) -> None:
    dies = "    if ctx.attempt == 1:\n        os._exit(7)\n"
    app.write_text(APP.replace("def answer(payload, ctx):\n", f"def answer(payload, ctx):\n{dies}"))
    with dev("app.py", "--ephemeral", "--no-reload", cwd=app.parent) as it:
        run = it.trigger("answer")
        assert it.until("died")["status"] == 7
        assert it.result(run) == {"version": 1}


def test_an_old_version_too_many_is_ended_and_its_runs_begin_anew(app: Path) -> None:
    app.write_text(APP.replace("max_concurrency=1,", ""))
    with dev("app.py", "--ephemeral", cwd=app.parent) as it:
        first = Blocked(it, app.parent)
        is_gone = gone(it.status()["processes"][0]["pid"])
        others = []
        for number in range(2, 6):
            moved_on(app, f'"version": {number - 1}', f'"version": {number}')
            it.until("reload", version=number)
            if number < 5:
                others.append(Blocked(it, app.parent, f"gate-{number}"))
        (ended,) = [one for one in it.events if one["event"] == "ended"]
        assert (ended["version"], ended["runs"]) == (1, 1)
        is_gone()
        first.begin_anew()
        first.let_go()
        assert it.result(first.id) == {"version": 5}
        with it.client() as client:
            assert client.runs.get(first.id).attempt == 1
        for other in others:
            other.let_go()
