"""Every Python block of the README and of docs/ is run, as a reader would run it.

A block whose first line is a comment with the name of a file is that file; the others are run one
after the other in one program, with `STRAIT_BASE_URL` and `STRAIT_API_KEY` of a platform that hosts
the files of the page.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from cli.processes import ROOT, environment, running, strait
from strait import Client
from support.markdown import Block, blocks

pytestmark = pytest.mark.e2e

DOCS = ROOT / "docs"
FILE = re.compile(r"# (\w+\.py)$")
LINK = re.compile(r"\]\(([^)#]+)(?:#([\w-]+))?\)")
ROOT_PAGES = [
    ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "MIGRATION.md")
]
PAGES = [*ROOT_PAGES, *DOCS.rglob("*.md")]


def file_of(block: Block) -> str:
    named = FILE.match(block.text.partition("\n")[0])
    return named[1] if named else ""


def written(page: Path, directory: Path) -> dict[str, str]:
    """Write the files of a page, and return their texts by name."""
    files = {name: block.text for block in blocks(page) if (name := file_of(block))}
    directory.mkdir()
    for name, text in files.items():
        (directory / name).write_text(text)
    return files


def program(page: Path) -> list[Block]:
    return [block for block in blocks(page) if not file_of(block)]


# ---------------------------------------------------------------------------------------- tutorial


def test_the_tutorial_can_be_followed_to_its_end(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    shop = tmp_path / "shop"
    files = written(DOCS / "tutorial.md", shop)
    assert set(files) == {
        *("greetings.py", "payments.py", "purchase.py", "main.py", "test_greetings.py")
    }
    with running("dev", "shop", "--port", "0", "--json", cwd=tmp_path) as dev:
        monkeypatch.setenv("STRAIT_BASE_URL", dev.base_url)
        monkeypatch.setenv("STRAIT_API_KEY", dev.ready["api_key"])
        for block in program(DOCS / "tutorial.md"):
            block.run(names)
        said = capsys.readouterr().out.splitlines()
        for client in (value for value in names.values() if isinstance(value, Client)):
            client.close()
        assert dev.stop() == 0
    wanted = [
        "completed {'text': 'hello world'}",
        "hello again",
        "failed an amount must be above 0",
        "error NonRetryable: an amount must be above 0",
        "True",
        "it costs 900",
        "completed {'ordered_for': 900}",
    ]
    assert [line for line in said if line in wanted] == wanted, "\n".join(said)
    assert any(line.startswith("404 not_found ") for line in said)


def test_the_tutorials_test_passes_under_pytest(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    written(DOCS / "tutorial.md", shop)
    runs_under_pytest(shop, "test_greetings.py", passed=1)


# ---------------------------------------------------------------------------------------- handlers


def test_every_handler_of_the_page_does_what_is_said(tmp_path: Path) -> None:
    files = written(DOCS / "handlers.md", tmp_path / "jobs")
    assert program(DOCS / "handlers.md") == []
    imports = "".join(f"import {name.removesuffix('.py')}\n" for name in files)
    (tmp_path / "jobs" / "main.py").write_text(imports)
    with (
        running("dev", "jobs", "--port", "0", "--ephemeral", "--json", cwd=tmp_path) as dev,
        Client(base_url=dev.base_url, api_key=dev.ready["api_key"]) as client,
    ):
        jobs = {job.slug: job.id for job in client.jobs.list()}

        def outcome(slug: str, payload: Any) -> Any:
            run_id = client.jobs.trigger(jobs[slug], payload=payload).id
            if slug == "invoice":
                # It may wait already, or not as yet: the event is held until it does.
                client.event_triggers.send("invoice:7", payload={"by": "Ada"}, hold_secs=60)
            for _ in client.runs.stream(run_id):
                pass
            run = client.runs.get(run_id)
            assert run.status == "completed", run.error
            return run.result

        assert [outcome("plain", {}), outcome("async", {})] == ["plain", "async"]
        charges = [outcome("charge", {"order": 1, "cents": cents}) for cents in (5, 6)]
        assert charges == [{"charged": 5}] * 2
        assert outcome("count", {"to": 5}) == {"started_at": 3}
        assert outcome("invoice", {"number": 7}) == {"approved_by": "Ada"}
        assert outcome("sum-of-squares", [1, 2, 3]) == 14
        assert dev.stop() == 0


# ------------------------------------------------------------------------- the other pages, README


def test_the_page_of_the_embedded_platform(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with running("serve", "--port", "0", "--ephemeral", "--json", cwd=tmp_path) as platform:
        monkeypatch.setenv("STRAIT_BASE_URL", platform.base_url)
        monkeypatch.setenv("STRAIT_API_KEY", platform.ready["api_key"])
        for block in program(DOCS / "embedded.md"):
            block.run(names)
    said = capsys.readouterr().out.splitlines()
    assert said[1] == "[]"
    assert said[-2:] == ["openai 60", "held"]
    assert (tmp_path / "state" / "dev.db.key").exists()


def test_the_pages_table_of_options_is_that_of_the_command(tmp_path: Path) -> None:
    from strait.cli.platform_commands import dev, serve

    page = (DOCS / "embedded.md").read_text("utf-8")
    rows = set(re.findall(r"^\| `(--[\w-]+)`( \(`dev` only\))? \|", page, re.MULTILINE))
    of_both = {option for option, only in rows if not only}
    for command, told in ((dev, {option for option, _ in rows}), (serve, of_both)):
        options = {option for parameter in command.params for option in parameter.opts}
        assert {option for option in options if option.startswith("--")} == told


def test_the_promise_is_one_text() -> None:
    promise = re.compile(r"^> \*Triggers\*.*?disk\*\.$", re.MULTILINE | re.DOTALL)
    texts = {
        promise.findall(page.read_text("utf-8"))[0]
        for page in (PAGES[0], DOCS / "embedded.md", DOCS / "promises.md")
    }
    assert len(texts) == 1


def tutorial_commands() -> tuple[list[str], list[list[str]]]:
    """Return what the README has a reader type, the command that stays first."""
    shown = [block for block in blocks(ROOT / "README.md", "bash")
             if block.heading == "Run jobs on your laptop"]  # fmt: skip
    lines = [
        shlex.split(line, comments=True) for block in shown for line in block.text.splitlines()
    ]
    assert all(line[0] == "strait" for line in lines)
    first, *others = [line[1:] for line in lines]
    return first, others


def test_the_readme_can_be_followed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    readme = {block.name: block for block in blocks(ROOT / "README.md")}
    jobs, call = readme.pop("Run jobs on your laptop"), readme.pop("Run jobs on your laptop 2")
    dev_line, (trigger_line, list_line) = tutorial_commands()
    assert dev_line == ["dev", file_of(jobs)]
    test = readme.pop("Unit-test a handler")
    for block in (jobs, test):
        (tmp_path / file_of(block)).write_text(block.text)
    monkeypatch.chdir(tmp_path)
    with running(*dev_line, "--port", "0", "--json", cwd=tmp_path) as dev:
        # From the directory of the database a command finds the platform by itself.
        triggered = strait(*trigger_line, cwd=tmp_path)
        assert triggered.returncode == 0, triggered.stderr
        assert '"status": "processed"' in triggered.stdout
        listed = strait(*list_line, cwd=tmp_path)
        assert (listed.returncode, listed.stdout.count("completed")) == (0, 1), listed.stderr
        monkeypatch.setenv("STRAIT_BASE_URL", dev.base_url)
        monkeypatch.setenv("STRAIT_API_KEY", dev.ready["api_key"])
        (tmp_path / "strait.json").write_text('{"sdk": {"base_url": "https://file.test"}}')
        call.with_(
            {
                "http://127.0.0.1:7676": dev.base_url,
                "…the key from .strait/dev.db.key…": dev.ready["api_key"],
            }
        ).run(names)
        for heading in ("A platform inside your own process", "The hosted platform"):
            readme.pop(heading).run(names)
        names["client"] = Client.from_env()
        readme.pop("Errors").run(names)
    said = capsys.readouterr().out.splitlines()
    assert said[0] in {"queued", "executing", "completed"}
    assert said[1] == "[]"
    assert said[2].startswith("404 not_found ")
    assert readme == {}
    runs_under_pytest(tmp_path, "test_orders.py", passed=1)


def runs_under_pytest(directory: Path, name: str, *, passed: int) -> None:
    """Run a test file of a page as a reader would: with pytest, and no plugin of ours."""
    quiet = ("-q", "-p", "no:asyncio", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *quiet, name],
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        env=environment(),
    )
    assert f"{passed} passed" in done.stdout, done.stdout + done.stderr


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page: its headings, and the names that it shows."""
    text = page.read_text("utf-8")
    headings = {line.lower() for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    found = {re.sub(r"[^\w -]", "", heading).replace(" ", "-") for heading in headings}
    for module in re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE):
        found |= {f"{module}.{name}" for name in getattr(import_module(module), "__all__", ())}
    return found


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text("utf-8")):
        if "://" in target:
            continue
        there = (page.parent / target).resolve()
        assert there.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(there), f"{page.name}: {target}#{anchor}"


def test_no_page_has_a_block_of_python_that_nothing_runs() -> None:
    here = {"tutorial.md", "handlers.md", "embedded.md", "README.md"}
    # `tests/composition/test_docs.py`, `tests/testing/test_docs.py`, `tests/docs/test_site.py` and
    # `tests/docs/test_outgrowing.py` run these; `test_how_to.py` runs whatever is in `how-to`.
    run = here | {"composition.md", "testing.md", "stability.md", "outgrowing.md"}
    found = {page.name for page in PAGES if blocks(page) and page.parent.name != "how-to"}
    assert found == run
