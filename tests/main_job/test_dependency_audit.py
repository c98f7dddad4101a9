"""The main job: its findings are true, and killing it loses nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from examples.dependency_audit import inspection, report
from strait.store.connection import open_reader

REPO = Path(__file__).parents[2]


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A distribution with a changed file, a missing one, unmet dependencies and no licence."""
    info = tmp_path / "broken-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: broken\nVersion: 1.2\n"
        "Requires-Dist: pytest>=9999\nRequires-Dist: not-installed-anywhere\n"
        "Requires-Dist: only-elsewhere; sys_platform == 'none'\nRequires-Dist: pydantic>=2\n"
    )
    (tmp_path / "broken.py").write_text("print('changed after it was installed')\n")
    (tmp_path / "intact.py").write_text("x = 1\n")
    before, intact = _hash(b"as it was installed"), _hash(b"x = 1\n")
    (info / "RECORD").write_text(
        f"broken.py,{before},19\nintact.py,{intact},6\ngone.py,{before},1\n"
        "broken-1.2.dist-info/METADATA,,\nbroken-1.2.dist-info/RECORD,,\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return "broken"


def _hash(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
    return "sha256=" + digest.rstrip(b"=").decode()


def test_what_is_wrong_with_a_distribution_is_found(broken: str) -> None:
    found = inspection.inspect(broken)
    assert found["changed"] == ["broken.py"]
    assert found["missing"] == ["gone.py"]
    assert found["licence"] == ""
    assert found["unmet"] == [
        f"pytest>=9999 ({metadata.version('pytest')} is installed)",
        "not-installed-anywhere (not installed)",
    ]
    assert found["files"] == 4


def test_the_report_names_every_finding(broken: str, tmp_path: Path) -> None:
    failed = [{"name": "other", "error": "it could not be read"}]
    path = report.write(tmp_path / "out", [inspection.inspect(broken)], failed)
    text = path.read_text()
    for words in ("`broken.py`", "`gone.py`", "declares no licence", "it could not be read"):
        assert words in text
    totals = json.loads(path.with_name("report.json").read_text())["totals"]
    assert totals["with_findings"] == ["broken"]
    assert totals["not_audited"] == ["other"]


@pytest.mark.e2e
@pytest.mark.timeout(120)
def test_a_demo_that_is_killed_half_way_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = _demo(tmp_path)
    assert first.stdout is not None
    for line in first.stdout:
        if "distributions audited" in line:
            break
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()

    second = _demo(tmp_path)
    output, _ = second.communicate(timeout=90)
    assert second.returncode == 0, output
    assert "going on with workflow run" in output
    assert "step `collect` needed 3 attempts" in output
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    installed = len(inspection.distributions())
    assert written["totals"]["distributions"] == installed
    with_reader = open_reader(tmp_path / "demo.db")
    (runs,) = with_reader.execute(
        "SELECT count(*) FROM runs WHERE parent_run_id IS NOT NULL"
    ).fetchone()
    with_reader.close()
    assert runs == installed, "no distribution was spawned twice"


def _demo(directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-u", "-m", "examples.dependency_audit"),
            *("--db", str(directory / "demo.db"), "--directory", str(directory / "out")),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=REPO,
        env={**os.environ, "PYTHONPATH": f"{REPO / 'src'}:{REPO}"},
        start_new_session=True,
    )
