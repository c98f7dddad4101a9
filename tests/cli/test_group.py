"""The group `strait`: it shows its commands without importing them, and says what they say."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from strait.cli.commands import ENTRIES, cli

from .processes import environment


@pytest.mark.parametrize("name", ENTRIES)
def test_the_line_about_a_command_is_the_first_of_its_own_help(name: str) -> None:
    entry = ENTRIES[name]
    command = entry.load()
    assert command.name == name
    assert " ".join((command.help or "").split("\n\n")[0].split()) == entry.about + "."
    assert len(entry.about) <= 68, "it fits one line of a terminal"


def test_help_names_every_command_and_imports_click_alone() -> None:
    code = (
        "import sys; before = set(sys.modules); import click; with_click = set(sys.modules)\n"
        "from strait.cli.commands import cli\n"
        "cli(['--help'], standalone_mode=False)\n"
        "ours = {name for name in set(sys.modules) - with_click}\n"
        "print(sorted(name for name in ours if name.startswith('strait')), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment()
    )
    loaded = "['strait', 'strait._version', 'strait.cli', 'strait.cli.commands']"
    assert done.stderr.strip() == loaded
    for name in ENTRIES:
        assert f"\n  {name} " in done.stdout


def test_a_command_that_is_not_there_is_told() -> None:
    done = CliRunner().invoke(cli, ["depoly"])
    assert done.exit_code == 2
    assert done.output == (
        "strait: no such command 'depoly'. Did you mean 'deploy'? — see `strait --help`\n"
    )
    other = CliRunner().invoke(cli, ["xyz"])
    assert other.output == "strait: no such command 'xyz' — see `strait --help`\n"
