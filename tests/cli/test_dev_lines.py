"""The lines of `strait dev`, and what watches for it: without processes."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from strait.cli import dev_lines as lines
from strait.cli.dev_child import Loaded
from strait.cli.dev_console import Console
from strait.cli.dev_watch import Watcher
from strait.engine.model import Run
from strait.serve.loading import stamp
from strait.serve.registration import JobEntry, Manifest, WorkflowEntry
from strait.server.development import Defined, LoadError


def step(ref: str, *after: str, kind: str = "job") -> dict[str, Any]:
    return {"step_ref": ref, "depends_on": list(after), "step_type": kind}


def test_the_steps_of_a_workflow_are_one_line() -> None:
    steps = [
        step("ship", "review"),
        step("validate"),
        step("review", "charge", "mail", kind="approval"),
        step("charge", "validate"),
        step("mail", "validate"),
    ]
    assert lines.steps_line(steps) == "validate → charge | mail → review⏸ → ship"
    assert lines.steps_line([step("a", "b"), step("b", "a")]) == ""


def test_definitions_are_told_where_they_are_written() -> None:
    flow = WorkflowEntry("flow", "", {"steps": [step("a"), step("b", "a")]})
    loaded = Loaded(
        manifest=Manifest((), (flow,)),
        places=(Defined("workflow", "flow", "/p/z.py", 3), Defined("agent", "a", "/p/a.py", 10)),
    )
    assert list(lines.found(loaded, Path("/p"))) == [
        "    agent     a     a.py:10",
        "    workflow  flow  z.py:3   a → b",
    ]
    assert lines.summary(loaded) == "1 workflow, 1 agent"


def test_a_reload_tells_what_came_went_and_changed() -> None:
    def manifest(**slugs: int) -> Manifest:
        return Manifest(tuple(JobEntry(s, "", True, {"n": n}) for s, n in slugs.items()), ())  # noqa: FBT003

    loaded = Loaded(places=(Defined("job", "same", "/p/a.py", 1),))
    before, after = manifest(same=1, other=1, gone=1), manifest(same=1, other=2, new=1)
    told = lines.difference(before, after, set(), loaded)
    assert told == "1 job updated, 1 job added, 1 job removed"
    assert lines.difference(before, before, {"/p/a.py"}, loaded) == "1 job updated"
    assert lines.difference(before, before, {"/p/b.py"}, loaded) == "no definition changed"


def test_an_error_is_told_with_its_place_and_the_users_frames() -> None:
    error = LoadError("KeyError", "'x'", "/p/a.py:3", ('  File "/p/a.py", line 3\n    d["x"]',))
    assert lines.error_lines(error, Path("/p")) == [
        "a.py:3: KeyError: 'x'",
        '  File "/p/a.py", line 3',
        '    d["x"]',
    ]


def written(capfd: pytest.CaptureFixture[str], console: Console) -> tuple[list[str], list[str]]:
    console.close()
    out, err = capfd.readouterr()
    return out.splitlines(), err.splitlines()


class _Platform:
    reader = None
    development = None

    class jobs:
        @staticmethod
        def get(reader: object, job_id: str) -> None:
            return None


def a_run(status: str, **fields: Any) -> Run:
    return Run(
        id="01a2-5af18f3c", job_id="pay", project_id="p", status=status,
        created_at="2026-01-01T00:00:00Z", attempt=1, triggered_by="manual", priority=0,
        debug_mode=False, lineage_depth=0, **fields,
    )  # fmt: skip


def test_a_run_has_a_line_when_it_ends_waits_or_is_tried_again(
    capfd: pytest.CaptureFixture[str],
) -> None:
    console = Console(colour=False)
    tell = lines.RunLines(_Platform(), "http://here", console)  # type: ignore[arg-type]
    tell(a_run("queued"))
    tell(a_run("executing"))
    tell(a_run("queued", next_retry_at="2026-01-01T00:00:09Z", error="no\nluck"))
    tell(a_run("waiting"))
    tell(
        a_run("completed", started_at="2026-01-01T00:00:00Z", finished_at="2026-01-01T00:00:01.5Z")
    )
    _, told = written(capfd, console)
    assert [line.split()[1:4] for line in told] == [
        ["run_5af18f3c", "pay", "retry"],
        ["run_5af18f3c", "pay", "waiting"],
        ["run_5af18f3c", "pay", "completed"],
    ]
    assert told[0].endswith("no luck")
    assert "1.5 s" in told[2]
    assert "http://here/runs/01a2-5af18f3c" in told[2]


def test_for_programs_the_first_line_is_the_first_and_quiet_leaves_runs_out(
    capfd: pytest.CaptureFixture[str],
) -> None:
    console = Console(as_json=True, quiet=True)
    console.event("error", "for a person", at="a.py:1")
    console.run("text", {"event": "run"})
    console.ready({"base_url": "http://here"})
    out, err = written(capfd, console)
    assert [json.loads(line) for line in out] == [
        {"base_url": "http://here"},
        {"event": "error", "at": "a.py:1"},
    ]
    assert err == []


def test_colours_are_for_a_terminal_that_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Console().paint("x", "red") == "x"
    assert Console(colour=True).paint("x", "red") == "\x1b[31mx\x1b[0m"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert Console().paint("x", "red") == "x"
    monkeypatch.delenv("NO_COLOR")
    assert Console().paint("x", "red") != "x"


def test_a_reader_that_does_not_read_holds_up_nothing() -> None:
    reading, writing = os.pipe()
    console = Console(as_json=True)
    kept = os.dup(1)
    try:
        os.dup2(writing, 1)
        console.ready({})
        for _ in range(10_000):
            console.run("", {"event": "run", "text": "x" * 100})
    finally:
        while not console._waiting.empty():
            console._waiting.get_nowait()
        os.dup2(kept, 1)
        for descriptor in (kept, writing, reading):
            os.close(descriptor)
    assert console._left_out > 5_000


# ------------------------------------------------------------------------------------------ files


async def soon(watcher: Watcher) -> list[str]:
    async with asyncio.timeout(20):
        return [Path(path).name for path in await watcher.changes()]


async def test_a_file_that_is_saved_replaced_or_removed_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("1")

    def watch() -> Watcher:
        watcher = Watcher()
        watcher.watch({str(file): stamp(file)}, since=time.time())
        return watcher

    watcher = watch()
    assert watcher.changed() == {}
    file.write_text("22")
    assert await soon(watcher) == ["a.py"]
    watcher = watch()
    (tmp_path / "a.new").write_text("22")
    (tmp_path / "a.new").replace(file)
    assert await soon(watcher) == ["a.py"]
    watcher = watch()
    file.unlink()
    assert await soon(watcher) == ["a.py"]


async def test_new_files_count_in_trees_and_folders_and_nowhere_else(tmp_path: Path) -> None:
    for folder in ("tree/deep", "tree/.venv", "tree/node_modules", "flat/deep"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "tree" / "old.py").touch()
    os.utime(tmp_path / "tree" / "old.py")
    watcher = Watcher()
    since = (tmp_path / "tree" / "old.py").stat().st_ctime + 0.001
    watcher.watch({}, trees=[tmp_path / "tree"], folders=[tmp_path / "flat"], since=since)
    assert watcher.changed() == {}
    while time.time() < since + 0.02:  # noqa: ASYNC110 - the file system's clock has no event
        await asyncio.sleep(0.005)
    for name in ("tree/.venv/x.py", "tree/node_modules/x.py", "flat/deep/x.py", "tree/x.txt"):
        (tmp_path / name).touch()
    assert watcher.changed() == {}
    (tmp_path / "tree" / "deep" / "new.py").touch()
    (tmp_path / "flat" / "new.py").touch()
    assert sorted(await soon(watcher)) == ["new.py", "new.py"]
