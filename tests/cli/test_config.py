"""`strait config` says what a client would have, from where, and never a secret."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .processes import ROOT, strait

pytestmark = pytest.mark.e2e

FILE = {
    "sdk": {"base_url": "https://file.test", "timeout_ms": 1000},
    "environments": {"staging": {"base_url": "https://staging.test", "api_key_env": "STAGING"}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "strait.json").write_text(json.dumps(FILE))
    return tmp_path


def shown(*options: str, cwd: Path, **variables: str) -> dict[str, tuple[str, str]]:
    done = strait("config", "--json", *options, cwd=cwd, **variables)
    assert done.returncode == 0, done.stderr
    assert "s3cret" not in done.stdout + done.stderr
    return {entry["name"]: (entry["value"], entry["source"]) for entry in json.loads(done.stdout)}


def test_each_setting_has_its_value_and_its_place(folder: Path) -> None:
    told = shown("--project", "p", cwd=folder, STRAIT_TIMEOUT_MS="5", STRAIT_API_KEY="s3cret")
    assert told == {
        "base_url": ("https://file.test", "`strait.json`: `sdk.base_url`"),
        "token": ("set", "`STRAIT_API_KEY`"),
        "auth_type": ("apiKey", "default"),
        "timeout_ms": ("5", "`STRAIT_TIMEOUT_MS`"),
        "project_id": ("p", "argument"),
    }


def test_a_profile_is_told_with_the_file_it_is_in(folder: Path) -> None:
    told = shown("--profile", "staging", cwd=folder, STAGING="s3cret")
    place = "`strait.json`: `environments.staging.base_url`"
    assert told["base_url"] == ("https://staging.test", place)
    assert told["token"] == ("set", "`STAGING`")


def test_people_get_a_table(folder: Path) -> None:
    done = strait("config", cwd=folder, STRAIT_API_KEY="s3cret")
    name, value, *source = done.stdout.splitlines()[0].split()
    assert (name, value, " ".join(source)) == (
        "base_url",
        "https://file.test",
        "`strait.json`: `sdk.base_url`",
    )
    assert "s3cret" not in done.stdout


def test_what_is_wrong_is_one_line(folder: Path) -> None:
    for options in (("--profile", "prod"), ("--timeout-ms", "0"), ("--file", "no.json")):
        done = strait("config", *options, cwd=folder)
        assert done.returncode == 2
        assert done.stderr.startswith("strait: ")
        assert done.stderr.count("\n") == 1


def test_help_and_config_load_neither_a_platform_nor_a_client(folder: Path) -> None:
    code = (
        "import sys; from strait.cli.commands import cli\n"
        "for words in (['--help'], ['config']):\n"
        "    cli(words, standalone_mode=False)\n"
        "heavy = {'httpx', 'pydantic', 'asyncio', 'uvicorn', 'sqlite3'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
