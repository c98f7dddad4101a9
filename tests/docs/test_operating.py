"""The commands of `docs/operating.md` are run in the page's order, on a database with a run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.processes import TARGET, environment, running
from strait import Client
from support.markdown import blocks

from .test_pages import DOCS

pytestmark = pytest.mark.e2e

PAGE = DOCS / "operating.md"


def test_the_page_can_be_followed(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(TARGET)
    with running("dev", "hello.py", "--port", "0", "--json", cwd=tmp_path) as dev:
        with Client(base_url=dev.base_url, api_key=dev.ready["api_key"]) as client:
            (job,) = client.jobs.list(slug="hello")
            started = client.jobs.start(job.id, payload={"name": "Ada"})
            assert started.result(timeout=30) == {"hello": "Ada"}
        assert dev.stop() == 0
    commands = [block.text for block in blocks(PAGE, "bash")]
    assert len(commands) >= 6
    for command in commands:
        done = subprocess.run(
            ["bash", "-euc", f'strait() {{ "{sys.executable}" -m strait.cli "$@"; }}\n{command}'],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environment(),
        )
        assert done.returncode == 0, command + done.stdout + done.stderr


def test_the_page_names_every_command_of_db() -> None:
    from strait.cli.db_commands import db

    told = set(re.findall(r"strait db (\w+)", PAGE.read_text("utf-8")))
    assert told == set(db.commands)
