"""`strait config` says what a client would have, from where, and never a secret."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .processes import ROOT, running, strait

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


STRAYS = {
    "$schema": "https://strait.dev/schema.json",
    "baseUrl": "https://x.test",
    "timeout_ms": 5,
    "enviroments": {},
    "max_in_flight": 3,
    "dir": ["shop"],
    "something_newer": True,
    "project": {"id": "p", "name": "P", "ids": "p"},
    "sdk": {"base_ur": "https://x.test", "project_id": "p", "api_key": "s3cret", "tracing": True},
    "environments": {"staging": {"timout_ms": 5, "token": "s3cret", "endpoint_url": "https://x"}},
    "worker": {"concurrency": 5},
}
MEANT = {
    "baseUrl": "`sdk.base_url`?",
    "timeout_ms": "`sdk.timeout_ms`?",
    "enviroments": "`environments`?",
    "max_in_flight": "`server.max_in_flight`?",
    "dir": "`dirs`?",
    "project.ids": "`project.id`?",
    "sdk.base_ur": "`sdk.base_url`?",
    "sdk.project_id": "`project.id`?",
    "sdk.api_key": "variable that has it as `sdk.api_key_env`",
    "environments.staging.timout_ms": "`environments.staging.timeout_ms`?",
    "environments.staging.token": "variable that has it as `environments.staging.api_key_env`",
}


@pytest.mark.parametrize(
    "words",
    [("config", "--json"), ("jobs", "list"), ("export",), ("check", "nowhere")],
    ids=" ".join,
)
def test_keys_that_nobody_reads_are_named_with_what_was_meant(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "strait.json").write_text(json.dumps(STRAYS))
    away = {"STRAIT_BASE_URL": "http://127.0.0.1:9", "STRAIT_API_KEY": "k"}
    done = strait(*words, cwd=tmp_path, **away)
    assert "s3cret" not in done.stdout + done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("strait: note: ")]
    named = {line.split("`")[3]: line for line in told}
    assert named.keys() == MEANT.keys()
    for key, meant in MEANT.items():
        assert named[key].endswith(meant)


def test_the_doctor_and_a_platform_name_them_too(tmp_path: Path) -> None:
    (tmp_path / "strait.json").write_text(json.dumps({"sdk": {"base_ur": "https://x.test"}}))
    meant = "did you mean `sdk.base_url`?"
    told = json.loads(strait("doctor", "--json", cwd=tmp_path).stdout)["checks"]
    assert [one["advice"] for one in told if one["name"] == "settings"] == [meant]
    with running("serve", "--port", "0", "--ephemeral", "--json", cwd=tmp_path) as platform:
        assert f"note      `strait.json`: `sdk.base_ur` is not read; {meant}" in platform.stderr
