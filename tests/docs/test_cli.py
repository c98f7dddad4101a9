"""`docs/cli.md`: its list of commands is the commands', its codes are the codes, its blocks run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.processes import environment, running
from strait.cli import failures
from strait.cli.failures import ExitCode
from support.markdown import blocks

from .cli_reference import PAGE, written

pytestmark = pytest.mark.e2e

_ROW = re.compile(r"^\| (\d+) \| (.*) \|$", re.MULTILINE)


def test_the_list_of_commands_is_that_of_the_commands() -> None:
    page = PAGE.read_text("utf-8")
    assert page == written(page), "run `make generate`"


def test_every_exit_code_is_told_and_no_other() -> None:
    page = dict(_ROW.findall(PAGE.read_text("utf-8")))
    assert {int(code) for code in page} == set(ExitCode)
    told = dict(_ROW.findall(failures.__doc__ or ""))
    assert told.keys() == page.keys()
    assert all(page[code].startswith(told[code]) for code in told)


def test_the_blocks_of_the_page_run(tmp_path: Path) -> None:
    first, second = (block.text for block in blocks(PAGE, "bash"))
    shell(first, tmp_path)
    project = tmp_path / "shop"
    with running("dev", "main.py", "--port", "0", "--json", cwd=project) as dev:
        said = shell(second, project)
        assert dev.stop() == 0
    assert '"text": "hello Ada"' in said
    assert "greet" in said


def shell(commands: str, directory: Path) -> str:
    """Run the commands of a block as a reader would."""
    done = subprocess.run(
        ["bash", "-euc", f'strait() {{ "{sys.executable}" -m strait.cli "$@"; }}\n{commands}'],
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
