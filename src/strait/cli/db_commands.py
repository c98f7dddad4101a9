"""The commands of `strait db` and their options; what they do is in `strait.cli.db`."""

from __future__ import annotations

from pathlib import Path

import click

from strait.server.options import PREFIX

_DEFAULT_DB = Path(".strait") / "dev.db"
_FILE = click.Path(dir_okay=False, path_type=Path)

_database = click.option(
    "--db",
    type=_FILE,
    default=_DEFAULT_DB,
    envvar=f"{PREFIX}DB",
    show_default=True,
    help="The database.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def db() -> None:
    """Look after the database of a platform.

    Exit codes: 0 done; 1 it could not be done, or the database is broken; 2 the command line is
    wrong; 3 another process has the database; 4 it has no such run.
    """


@db.command()
@_database
@_json
def check(db: Path, *, as_json: bool) -> None:
    """Look the database over: every page, every history, every status.

    It only reads, and runs beside a server too.
    """
    from strait.cli import db as commands

    commands.check(db, as_json=as_json)


@db.command()
@click.argument("out", type=_FILE)
@_database
@click.option("--without-key", is_flag=True, help="Leave the key of the secrets out.")
@click.option("--force", is_flag=True, help="Write over OUT.")
@_json
def backup(out: Path, db: Path, *, without_key: bool, force: bool, as_json: bool) -> None:
    """Copy the database to OUT, and the key of its secrets to OUT.secrets.

    A server may serve it meanwhile: the copy is of the moment in which it begins.
    """
    from strait.cli import db as commands

    commands.backup(db, out, with_key=not without_key, force=force, as_json=as_json)


@db.command()
@click.argument("source", type=_FILE)
@_database
@click.option("--force", is_flag=True, help="Replace the database that is there.")
@_json
def restore(source: Path, db: Path, *, force: bool, as_json: bool) -> None:
    """Put the backup SOURCE in the place of the database, once it was looked over."""
    from strait.cli import db as commands

    commands.restore(source, db, force=force, as_json=as_json)


@db.command()
@_database
@_json
def vacuum(db: Path, *, as_json: bool) -> None:
    """Give back the room that deleted rows have left. No server may run."""
    from strait.cli import db as commands

    commands.vacuum(db, as_json=as_json)


@db.command()
@_database
@_json
def migrate(db: Path, *, as_json: bool) -> None:
    """Bring the schema to this release's version, as a start of the server would."""
    from strait.cli import db as commands

    commands.migrate(db, as_json=as_json)


@db.command()
@_database
@click.option("--run", "run_id", default="", help="This run, or workflow run.")
@click.option("--older-than", default="", help="Runs that ended so many days ago: `90d`.")
@click.option("--where", default="", help="Runs whose payload has this value: `user.id=42`.")
@click.option("--dry-run", is_flag=True, help="Count the runs, and change nothing.")
@_json
def purge(
    db: Path, *, run_id: str, older_than: str, where: str, dry_run: bool, as_json: bool
) -> None:
    """Take the payloads of runs away for good, such as those of one person.

    Of the runs that fit all that is given, and of what they have started, everything goes that a
    payload may have flowed into. That there were these runs, and that this was done, stays. No
    server may run. Backups and archives are not touched.
    """
    if not (run_id or older_than or where):
        raise click.UsageError("say which runs: --run, --older-than or --where")
    from strait.cli import db as commands

    commands.purge(
        db, run_id=run_id, older_than=older_than, where=where, dry_run=dry_run, as_json=as_json
    )
