"""What a person sees at a terminal, and how commands end when they are interrupted or unread."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from strait.cli import lookup, output, progress

from .processes import PATIENCE_SECS, environment
from .shop import Shop, shop_at

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with shop_at(tmp_path_factory.mktemp("shop")) as made:
        yield made


def at_terminal(shop: Shop, *words: str, columns: int = 200, **variables: str) -> str:
    """Run a command at a terminal of its own, and return what it shows there."""
    here, there = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "strait.cli", *words],
        stdin=there, stdout=there, stderr=there, cwd=shop.directory,
        env=environment(TERM="xterm", COLUMNS=str(columns), **variables),
    ) as process:  # fmt: skip
        os.close(there)
        shown = b""
        while True:
            try:
                part = os.read(here, 65_536)
            except OSError:  # Linux says so when the other side is closed
                break
            if not part:
                break
            shown += part
        os.close(here)
        assert process.wait(PATIENCE_SECS) == 0, shown
    return shown.decode()


def test_tables_are_drawn_at_a_terminal_unless_told_otherwise(shop: Shop) -> None:
    drawn = at_terminal(shop, "jobs", "list")
    assert "\x1b[1m" in drawn, "headings are bold"
    assert "greet" in drawn
    assert "\x1b[" not in at_terminal(shop, "jobs", "list", NO_COLOR="1")
    assert "\x1b[" not in shop.done("jobs", "list")


def test_the_progress_of_a_run_is_a_bar_at_a_terminal(shop: Shop) -> None:
    shown = at_terminal(shop, "trigger", "greet", "name=Ada", "--wait")
    assert f"[{'#' * 15}{' ' * 15}]  50% half of it" in shown
    assert '"text": "hello Ada"' in shown


def test_what_goes_on_for_long_is_shown_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(progress, "_AFTER_SECS", 0.0)
    seen: list[str] = []
    for done in progress.tracked("copy", range(2)):
        seen.append(capsys.readouterr().err)
        assert done == len(seen) - 1
    assert seen[0].startswith("\rcopy [")
    assert "100%" in capsys.readouterr().err


def test_an_interrupt_is_told_in_one_line_with_130(shop: Shop) -> None:
    run = shop.json("trigger", "patient", "event=never")
    with subprocess.Popen(
        [sys.executable, "-m", "strait.cli", "runs", "watch", run["id"], "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=shop.directory,
        env=environment(),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert "status_change" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_SECS)
    # Where the terminal has written ^C, the line begins below it.
    assert (process.returncode, errors) == (130, "\nstrait: interrupted\n")
    shop.done("runs", "cancel", run["id"])


def test_who_stops_reading_gets_no_traceback(shop: Shop) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "strait.cli", "jobs", "list"],
        stdout=writer, stderr=subprocess.PIPE, text=True, cwd=shop.directory,
        env=environment(), check=False,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("columns", [40, 80])
def test_a_narrow_terminal_loses_no_column_and_cuts_no_word(shop: Shop, columns: int) -> None:
    shop.run("trigger", "refuse", "--payload", "{}", "--wait")
    drawn = at_terminal(shop, "runs", "list", "--job", "refuse", "--limit", "1", columns=columns)
    for word in ("status", "attempt", "created", "error", "refuse", "failed"):
        assert word in drawn
    assert "enabled" in at_terminal(shop, "jobs", "list", columns=columns)


def test_a_text_at_the_end_of_a_row_is_folded_below_its_heading(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "32")
    monkeypatch.setattr(output, "is_drawn", lambda: True)
    output.table(["run", "error"], [["r-1", "a text that has far more words than fit"]])
    told = capsys.readouterr().out.splitlines()
    assert told == ["run  error", "r-1  a text that has far more", "     words than fit"]


@pytest.mark.parametrize("words", ["jobs list", "export", "check nowhere", "doctor"])
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_ends_no_command(shop: Shop, words: str, closed: str) -> None:
    command = f"exec {sys.executable} -m strait.cli {words} {closed}"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, cwd=shop.directory,
        env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == (words == "check nowhere"), done.stderr
    assert "fault" not in done.stderr


@contextmanager
def stranger(body: bytes, *, status: int = 200, health: bytes | None = None) -> Iterator[str]:
    """Serve one answer to whatever is asked, but to the question for health, at an address."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = health if health is not None and self.path == "/health" else body
            self.send_response(200 if said is health else status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    "body", [b"null", b"[]", b"{}", b"", b"<html>a proxy</html>", b'{"data": [1]}', b'{"data": []}']
)
@pytest.mark.parametrize(
    "words", [("jobs", "list"), ("runs", "logs", "r"), ("trigger", "x"), ("export",)], ids=" ".join
)
def test_what_is_no_platform_is_told_as_that(
    tmp_path: Path, words: tuple[str, ...], body: bytes
) -> None:
    with stranger(body) as url:
        where = {"STRAIT_BASE_URL": url, "STRAIT_API_KEY": "k", "STRAIT_PROJECT": "p"}
        code, line = Shop(tmp_path, None).refused(*words, **where)
    advice = "`strait config` shows where that address comes from"
    assert (code, line) == (6, f"what answers at {url} is no Strait platform — {advice}")


def test_a_page_that_is_not_found_is_no_job_that_is_not_there(tmp_path: Path) -> None:
    with stranger(b"404 page not found", status=404) as url:
        where = {"STRAIT_BASE_URL": url, "STRAIT_API_KEY": "k"}
        code, line = Shop(tmp_path, None).refused("runs", "show", "r", **where)
    assert (code, line.partition(" — ")[0]) == (6, f"what answers at {url} is no Strait platform")


def test_a_platform_behind_a_proxy_that_takes_headers_away_is_one(tmp_path: Path) -> None:
    with stranger(b'{"data": []}', health=b'{"status": "healthy"}') as url:
        where = {"STRAIT_BASE_URL": url, "STRAIT_API_KEY": "k"}
        assert Shop(tmp_path, None).done("jobs", "list", "--json", **where) == "[]\n"


def test_the_doctor_says_that_it_is_no_platform(tmp_path: Path) -> None:
    with stranger(b"null") as url:
        where = {"STRAIT_BASE_URL": url, "STRAIT_API_KEY": "k"}
        told = Shop(tmp_path, None).run("doctor", **where)
    assert told.exit_code == 1
    assert f"fail  platform    what answers at {url} is no Strait platform" in told.output


def test_a_server_that_fails_is_told_as_one(tmp_path: Path) -> None:
    with stranger(b"", status=500) as url:
        where = {"STRAIT_BASE_URL": url, "STRAIT_API_KEY": "k"}
        assert Shop(tmp_path, None).refused("workflows", "list", **where)[0] == 6


def test_a_redirect_to_a_page_is_no_answer_of_a_platform(tmp_path: Path) -> None:
    class Login(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", "/login")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Login) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        code, line = Shop(tmp_path, None).refused(
            "runs", "list",
            STRAIT_BASE_URL=f"http://127.0.0.1:{server.server_port}", STRAIT_API_KEY="k",
        )  # fmt: skip
        server.shutdown()
    assert (code, "the address of a platform?" in line) == (6, True)


def test_a_fault_of_ours_is_one_line_with_70_and_its_traceback_on_demand(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("not\nmeant")

    monkeypatch.setattr(lookup, "job", broken)
    code, line = shop.refused("jobs", "show", "greet")
    assert (code, line.startswith("RuntimeError: not meant — this is a fault")) == (70, True)
    asked = shop.run("jobs", "show", "greet", STRAIT_DEBUG="1")
    assert isinstance(asked.exception, RuntimeError)
