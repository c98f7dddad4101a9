"""`strait check` says what cannot work, offline, with file and line, and ends with 1."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .processes import strait

pytestmark = pytest.mark.e2e

PROGRAM = """\
from strait.authoring import define_workflow, job, job_step, WorkflowOptions


@job(slug="pay")
async def pay(payload, ctx):
    return await ctx.wait_for_event("paid")


flow = define_workflow(
    WorkflowOptions(
        name="Flow",
        slug="flow",
        steps=[
            job_step("a", pay),
            job_step("b", pay, payload={"x": "{{ spaced }}"}, depends_on=["a"]),
        ],
    )
)
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


def test_problems_are_told_with_file_and_line(shop: Path) -> None:
    done = strait("check", cwd=shop)
    assert done.returncode == 1, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("main.py:6: <job 'pay'>: `ctx.wait_for_event` is broken")
    assert first.endswith("[wait-for-event]")
    assert second.startswith("main.py:15: workflow `flow`, step `b`: `payload` has `{{ spaced }}`")


def test_programs_get_json(shop: Path) -> None:
    told = json.loads(strait("check", "--json", cwd=shop).stdout)
    assert told["target"] == "platform"
    assert [(one["file"], one["line"], one["feature"]) for one in told["problems"]] == [
        ("main.py", 6, "wait-for-event"),
        ("main.py", 15, ""),
    ]
    assert told["problems"][0]["instead"].startswith("a workflow with")


def test_the_embedded_platform_can_do_more(shop: Path) -> None:
    (shop / "main.py").write_text(PROGRAM.replace("{{ spaced }}", "fixed"))
    done = strait("check", "main.py", "--target", "embedded", cwd=shop)
    assert (done.returncode, done.stdout) == (
        0,
        "1 job and 1 workflow use nothing that the embedded platform cannot do\n"
    )  # fmt: skip
    assert strait("check", "main.py", cwd=shop).returncode == 1
    assert strait("check", "main.py", "--allow", "wait-for-event", cwd=shop).returncode == 0


def test_what_cannot_be_looked_at_is_told_in_one_line(shop: Path) -> None:
    nothing = strait("check", "nowhere", cwd=shop)
    assert (nothing.returncode, nothing.stderr) == (1, "strait: there is no module `nowhere`\n")
    odd = strait("check", "--allow", "flying", cwd=shop)
    assert odd.stderr.startswith("strait: `--allow flying`: there is no such feature")


def test_code_that_ends_the_program_is_told_of(shop: Path) -> None:
    (shop / "main.py").write_text("import sys\nsys.exit(0)\n")
    done = strait("check", "main.py", cwd=shop)
    assert done.returncode == 1, "what was not looked at is not well"
    assert done.stderr.startswith("strait: `main` cannot be imported: it ends the program (")
