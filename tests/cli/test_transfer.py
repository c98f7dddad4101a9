"""`strait export` and `strait import` bring a project from one server to another."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from strait import Client
from transfer.project import SECRETS, VALUES, fill

from .processes import strait

pytestmark = pytest.mark.e2e


def settings(client: Client) -> dict[str, str]:
    """Return the variables of a process that may do everything in the project of a client."""
    body = {"project_id": client.project_id, "name": "ci", "scopes": ["*"], "expires_in_days": 1}
    return {
        "STRAIT_BASE_URL": client.base_url,
        "STRAIT_API_KEY": client.api_keys.create(body).key,
        "STRAIT_PROJECT": client.project_id,
    }


def test_a_project_goes_from_one_server_to_another(tmp_path: Path) -> None:
    with Client.local() as one, Client.local() as two:
        fill(one)
        source, target = settings(one), settings(two)
        done = strait("export", "project.json", cwd=tmp_path, **source)
        assert (done.returncode, done.stderr) == (0, "")
        text = (tmp_path / "project.json").read_text()
        assert strait("export", cwd=tmp_path, **source).stdout == text
        for secret in (*SECRETS, source["STRAIT_API_KEY"]):
            assert secret not in text

        planned = strait("import", "project.json", "--plan", cwd=tmp_path, **target)
        assert planned.returncode == 1  # a channel needs its address
        assert "+ create jobs.pay" in planned.stdout
        assert "to be set: notification_channels.ops.config.webhook_url" in planned.stdout
        assert two.jobs.list().data == []

        (tmp_path / "values.json").write_text(json.dumps(VALUES))
        arguments = ("import", "project.json", "--values", "values.json", "--json")
        done = strait(*arguments, cwd=tmp_path, **target)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["done"] is True
        assert {one["action"] for one in told["changes"]} == {"create"}
        assert sorted(job.slug for job in two.jobs.list()) == ["pay", "refund", "ship"]
        for secret in SECRETS:
            assert secret not in done.stdout
        again = json.loads(strait(*arguments, cwd=tmp_path, **target).stdout)
        assert (again["is_empty"], again["changes"]) == (True, [])


def test_the_flags_that_say_which_platform_are_those_of_all_commands(tmp_path: Path) -> None:
    with Client.local() as one:
        fill(one)
        given = settings(one)
        flags = ("--base-url", given["STRAIT_BASE_URL"], "--api-key", given["STRAIT_API_KEY"])
        elsewhere = {**given, "STRAIT_BASE_URL": "http://127.0.0.1:9", "STRAIT_API_KEY": "k"}
        done = strait("export", *flags, cwd=tmp_path, **elsewhere)
    assert done.returncode == 0, done.stderr
    assert '"pay"' in done.stdout


def test_a_file_that_cannot_be_written_is_named_as_it_was(tmp_path: Path) -> None:
    with Client.local() as one:
        done = strait("export", "nowhere/project.json", cwd=tmp_path, **settings(one))
    said = "strait: No such file or directory: `nowhere/project.json`\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_a_file_with_values_is_for_its_owner_only(tmp_path: Path) -> None:
    with Client.local() as client:
        fill(client)
        arguments = ("export", "p.json", "--with-variables")
        assert strait(*arguments, cwd=tmp_path, **settings(client)).returncode == 0
    assert "shop-secret" in (tmp_path / "p.json").read_text()
    assert stat.S_IMODE((tmp_path / "p.json").stat().st_mode) == 0o600


def test_what_cannot_be_done_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("{}")
    (tmp_path / "v.json").write_text('{"a": s3cret}')
    where = {"STRAIT_BASE_URL": "http://127.0.0.1:9", "STRAIT_API_KEY": "k"}
    done = strait("import", "p.json", cwd=tmp_path, **where)
    assert (done.returncode, done.stderr) == (
        1, "strait: the file has the format None; 'strait-project/1' can be read\n"
    )  # fmt: skip
    (tmp_path / "p.json").write_text('{"format": "strait-project/1", "project": "p"}')
    done = strait("import", "p.json", "--values", "v.json", cwd=tmp_path, **where)
    assert (done.returncode, done.stderr) == (1, "strait: `v.json` is no JSON\n")
    (tmp_path / "p.json").write_bytes(b"\xff\xfe{")
    done = strait("import", "p.json", cwd=tmp_path, **where)
    assert (done.returncode, done.stderr) == (1, "strait: `p.json` is no text in UTF-8\n")
    done = strait("export", cwd=tmp_path, STRAIT_BASE_URL="http://127.0.0.1:9")
    assert done.returncode == 5
    assert done.stderr.startswith("strait: ")
    assert len(done.stderr.splitlines()) == 1
