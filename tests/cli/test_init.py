"""`strait init`: every template is a project that runs, and whose own tests pass."""

from __future__ import annotations

import importlib
import json
import runpy
import sys
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest

from strait.cli.init_commands import TEMPLATES

from .processes import running
from .shop import Shop

pytestmark = pytest.mark.e2e

ENDS: dict[str, tuple[tuple[str, ...], Any]] = {
    "minimal": (("trigger", "greet", "name=Ada"), {"text": "hello Ada"}),
    "workflow": (("trigger", "purchase", "cups:=2"), None),
    "agent": (
        ("trigger", "research", "question=what?", "facts:=1"),
        {"facts": ["what?: it is a strait"]},
    ),
    "fastapi": (("trigger", "welcome", "name=Ada"), {"sent": "welcome Ada"}),
}


def passed(project: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the tests of a project as pytest would, and return how many there were."""
    with monkeypatch.context() as patch:
        patch.syspath_prepend(project)
        patch.delitem(sys.modules, "main", raising=False)
        found = runpy.run_path(str(project / "test_main.py"))
        tests = [value for name, value in found.items() if name.startswith("test_")]
        for test in tests:
            test()
        # Of this project; the next one has another.
        patch.delitem(sys.modules, "main")
        return len(tests)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_is_a_project_that_runs(
    tmp_path: Path, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "My Shop"
    outside = Shop(tmp_path, None)
    told = outside.json("init", "My Shop", "--template", template)
    assert sorted(told["files"]) == sorted(path.name for path in project.iterdir())
    assert "{{" not in "".join(path.read_text() for path in project.iterdir())
    metadata = tomllib.loads((project / "pyproject.toml").read_text())
    assert metadata["project"]["name"] == "my-shop"
    assert metadata["project"]["dependencies"][0].startswith("strait-python[all]>=")

    assert passed(project, monkeypatch) == 1

    words, result = ENDS[template]
    with running("dev", "main.py", "--port", "0", "--json", cwd=project) as platform:
        shop = Shop(project, platform)
        if template == "workflow":
            run = shop.json(*words)
            code, _ = shop.refused("runs", "watch", run["id"], "--timeout", "1")
            assert code == 124, "it waits for the approval"
            shop.done("workflows", "approve", run["id"])
            *_, last = shop.done("runs", "watch", run["id"], "--json").splitlines()
            ended = json.loads(last)
        else:
            ended = shop.json(*words, "--wait")
            assert ended["result"] == result
        assert ended["status"] == "completed"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("mine")
    code, line = Shop(tmp_path, None).refused("init")
    assert (code, "`main.py` is there already, and nothing was written" in line) == (3, True)
    assert [path.name for path in tmp_path.iterdir()] == ["main.py"]


def test_a_person_is_told_what_to_type_next(tmp_path: Path) -> None:
    told = Shop(tmp_path, None).done("init", "shop").splitlines()
    assert [line.strip() for line in told[1:]] == [
        "next:",
        "cd shop",
        "strait dev main.py",
        "strait trigger greet name=Ada --wait",
    ]


async def test_the_application_of_the_template_hosts_its_jobs_and_starts_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = Shop(tmp_path, None)
    outside.done("init", "--template", "fastapi")
    with running("dev", "main.py", "--port", "0", "--json", cwd=tmp_path) as platform:
        monkeypatch.setenv("STRAIT_BASE_URL", platform.base_url)
        monkeypatch.setenv("STRAIT_API_KEY", platform.ready["api_key"])
        monkeypatch.syspath_prepend(tmp_path)
        for name in ("main", "web"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        app = importlib.import_module("web").app
        for name in ("main", "web"):
            monkeypatch.delitem(sys.modules, name)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as web:
            assert (await web.get("/strait/health")).status_code == 200
            answer = await web.post("/users/Ada")
        assert answer.status_code == 202
        shop = Shop(tmp_path, platform)
        *_, last = shop.done("runs", "watch", answer.json()["run"], "--json").splitlines()
        assert json.loads(last)["result"] == {"sent": "welcome Ada"}
