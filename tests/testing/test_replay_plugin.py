"""`pytest --strait-replay`, in a pytest of its own: exported runs against code that has changed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from strait.authoring.recorded.arguments import fingerprint
from strait.reserved import step_key
from strait.testing.replay_plugin import Replays

ROOT = Path(__file__).parents[2]
SHOP = """
from strait.authoring import JobOptions, define_job


def charge(cents):
    raise AssertionError("it is on record")


async def pay(payload, ctx):
    return {"paid": await ctx.step("charge", charge, payload["cents"])}


def pack(payload, ctx):
    return ctx.step("charge", charge, payload["cents"] + 1)


def count(payload, ctx):
    raise LookupError("nothing is counted")


jobs = [
    define_job(JobOptions(name=name, slug=name, run=run))
    for name, run in (("pay", pay), ("pack", pack), ("count", count))
]
pay_job = jobs[0]
"""


def fixture(slug: str, **more: Any) -> dict[str, Any]:
    record = {
        "name": "charge", "occurrence": 0, "fingerprint": fingerprint([5], {}),
        "status": "completed", "started_at": "", "finished_at": "", "attempts": 1,
        "at": "shop.py:9", "idempotency_key": "k", "output": "r-1",
    }  # fmt: skip
    return {
        "format": "strait.fixture/1",
        "job": {"slug": slug},
        "run": {"id": f"run_{slug}", "status": "completed"},
        "payload": {"cents": 5},
        "attempt": {"number": 1, "last_checkpoint": None, "previous_error": None},
        "state": {},
        "recorded": {step_key("charge", 0): record},
        "children": {},
        "outcome": {"result": {"paid": "r-1"}},
        "missing": [],
        **more,
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a test of its own, jobs, and a run of each, one of them two times."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "test_own.py").write_text("def test_own():\n    pass\n")
    runs = tmp_path / "runs"
    (runs / "deep").mkdir(parents=True)
    (runs / "pay.json").write_text(json.dumps(fixture("pay")))
    named = fixture("pay", job={"slug": "pay", "target": "shop:pay_job"})
    (tmp_path / "named.json").write_text(json.dumps(named))
    (runs / "deep" / "pack.json").write_text(json.dumps(fixture("pack")))
    (runs / "count.json").write_text(json.dumps(fixture("count")))
    (runs / "other.json").write_text('{"format": "else"}')
    return tmp_path


def replayed(project: Path, *arguments: str) -> str:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:asyncio", "-p", "no:strait"),
            *("-p", "strait.testing.plugin", "-p", "no:cacheprovider", "-q", "-rA", *arguments),
        ],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def test_each_exported_run_of_a_directory_is_a_test_of_the_code(project: Path) -> None:
    said = replayed(project, "--strait-replay", "runs", "--strait-app", "shop")
    assert "2 failed, 1 passed" in said
    assert "PASSED runs/pay.json::pay" in said
    assert "step `charge`: recorded at shop.py:9 with other arguments than now" in said
    assert "where it is asked with (6)" in said
    assert 'recorded: completed with {"paid": "r-1"}; now: raised LookupError' in said
    # The user's own line is shown, not ours.
    assert 'raise LookupError("nothing is counted")' in said
    assert "test_own" not in said


def test_a_file_says_where_its_job_is_and_tests_that_are_named_run_too(project: Path) -> None:
    files = ("--strait-replay", "named.json", "--strait-replay", "runs/pay.json")
    said = replayed(project, *files, "test_own.py")
    assert "1 failed, 2 passed" in said
    assert "PASSED named.json::pay" in said
    assert "does not say where job `pay` is; give --strait-app TARGET" in said


def test_what_is_missing_is_told_in_one_line(project: Path) -> None:
    (project / "pytest.ini").write_text("[pytest]\nstrait_app =\n    shop:pay_job\n")
    files = ["runs/deep/pack.json", "runs/other.json", "runs/pay.json"]
    options = [word for name in files for word in ("--strait-replay", name)]
    said = replayed(project, *options, "--continue-on-collection-errors")
    assert "1 failed, 1 passed, 1 error" in said
    assert "there is no job `pack` in `shop:pay_job`" in said
    assert "is not a run of the format `strait.fixture/1` but 'else'" in said


def test_a_path_that_is_not_there_is_a_wrong_use_of_the_command_line(
    pytestconfig: pytest.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone.json"
    monkeypatch.setattr(pytestconfig.option, "strait_replay", [str(gone)])
    with pytest.raises(pytest.UsageError, match=re.escape(f"there is no `{gone}`")):
        Replays(pytestconfig)
