"""`Client.local()` and `AsyncClient.local()`: a platform inside one's own process."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import httpx
import pytest

from strait import AsyncClient, Client, IdempotencyWarning, StraitError
from strait.errors import ConfigurationError
from strait.local import LocalPlatform, key_file

ROOT = Path(__file__).parents[2]
ENDPOINT = "http://127.0.0.1:9/"


def platform_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "strait-local"]


def add_job(client: Client, slug: str = "a-job") -> str:
    # Nobody listens there, so it is paused before anything could be dispatched.
    job = client.jobs.create(
        name=slug, slug=slug, project_id=client.project_id, endpoint_url=ENDPOINT
    )
    client.jobs.pause(job.id)
    return str(job.id)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "state" / "dev.db"


# -------------------------------------------------------------------------------------- ephemeral


def test_a_platform_answers_on_loopback_with_a_project_and_a_key_of_its_own() -> None:
    with Client.local() as client:
        assert httpx.URL(client.base_url).host == "127.0.0.1"
        assert client.project_id == "proj_local"
        add_job(client)
        assert [job.slug for job in client.jobs.list()] == ["a-job"]
        assert httpx.get(f"{client.base_url}/v1/jobs").status_code == 401


def test_closing_the_client_leaves_no_thread_no_socket_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    client = Client.local()
    assert platform_threads()
    assert [path.name[:7] for path in tmp_path.iterdir()] == ["strait-"]
    client.close()
    assert platform_threads() == []
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(client.base_url)


def test_a_closed_client_can_be_closed_again() -> None:
    client = Client.local()
    client.close()
    client.close()
    assert platform_threads() == []


def test_what_one_ephemeral_platform_has_no_other_sees() -> None:
    with Client.local() as one, Client.local() as other:
        add_job(one)
        assert one.base_url != other.base_url
        assert list(other.jobs.list()) == []


async def test_the_async_client_brings_a_platform_too() -> None:
    async with AsyncClient.local() as client:
        assert [job async for job in client.jobs.list()] == []
        assert platform_threads()
    assert platform_threads() == []


def test_arguments_of_the_client_win_over_what_the_platform_says() -> None:
    with Client.local(project_id="mine", timeout_ms=1_000) as client:
        assert client.project_id == "mine"


def test_a_client_that_cannot_be_made_leaves_no_platform() -> None:
    with pytest.raises(ConfigurationError, match="timeout_ms"):
        Client.local(timeout_ms=-1)
    assert platform_threads() == []


def test_the_same_key_with_another_body_is_warned_about() -> None:
    with Client.local() as client:
        job_id = add_job(client)
        client.jobs.resume(job_id)
        first = client.jobs.trigger(job_id, payload=1, idempotency_key="k")
        same = client.jobs.trigger(job_id, payload=1, idempotency_key="k")
        with pytest.warns(IdempotencyWarning, match="another body"):
            other = client.jobs.trigger(job_id, payload=2, idempotency_key="k")
    assert first.id == same.id == other.id


# ------------------------------------------------------------------------------------------ a file


def test_state_and_key_are_found_again(database: Path) -> None:
    with Client.local(str(database)) as client:
        job_id = add_job(client)
        key = key_file(database).read_text()
    with Client.local(str(database)) as client:
        assert client.jobs.get(job_id).slug == "a-job"
    assert key_file(database).read_text() == key


async def test_the_async_client_finds_what_the_other_one_left(database: Path) -> None:
    with Client.local(str(database)) as client:
        job_id = add_job(client)
    async with AsyncClient.local(str(database)) as client:
        assert (await client.jobs.get(job_id)).slug == "a-job"


def test_all_files_are_for_the_owners_eyes_only(database: Path) -> None:
    with Client.local(str(database)) as client:
        add_job(client)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in database.parent.iterdir()}
    assert {"dev.db", "dev.db.key", "dev.db.lock", "dev.db-wal"} <= set(modes)
    assert set(modes.values()) == {0o600}


def test_a_key_file_that_others_could_read_is_closed_to_them(database: Path) -> None:
    with Client.local(str(database)):
        pass
    key_file(database).unlink()
    key_file(database).touch(mode=0o644)
    with Client.local(str(database)) as client:
        assert list(client.jobs.list()) == []
    assert stat.S_IMODE(key_file(database).stat().st_mode) == 0o600


def test_a_lost_key_file_is_replaced_by_another_key(database: Path) -> None:
    with Client.local(str(database)) as client:
        job_id = add_job(client)
    key_file(database).unlink()
    with Client.local(str(database)) as client:
        assert client.jobs.get(job_id).slug == "a-job"


def test_a_database_that_is_open_is_refused_with_pid_and_address_of_its_owner(
    database: Path,
) -> None:
    with Client.local(str(database)) as owner:
        with pytest.raises(StraitError) as refused:
            Client.local(str(database))
        assert f"process {os.getpid()}, serving {owner.base_url}" in str(refused.value)
        assert list(owner.jobs.list()) == [], "the owner is not disturbed"
    assert platform_threads() == []


@pytest.mark.parametrize("path", ["", "file/dev.db"])
def test_a_file_that_cannot_be_is_told(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StraitError, match="cannot be started") as refused:
        Client.local(str(tmp_path / path))
    assert str(tmp_path) in str(refused.value)
    assert platform_threads() == []


# ------------------------------------------------------------------------------------ the platform


def test_a_platform_may_be_given_its_project_and_key() -> None:
    with (
        LocalPlatform(None, project_id="proj-1", api_key="strait_of_mine") as platform,
        Client(base_url=platform.base_url, api_key="strait_of_mine") as client,
    ):
        assert platform.project_id == "proj-1"
        assert list(client.jobs.list()) == []


def test_a_key_of_another_project_is_refused(database: Path) -> None:
    with LocalPlatform(database, project_id="proj-1", api_key="strait_of_mine"):
        pass
    with pytest.raises(StraitError, match="the API key belongs to project `proj-1`"):
        LocalPlatform(database, project_id="proj-2", api_key="strait_of_mine").start()
    assert platform_threads() == []


def test_nothing_warns_in_development_mode(database: Path) -> None:
    code = (
        "import asyncio, gc, logging, strait\n"
        # How long a callback took is told here, too; that is for the machine to answer for.
        "logging.getLogger('asyncio').setLevel(logging.ERROR)\n"
        f"for db in (None, {str(database)!r}):\n"
        "    with strait.Client.local(db) as client: list(client.jobs.list())\n"
        "async def main():\n"
        "    async with strait.AsyncClient.local() as client: await client.jobs.list()\n"
        "asyncio.run(main())\n"
        "gc.collect()\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
