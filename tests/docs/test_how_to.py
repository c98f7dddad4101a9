"""Every block of the how-to pages is run in the page's order, against a platform with its files.

A comment `# -> text` is what the block prints, line by line; a block prints nothing else. So no
page can say of its code what the code does not do.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cli.processes import environment, running
from strait import Client
from support.markdown import Block, blocks

from .test_pages import DOCS, ROOT, program, runs_under_pytest, written

pytestmark = pytest.mark.e2e

# These have processes of their own; each of the others runs under `strait dev`.
_OWN = {"deploy.md", "worker.md"}
PAGES = sorted(page for page in (DOCS / "how-to").glob("*.md") if page.name not in _OWN)

SKILL = ROOT / "src" / "strait" / ".agents" / "skills" / "strait" / "SKILL.md"
SECRET = "a-secret-of-32-or-more-characters"


def told(block: Block) -> list[str]:
    """Return what a block says that it prints."""
    lines = (line.strip() for line in block.text.splitlines())
    return [line.removeprefix("# -> ") for line in lines if line.startswith("# -> ")]


def run(block: Block, names: dict[str, Any]) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        block.run(names)
    assert printed.getvalue().splitlines() == told(block), f"{block.file}:{block.line}"


def tell(ready: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a platform where a reader would have put it."""
    monkeypatch.setenv("STRAIT_BASE_URL", ready["base_url"])
    monkeypatch.setenv("STRAIT_API_KEY", ready["api_key"])
    monkeypatch.setenv("STRAIT_PROJECT", ready["project_id"])


@pytest.mark.parametrize("page", [*PAGES, SKILL], ids=[page.stem for page in [*PAGES, SKILL]])
def test_a_page_does_what_it_says(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: dict[str, Any]
) -> None:
    jobs = tmp_path / "jobs"
    files = written(page, jobs)
    modules = [n.removesuffix(".py") for n in files if not n.startswith("test_")]
    (jobs / "main.py").write_text("".join(f"import {name}\n" for name in modules))
    target = ["jobs"] if modules else []
    monkeypatch.chdir(tmp_path)
    for block in blocks(page, "json")[:1]:
        (tmp_path / "strait.json").write_text(block.text)
    command = "dev" if modules else "serve"
    with running(command, *target, "--port", "0", "--ephemeral", "--json", cwd=tmp_path) as dev:
        tell(dev.ready, monkeypatch)
        for block in program(page):
            run(block, names)
        for client in (value for value in names.values() if isinstance(value, Client)):
            client.close()
        assert dev.stop() == 0
    for name in files.keys() - {f"{module}.py" for module in modules}:
        runs_under_pytest(jobs, name, passed=files[name].count("def test_"))


def test_what_programs_are_told_begins_as_they_want_it() -> None:
    """A skill begins with its name and when it is to be used, in so many characters at most."""
    _, head, text = SKILL.read_text("utf-8").split("---\n", 2)
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    assert fields.keys() == {"name", "description"}
    assert fields["name"] == SKILL.parent.name
    assert len(fields["description"]) <= 1024
    assert len(text.splitlines()) <= 500


def test_a_worker_is_deployed_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = DOCS / "how-to" / "deploy.md"
    written(page, tmp_path / "worker")
    monkeypatch.syspath_prepend(str(tmp_path / "worker"))
    monkeypatch.setenv("HANDLER_SECRET", SECRET)
    monkeypatch.delitem(sys.modules, "worker", raising=False)
    register, plan = program(page)
    with running("serve", "--port", "0", "--ephemeral", "--json", cwd=tmp_path) as platform:
        tell(platform.ready, monkeypatch)
        with worker(tmp_path / "worker", platform.base_url) as address:
            names: dict[str, Any] = {}
            run(register.with_({"https://worker.example.com": address}), names)
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                plan.run(names)
            assert "endpoint_url" in printed.getvalue()
            with Client.from_env() as client:
                [job] = client.jobs.list(slug="greet")
                started = client.jobs.start(job.id, payload={"name": "Ada"})
                assert started.result(timeout=30) == {"text": "hello Ada"}
        assert platform.stop() == 0
    monkeypatch.delitem(sys.modules, "worker")


def test_a_worker_connects_out_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = DOCS / "how-to" / "worker.md"
    here = tmp_path / "here"
    written(page, here)
    monkeypatch.syspath_prepend(str(here))
    trigger, program_of_own = program(page)
    serve = ("serve", "--port", "0", "--grpc-port", "0", "--json")
    with running(*serve, cwd=here) as platform:
        tell(platform.ready, monkeypatch)
        command = ("worker", "thumbnails.py", "--register", "--slots", "4", "--json")
        with running(*command, cwd=here) as worker:
            assert worker.ready["addr"] == platform.ready["grpc_addr"]
            names: dict[str, Any] = {}
            run(trigger, names)
            assert worker.stop() == 0
        run(program_of_own, names)
        assert callable(names["main"])
        assert platform.stop() == 0


@contextlib.contextmanager
def worker(directory: Path, base_url: str) -> Iterator[str]:
    """Run `worker:app` under uvicorn, as the page does, on a port that is free."""
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "worker:app", "--port", "0"],
        cwd=directory,
        env=environment(STRAIT_BASE_URL=base_url, HANDLER_SECRET=SECRET),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "Uvicorn running on " in line:
                yield line.split("Uvicorn running on ")[1].split()[0]
                return
        raise AssertionError("uvicorn did not start")
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_the_json_of_the_pages_is_json() -> None:
    found = [block for page in DOCS.rglob("*.md") for block in blocks(page, "json")]
    assert [type(json.loads(block.text)) for block in found] == [dict] * len(found)
    assert len(found) >= 3


def test_a_block_that_prints_something_else_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```python\nprint(1)\n# -> 2\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md:4"):
        run(blocks(page)[0], {})
