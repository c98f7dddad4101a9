"""`strait db`: checks, backups beside a server under load, restores, vacuum, migration."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from strait import Client

from .processes import TARGET, Running, running, strait

pytestmark = pytest.mark.e2e

DB = Path(".strait") / "dev.db"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    (made / "hello.py").write_text(TARGET)
    return made


@contextmanager
def platform(home: Path) -> Iterator[Running]:
    with running("dev", "hello.py", "--port", "0", "--json", cwd=home) as dev:
        yield dev
        assert dev.stop() == 0


def client_of(dev: Running) -> Client:
    return Client(base_url=dev.base_url, api_key=dev.ready["api_key"])


def hello(client: Client, name: str) -> str:
    (job,) = client.jobs.list(slug="hello")
    return client.jobs.trigger(job.id, payload={"name": name}).id


def until_completed(client: Client, run_id: str) -> None:
    for _ in client.runs.stream(run_id):
        pass
    run = client.runs.get(run_id)
    assert run.status == "completed", run.error


class Load:
    """Triggers runs from a thread and remembers those that were acknowledged."""

    def __init__(self, dev: Running) -> None:
        self.acknowledged: list[str] = []
        self.enough = threading.Event()
        self._stop = threading.Event()
        self._dev = dev
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Load:
        self._thread.start()
        assert self.enough.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        with client_of(self._dev) as client:
            (job,) = client.jobs.list(slug="hello")
            while not self._stop.is_set():
                self.acknowledged.append(client.jobs.trigger(job.id, payload={"name": "load"}).id)
                if len(self.acknowledged) >= 50:
                    self.enough.set()


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("made")
    (home / "hello.py").write_text(TARGET)
    with platform(home) as dev, client_of(dev) as client:
        until_completed(client, hello(client, "Ada"))
    return home / DB


@pytest.fixture
def kept(home: Path, made_once: Path) -> Path:
    """A database with a completed run, whose server has ended."""
    shutil.copytree(made_once.parent, (home / DB).parent)
    return home / DB


def test_a_backup_under_load_has_all_that_was_acknowledged_and_goes_on_elsewhere(
    home: Path, tmp_path: Path
) -> None:
    second = tmp_path / "second"
    second.mkdir()
    shutil.copy(home / "hello.py", second)
    with platform(home) as dev, Load(dev) as load:
        before = list(load.acknowledged)
        done = strait("db", "backup", str(tmp_path / "copy.db"), "--json", cwd=home)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["with_key"] is True
    assert len(load.acknowledged) > len(before), "it served meanwhile"

    done = strait("db", "restore", str(tmp_path / "copy.db"), cwd=second)
    assert done.returncode == 0, done.stderr
    with platform(second) as dev, client_of(dev) as client:
        for run_id in before:
            until_completed(client, run_id)
        until_completed(client, hello(client, "again"))
    assert strait("db", "check", cwd=second).returncode == 0


def test_a_backup_and_its_key_can_be_read_by_their_owner_only(kept: Path, home: Path) -> None:
    assert strait("db", "backup", "copy.db", cwd=home).returncode == 0
    for name in ("copy.db", "copy.db.secrets"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    assert strait("db", "backup", "bare.db", "--without-key", cwd=home).returncode == 0
    assert not (home / "bare.db.secrets").exists()
    assert {
        path.name for path in home.iterdir() if path.name.startswith((".copy", ".bare"))
    } == set()


def test_a_backup_writes_over_nothing_that_it_was_not_told_to(kept: Path, home: Path) -> None:
    (home / "copy.db").write_text("mine")
    refused = strait("db", "backup", "copy.db", cwd=home)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "--force" in refused.stderr
    assert (home / "copy.db").read_text() == "mine"
    onto_itself = strait("db", "backup", str(DB), "--force", cwd=home)
    assert onto_itself.returncode == 1
    assert strait("db", "backup", "copy.db", "--force", cwd=home).returncode == 0
    assert strait("db", "check", "--db", "copy.db", cwd=home).returncode == 0


def test_a_restore_replaces_a_database_only_when_told_and_never_one_that_is_served(
    kept: Path, home: Path
) -> None:
    assert strait("db", "backup", "copy.db", cwd=home).returncode == 0
    refused = strait("db", "restore", "copy.db", cwd=home)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "--force" in refused.stderr
    with platform(home) as dev, client_of(dev) as client:
        until_completed(client, hello(client, "later"))
        for command in (["restore", "copy.db", "--force"], ["vacuum"], ["migrate"]):
            in_use = strait("db", *command, cwd=home)
            assert in_use.returncode == 3, command
            assert f"process {dev.process.pid}" in in_use.stderr
    assert strait("db", "restore", "copy.db", "--force", cwd=home).returncode == 0
    with platform(home) as dev, client_of(dev) as client:
        assert len(list(client.runs.list())) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_restores_belongs_to_whose_directory_or_database_it_was(
    kept: Path, home: Path
) -> None:
    assert strait("db", "backup", "copy.db", cwd=home).returncode == 0
    service = home / "service"
    service.mkdir()
    os.chown(service, 12_345, 12_345)
    restore = ("db", "restore", "copy.db", "--db", "service/strait.db")
    assert strait(*restore, cwd=home).returncode == 0
    found = {file.name: file.stat().st_uid for file in service.iterdir()}
    names = ("strait.db", "strait.db.secrets", "strait.db.lock")
    assert found == dict.fromkeys(names, 12_345)
    os.chown(service / "strait.db", 54_321, 54_321)
    assert strait(*restore, "--force", cwd=home).returncode == 0
    assert {file.stat().st_gid for file in service.iterdir()} == {54_321}


def test_what_lies_beside_an_old_database_is_no_part_of_the_restored_one(
    kept: Path, home: Path
) -> None:
    assert strait("db", "backup", "copy.db", cwd=home).returncode == 0
    with platform(home) as dev, client_of(dev) as client:
        until_completed(client, hello(client, "later"))
        dev.process.kill()
        dev.process.wait()
        assert (home / f"{DB}-wal").stat().st_size > 0, "the last server left its log"
        assert strait("db", "restore", "copy.db", "--force", cwd=home).returncode == 0
        assert not (home / f"{DB}-wal").exists()
        checked = json.loads(strait("db", "check", "--json", cwd=home).stdout)
        assert checked["ok"]
        assert checked["tables"]["runs"]["rows"] == 1
        dev.stop = lambda *_: 0  # type: ignore[method-assign]  # it was killed above


def test_a_broken_page_is_found_and_said(kept: Path, home: Path) -> None:
    assert strait("db", "check", cwd=home).returncode == 0
    with closing(sqlite3.connect(kept)) as db:
        (page,) = db.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'ledger_by_subject'"
        ).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with kept.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(os.urandom(size))
    found = strait("db", "check", cwd=home)
    assert found.returncode == 1
    assert "broken: " in found.stdout
    assert "Traceback" not in found.stderr
    refused = strait("db", "restore", str(DB), "--db", "other.db", cwd=home)
    assert refused.returncode == 1
    assert "is broken" in refused.stderr
    assert not (home / "other.db").exists()
    (home / "copy.db").write_text("the backup of yesterday")
    for command in (["backup", "new.db"], ["backup", "copy.db", "--without-key", "--force"]):
        unmade = strait("db", *command, cwd=home)
        assert unmade.returncode == 1
        assert "is broken, and no backup of it was made: " in unmade.stderr
        assert unmade.stderr.count("\n") == 1
    left = {file.name for file in home.iterdir()} - {"copy.db.lock"}
    assert left == {".strait", "copy.db", "hello.py"}
    assert (home / "copy.db").read_text() == "the backup of yesterday"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE ledger SET seq = 77 WHERE seq = 2", "has a gap"),
        ("UPDATE runs SET status = 'done'", "has status 'done'"),
        ("UPDATE runs SET status = 'failed'", "its record says 'completed'"),
        ("PRAGMA user_version = 9999", "upgrade strait-python"),
        ("PRAGMA user_version = 0", "no database of strait"),
    ],
)
def test_what_no_server_would_have_written_is_found(
    kept: Path, home: Path, damage: str, said: str
) -> None:
    with closing(sqlite3.connect(kept, isolation_level=None)) as db:
        db.execute(damage)
    found = json.loads(strait("db", "check", "--json", cwd=home).stdout)
    assert found["ok"] is False
    assert said in " ".join(found["problems"])


def test_what_is_no_database_is_one_line(home: Path) -> None:
    (home / "text.db").write_text("no database, but long enough to look at" * 100)
    for name, said in (("text.db", "not a database"), ("none.db", "there is no database")):
        for command in (["check"], ["backup", "out.db"], ["vacuum"], ["migrate"]):
            done = strait("db", *command, "--db", name, cwd=home)
            assert done.returncode == 1, (command, name)
            assert said in done.stderr
            assert done.stderr.count("\n") == 1
    assert not (home / "none.db").exists()


def test_a_vacuum_gives_back_the_room_of_what_was_deleted(kept: Path, home: Path) -> None:
    with closing(sqlite3.connect(kept)) as db:
        db.execute("CREATE TABLE filler AS SELECT randomblob(4000000) AS bytes")
        db.execute("DROP TABLE filler")
        db.commit()
    done = json.loads(strait("db", "vacuum", "--json", cwd=home).stdout)
    assert done["bytes_before"] - done["bytes"] > 3_000_000
    again = strait("db", "migrate", cwd=home)
    assert "nothing to do" in again.stdout


def test_a_purge_says_what_it_reached_and_refuses_what_it_does_not_understand(
    kept: Path, home: Path
) -> None:
    counted = json.loads(
        strait("db", "purge", "--where", "name=Ada", "--dry-run", "--json", cwd=home).stdout
    )
    assert (counted["dry_run"], counted["runs"]) == (True, 1)
    assert b"Ada" in kept.read_bytes()
    for also in ([], ["--dry-run"], ["--older-than", "1d"]):
        unknown = strait("db", "purge", "--run", "run_nobody", *also, cwd=home)
        assert unknown.returncode == 4
        assert "has no run or workflow run `run_nobody`" in unknown.stderr
    done = strait("db", "purge", "--where", "name=Ada", cwd=home)
    assert done.stdout.startswith("purged: 1 runs")
    assert b"Ada" not in kept.read_bytes()
    for wrong in (["--older-than", "90"], ["--where", "name"], ["--where", "=1"], []):
        refused = strait("db", "purge", *wrong, cwd=home)
        assert refused.returncode == 2, wrong
        assert "Traceback" not in refused.stderr
    with platform(home) as dev:
        assert strait("db", "purge", "--older-than", "1d", cwd=home).returncode == 3, dev.stderr


def test_the_help_of_db_says_the_exit_codes(tmp_path: Path) -> None:
    shown = strait("db", "--help", cwd=tmp_path).stdout
    assert {"check", "backup", "restore", "vacuum", "migrate"} <= set(shown.split())
    assert "3 another process has the database; 4 it has no such run" in " ".join(shown.split())
