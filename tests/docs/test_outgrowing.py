"""`docs/outgrowing.md` is followed from its first command to its last, with two servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.processes import environment, running
from strait import Client
from support.markdown import Block, blocks

from .test_pages import DOCS, written

pytestmark = pytest.mark.e2e

PAGE = DOCS / "outgrowing.md"
SECRET = "0123456789abcdef-handlers"


def shell(block: Block, directory: Path) -> str:
    command = f'strait() {{ "{sys.executable}" -m strait.cli "$@"; }}\n{block.text}'
    keys = {name: os.environ[name] for name in ("LAPTOP_KEY", "PLATFORM_KEY")}
    done = subprocess.run(
        ["bash", "-euc", command],
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        env=environment(**keys),
    )
    assert done.returncode == 0, block.text + done.stdout + done.stderr
    return done.stdout


def test_a_program_moves_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = tmp_path / "shop"
    written(PAGE, shop)
    monkeypatch.chdir(shop)
    monkeypatch.syspath_prepend(str(shop))
    arguments = ("--port", "0", "--json")
    with (
        running("dev", "shop.py", *arguments, cwd=shop) as laptop,
        running("serve", *arguments, "--db", "platform.db", cwd=tmp_path) as platform,
    ):
        monkeypatch.setenv("LAPTOP_KEY", laptop.ready["api_key"])
        monkeypatch.setenv("PLATFORM_KEY", platform.ready["api_key"])
        monkeypatch.setenv("HANDLER_SECRET", SECRET)
        (config,) = blocks(PAGE, "json")
        places = {
            "http://127.0.0.1:7676": laptop.base_url,
            "https://strait.example.com": platform.base_url,
        }
        (shop / "strait.json").write_text(config.with_(places).text)

        commands = blocks(PAGE, "bash")
        told = [shell(block, shop) for block in commands]
        checked, planned = blocks(PAGE, "text")
        assert told[0] == f"{checked.text.strip()}\nthere is something to mend\n"
        assert planned.text.splitlines()[0] in told[4]
        document = json.loads((shop / "project.json").read_text())
        assert document["jobs"]["pay"]["cron_catchup"] == "last"

        names: dict[str, Any] = {}
        for block in blocks(PAGE, "python")[1:]:
            block.run(names)
        printed = capsys.readouterr().out.splitlines()
        assert printed[:2] == ["['pay']", "https://worker.example.com/jobs/pay"]
        assert all(line.endswith(" 0") for line in printed[2:])

        with Client(base_url=platform.base_url, api_key=platform.ready["api_key"]) as there:
            (job,) = there.jobs.list()
            assert (job.slug, job.cron, job.paused) == ("pay", "0 3 * * *", False)
        with Client(base_url=laptop.base_url, api_key=laptop.ready["api_key"]) as here:
            assert [job.cron or "" for job in here.jobs.list()] == [""]


def test_the_page_has_every_section_of_the_file() -> None:
    from strait.transfer.kinds import KINDS

    text = PAGE.read_text("utf-8").replace("\n", " ")
    for kind in KINDS:
        words = kind.section.replace("_", " ").replace("webhooks", "webhook subscriptions")
        assert words in text, kind.section
