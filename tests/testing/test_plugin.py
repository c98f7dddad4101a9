"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

TESTS = """
from strait.authoring import JobOptions, define_job


async def greet(payload, ctx):
    await ctx.report_progress(50)
    return {"text": f"hello {payload['name']}"}


job = define_job(JobOptions(name="Greet", slug="greet", run=greet))


def test_platform_and_client_belong_together(strait_platform, strait_client):
    run = strait_platform.run(job, {"name": "ada"})
    assert strait_client.runs.get(run.id).result == {"text": "hello ada"}


def test_nothing_is_left_of_the_test_before(strait_client):
    assert list(strait_client.jobs.list()) == []


def test_a_mock_answers(strait_mock):
    strait_mock.answer("jobs.list", {"data": [], "has_more": False})
    with strait_mock.client() as client:
        assert list(client.jobs.list()) == []


def test_a_context_and_its_record(run_context):
    context, record = run_context(payload={"a": 1}, sync=True)
    context.checkpoint({"step": 1})
    assert record.checkpoints == [{"step": 1}]
"""


def run(*arguments, cwd=ROOT):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_fixtures_work_in_a_project_of_the_users(tmp_path):
    (tmp_path / "test_mine.py").write_text(TESTS)
    # By its module, so that it does not matter whether this copy is installed.
    plugins = ["-p", "no:asyncio", "-p", "no:strait", "-p", "strait.testing.plugin"]
    done = run("-m", "pytest", *plugins, "-q", "test_mine.py", cwd=tmp_path)
    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_the_plugin_loads_nothing_that_unused_fixtures_would_need():
    heavy = ["httpx", "pydantic", "uvicorn", "strait.server", "strait.client", "strait.authoring"]
    code = (
        "import sys, strait.testing.plugin\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = run("-c", code)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
