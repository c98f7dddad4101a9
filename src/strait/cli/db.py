"""`strait db …`: looking after the database of a platform.

Exit codes: 0 done; 1 it could not be done, or the database is broken; 2 the command line is wrong;
3 another process has the database; 4 it has no such run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

from strait.cli.progress import Bar, working
from strait.clock import SECOND, SystemClock, to_timestamp
from strait.store import backup as copies
from strait.store import maintenance
from strait.store import purge as purges
from strait.store.connection import StoreError
from strait.store.owner import OwnedError

T = TypeVar("T")

FAILED = 1
USAGE = 2
IN_USE = 3
NOT_FOUND = 4


def check(db: Path, *, as_json: bool) -> None:
    """Print what there is, and what is wrong; exit with 1 when anything is."""
    with working("check"):
        report = _attempt(lambda: maintenance.check(db))
    if as_json:
        tables = {
            table.name: {"rows": table.rows, "bytes": table.size_bytes} for table in report.tables
        }
        _print_json(
            ok=not report.problems,
            path=str(report.path),
            schema_version=report.version,
            newest_schema_version=report.newest_version,
            bytes=report.size_bytes,
            tables=tables,
            problems=report.problems,
        )
    else:
        _print_report(report)
    if report.problems:
        sys.exit(FAILED)


def _print_report(report: maintenance.Report) -> None:
    for table in report.tables:
        size = "-" if table.size_bytes is None else _size(table.size_bytes)
        print(f"{table.name:<24} {table.rows:>12,} rows {size:>12}")
    behind = "" if report.version == report.newest_version else f" of {report.newest_version}"
    print(f"{report.path}: schema version {report.version}{behind}, {_size(report.size_bytes)}")
    for problem in report.problems:
        print(f"broken: {problem}")
    print("restore a backup: `strait db restore`" if report.problems else "ok")


def backup(db: Path, out: Path, *, with_key: bool, force: bool, as_json: bool) -> None:
    """Copy a database, also one that is served."""
    bar = Bar("backup")
    done = _attempt(
        lambda: copies.backup(db, out, with_key=with_key, force=force, progress=bar.move)
    )
    bar.end()
    _print_copied(done, as_json=as_json)


def restore(source: Path, db: Path, *, force: bool, as_json: bool) -> None:
    """Put a copy in the place of a database."""
    bar = Bar("restore")
    done = _attempt(lambda: copies.restore(source, db, force=force, progress=bar.move))
    bar.end()
    _print_copied(done, as_json=as_json)


def _print_copied(done: copies.Copied, *, as_json: bool) -> None:
    if as_json:
        _print_json(path=str(done.path), bytes=done.size_bytes, with_key=done.with_key)
        return
    key = f", its key in {copies.key_beside(done.path)}" if done.with_key else ", without a key"
    print(f"{done.path}: {_size(done.size_bytes)}{key}")


def vacuum(db: Path, *, as_json: bool) -> None:
    """Rewrite a database without the room that deleted rows have left."""
    with working("vacuum"):
        done = _attempt(lambda: maintenance.vacuum(db))
    if as_json:
        _print_json(path=str(db), bytes_before=done.before_bytes, bytes=done.after_bytes)
    else:
        print(f"{db}: {_size(done.before_bytes)} -> {_size(done.after_bytes)}")


def migrate(db: Path, *, as_json: bool) -> None:
    """Bring the schema of a database to this release's version."""
    with working("migrate"):
        done = _attempt(lambda: maintenance.migrate(db))
    if as_json:
        _print_json(path=str(db), schema_version_before=done.before, schema_version=done.after)
    elif done.before == done.after:
        print(f"{db}: schema version {done.after}, nothing to do")
    else:
        print(f"{db}: schema version {done.before} -> {done.after}")


def purge(
    db: Path, *, run_id: str, older_than: str, where: str, dry_run: bool, as_json: bool
) -> None:
    """Take the payloads of runs away, and say how many runs that were."""
    now = SystemClock().now()
    days = _days(older_than) if older_than else 0
    asked = purges.Asked(
        run_id=run_id,
        ended_before=to_timestamp(max(0, now - days * _DAY)) if older_than else "",
        where=_pair(where) if where else None,
        forget_keys_before=to_timestamp(now - _DAY),
    )
    with working("purge"):
        done = _attempt(lambda: purges.purge(db, asked, to_timestamp(now), dry_run=dry_run))
    if as_json:
        _print_json(dry_run=dry_run, **done._asdict())
    else:
        verb = "would be purged" if dry_run else "purged"
        print(
            f"{verb}: {done.runs} runs, {done.workflow_runs} workflow runs, "
            f"{done.waiting} waiting triggers and events"
        )
    if done.unfinished:
        print(
            f"strait: {done.unfinished} runs are not over and were left alone; let them end, "
            "or cancel them, and purge again",
            file=sys.stderr,
        )
        sys.exit(FAILED)


_DAY = 86_400 * SECOND


def _days(text: str) -> int:
    number = text.removesuffix("d")
    if not (number.isascii() and number.isdigit()) or not text.endswith("d"):
        _wrong(f"`--older-than {text}` is no number of days; write it like `90d`")
    return int(number)


def _pair(text: str) -> tuple[str, str]:
    path, equals, value = text.partition("=")
    steps = path.split(".")
    if not equals or not all(step and '"' not in step for step in steps):
        _wrong(f"`--where {text}` is no path and value; write it like `user.id=42`")
    return path, value


def _wrong(message: str) -> NoReturn:
    print(f"strait: {message}", file=sys.stderr)
    sys.exit(USAGE)


# -------------------------------------------------------------------------------------- how to say


def _attempt(work: Callable[[], T]) -> T:
    """Do it, or exit with one line that says why not."""
    try:
        return work()
    except OwnedError as error:
        print(f"strait: {error}", file=sys.stderr)
        sys.exit(IN_USE)
    except purges.UnknownRunError as error:
        print(f"strait: {error}", file=sys.stderr)
        sys.exit(NOT_FOUND)
    except StoreError as error:
        print(f"strait: {error}", file=sys.stderr)
        sys.exit(FAILED)


def _print_json(**fields: object) -> None:
    print(json.dumps(fields))


def _size(size_bytes: int) -> str:
    size, unit = float(size_bytes), "B"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
