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


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("import sys\nsys.exit(0)\n", 2, "it ends the program ("),
        ("\n\nraise ValueError('on purpose')\n", 3, "ValueError: on purpose"),
        ("import not_there\n", 1, "No module named 'not_there'"),
        ("import asyncio\nraise asyncio.CancelledError\n", 2, "CancelledError"),
        ("import json\njson.loads('{')\n", 2, "JSONDecodeError: Expecting property name"),
        ("x = 1\ndef broken(:\n", 2, "SyntaxError: invalid syntax"),
        (PROGRAM.replace('"pay"', r'"a\nb"', 1), 4, "must not have control characters"),
        (PROGRAM.replace('"pay"', r'"\ud83d"', 1), 4, "has half of a surrogate pair"),
    ],
    ids=["ends", "raises", "a missing import", "canceled", "in a library", "no Python", "a slug",
         "no text"],
)  # fmt: skip
def test_code_that_cannot_be_imported_is_told_with_file_and_line(
    shop: Path, text: str, line: int, why: str
) -> None:
    (shop / "main.py").write_text(text)
    done = strait("check", "main.py", cwd=shop)
    assert done.returncode == 1, "what was not looked at is not well"
    assert done.stdout.startswith(f"main.py:{line}: `main` cannot be imported: ")
    assert why in done.stdout
    (told,) = json.loads(strait("check", "main.py", "--json", cwd=shop).stdout)["problems"]
    assert (told["file"], told["line"]) == ("main.py", line)
    plan = ("--plan", "--handlers", "http://x.test", "--base-url", "http://127.0.0.1:9")
    deployed = strait("deploy", "main.py", *plan, cwd=shop, STRAIT_API_KEY="k")
    assert deployed.stderr.startswith(f"strait: main.py:{line}: `main` cannot be imported: ")


def test_two_of_one_slug_are_told_where_the_second_is(shop: Path) -> None:
    more = '\n\n@job(slug="pay")\nasync def again(payload, ctx):\n    return None\n'
    (shop / "main.py").write_text(PROGRAM + more)
    done = strait("check", "main.py", cwd=shop)
    assert done.stdout == "main.py:21: two jobs have the slug `pay`; each needs its own\n"
