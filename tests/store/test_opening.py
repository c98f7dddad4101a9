"""Opening a database: schema versions, owners, file systems."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from strait.store import ephemeral
from strait.store.connection import (
    StoreError,
    file_system_of,
    open_reader,
    open_writer,
    refuse_network_file_system,
)
from strait.store.migrations import migrate
from strait.store.owner import OwnedError, Ownership


def test_a_new_database_gets_the_whole_schema(database: Path) -> None:
    connection = open_writer(database)
    version = migrate(connection)
    tables = {n for (n,) in connection.execute("SELECT name FROM sqlite_master")}
    assert {"runs", "jobs", "ledger", "event_triggers", "api_keys"} <= tables
    assert connection.execute("PRAGMA user_version").fetchone() == (version,)
    connection.close()


def test_migrating_twice_changes_nothing(database: Path) -> None:
    connection = open_writer(database)
    first = migrate(connection)
    connection.execute("INSERT INTO meta VALUES ('kept', 'yes')")
    assert migrate(connection) == first
    assert connection.execute("SELECT value FROM meta").fetchone() == ("yes",)
    connection.close()


def test_a_database_of_a_newer_release_is_refused_and_left_alone(database: Path) -> None:
    connection = open_writer(database)
    newest = migrate(connection)
    connection.execute(f"PRAGMA user_version={newest + 1}")
    with pytest.raises(StoreError, match="a newer release wrote"):
        migrate(connection)
    assert connection.execute("PRAGMA user_version").fetchone() == (newest + 1,)
    connection.close()


def test_a_file_that_is_no_database_is_refused_with_its_name(database: Path) -> None:
    database.write_bytes(b"this is a letter to my aunt, not a database, and quite long " * 20)
    with pytest.raises(StoreError, match=r"strait\.db"):
        open_writer(database)


@pytest.mark.parametrize("version", [0, 5, 400])
def test_a_database_of_another_program_is_refused_and_left_alone(
    database: Path, version: int
) -> None:
    with closing(sqlite3.connect(database)) as theirs:
        theirs.execute("CREATE TABLE projects (name TEXT)")
        theirs.execute(f"PRAGMA user_version={version}")
    before = database.read_bytes()
    with pytest.raises(StoreError, match="of another program; choose another file with `--db`"):
        open_writer(database)
    assert database.read_bytes() == before


def test_every_commit_is_synced(database: Path) -> None:
    connection = open_writer(database)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    connection.close()


def test_a_reader_cannot_write(database: Path) -> None:
    writer = open_writer(database)
    migrate(writer)
    reader = open_reader(database)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM meta")
    reader.close()
    writer.close()


def test_a_second_owner_is_refused_with_pid_and_address_of_the_first(database: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from strait.store.owner import Ownership\n"
        "owner = Ownership(Path(sys.argv[1])); owner.announce('http://127.0.0.1:1234')\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", script, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert first.stdin is not None
    assert first.stdout is not None
    try:
        assert first.stdout.readline() == b"ready\n"
        with pytest.raises(OwnedError, match=f"process {first.pid}, serving http") as refused:
            Ownership(database)
        assert refused.value.owner.pid == first.pid
    finally:
        first.kill()
        first.wait()
        first.stdin.close()
        first.stdout.close()
    # However the first ended, its lock went with it.
    Ownership(database).release()


def test_what_a_killed_process_left_of_its_ephemeral_database_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import os, sys; from strait.store import ephemeral; "
        "from strait.store.owner import Ownership\n"
        "folder = ephemeral.folder(); owner = Ownership(ephemeral.database_in(folder))\n"
        "print(folder.name, flush=True)\n"
        "os._exit(1) if sys.argv[1] == 'dies' else sys.stdin.read()"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", script]
    dead = subprocess.run([*command, "dies"], env=environment, capture_output=True, check=False)
    with subprocess.Popen(
        [*command, "lives"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as living:
        assert living.stdout is not None
        lives = Path(living.stdout.readline().decode().strip())
        # The second of them has found what the first one left.
        assert not Path(dead.stdout.decode().strip()).exists()
        others = tmp_path / "strait-ephemeral-letters"
        others.mkdir()
        (others / "letter.txt").write_text("dear aunt")
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with ephemeral.folder() as made:
            assert set(tmp_path.iterdir()) == {lives, others, Path(made)}
        living.kill()


def test_a_released_database_can_be_owned_again(database: Path) -> None:
    Ownership(database).release()
    again = Ownership(database)
    assert f'"pid": {os.getpid()}' in database.with_name("strait.db.lock").read_text()
    again.release()


def test_a_database_is_not_owned_under_a_second_name(database: Path) -> None:
    """Each name would have a lock of its own, and a hard link a second `-wal` besides."""
    open_writer(database).close()
    first = Ownership(database)
    link = database.with_name("link.db")
    link.symlink_to(database.name)
    with pytest.raises(StoreError, match=f"is a link to `{re.escape(str(database))}`; name that"):
        Ownership(link)
    first.release()
    link.unlink()
    link.hardlink_to(database)
    for name in (link, database):
        with pytest.raises(StoreError, match="has a second name"):
            Ownership(name)
    assert not link.with_name("link.db.lock").exists()
    link.unlink()
    Ownership(database).release()


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_the_file_system_of_a_directory_is_that_of_its_nearest_mount(
    tmp_path: Path, kind: str
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/root / ext4 rw 0 0\nserver:/home /home/me\\040too {kind} rw 0 0\n")
    assert file_system_of(Path("/home/me too/project"), mounts) == kind
    assert file_system_of(Path("/home/other"), mounts) == "ext4"


def test_an_unknown_file_system_is_not_refused(tmp_path: Path) -> None:
    assert file_system_of(tmp_path, tmp_path / "no such file") == ""
    refuse_network_file_system(tmp_path / "strait.db")
