"""What `strait runs cancel`, `replay` and `purge` do."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from strait.cli import inputs, lookup, output
from strait.cli.many import each
from strait.cli.progress import tracked
from strait.cli.runs import Wanted, matching
from strait.cli.trigger import check_end, show_until_end
from strait.fsm import TERMINAL_RUN_STATUSES, RunStatus

if TYPE_CHECKING:
    from strait.cli.session import Session
    from strait.errors import Json


# What the platform takes in one request.
_BATCH = 100
_UNFINISHED = tuple(status.value for status in RunStatus if status not in TERMINAL_RUN_STATUSES)


def cancel(session: Session, run_ids: Sequence[str], job: str | None, *, yes: bool) -> None:
    """Cancel the runs that are named, or all that have not ended.

    Raises:
        CommandError: there is no such run or job, or a run could not be canceled.
    """
    if not run_ids:
        _cancel_all(session, job, yes=yes)
        return
    words = ("cancel", "canceled")
    each(words, run_ids, lambda one: _cancel(session, one), as_json=session.as_json)


def _cancel(session: Session, run_id: str) -> Json:
    kind, run = lookup.run(session.client, run_id)
    if kind == "workflow run":
        return session.client.workflow_runs.cancel(run_id)
    return session.client.runs.cancel(run["id"])


def _cancel_all(session: Session, job: str | None, *, yes: bool) -> None:
    wanted = Wanted(job, _UNFINISHED, limit=lookup.MANY)
    run_ids = [run["id"] for run in matching(session, wanted)]
    of = f" of job `{job}`" if job else ""
    if run_ids:
        inputs.confirm(f"Cancel {output.count(len(run_ids), 'run')}{of}?", yes=yes)
    results: list[Json] = []
    batches = [run_ids[at : at + _BATCH] for at in range(0, len(run_ids), _BATCH)]
    for batch in tracked("cancel", batches):
        results += session.client.runs.bulk_cancel({"run_ids": batch})["results"] or []
    canceled = [one for one in results if not one.get("error")]
    # Those that have ended in the meantime need no canceling.
    failed = [one for one in results if one.get("error")]
    if session.as_json:
        output.print_json({"canceled": canceled, "failed": failed})
    else:
        output.say(f"{output.count(len(canceled), 'run')} canceled")


@dataclass(frozen=True, slots=True)
class Again:
    """Which runs are to run again, and how."""

    run_ids: tuple[str, ...] = ()
    job: str | None = None
    statuses: tuple[str, ...] = ()
    limit: int | None = None
    from_checkpoint: bool = False
    wait: bool = False
    yes: bool = False


def replay(session: Session, asked: Again) -> None:
    """Run again what is asked for.

    Raises:
        CommandError: there is no such run, a run could not be replayed, or the one that was waited
            for did not end well.
    """
    run_ids = list(asked.run_ids)
    if not run_ids:
        limit = asked.limit or lookup.MANY
        wanted = Wanted(asked.job, asked.statuses, limit=limit)
        run_ids = [run["id"] for run in matching(session, wanted)]
        if run_ids:
            inputs.confirm(f"Run {output.count(len(run_ids), 'run')} again?", yes=asked.yes)
    if not asked.wait:
        words = ("replay", "replayed")
        each(words, run_ids, lambda one: _again(session, one, asked), as_json=session.as_json)
        return
    replayed = _again(session, run_ids[0], asked)
    kind = "workflow run" if "workflow_id" in replayed else "run"
    ended = show_until_end(session, kind, replayed["id"], None)
    if session.as_json:
        output.print_json(ended)
    check_end(kind, ended)


def _again(session: Session, run_id: str, asked: Again) -> Json:
    kind, run = lookup.run(session.client, run_id)
    if kind == "workflow run":
        return session.client.workflow_runs.retry(run_id)
    if run["status"] == "dead_letter":
        return session.client.runs.dlq_replay(run_id)
    if run["status"] == "completed":
        # The platform replays what has failed; what went well is started anew, with its payload.
        body = {name: run[name] for name in ("payload", "tags") if name in run}
        return session.client.jobs.trigger(run["job_id"], body)
    query = {"from_checkpoint": "true"} if asked.from_checkpoint else None
    return session.client.runs.replay(run_id, query=query)


@dataclass(frozen=True, slots=True)
class Doomed:
    """Which runs are to be purged."""

    run_id: str
    older_than: str
    where: str
    db: Path | None
    dry_run: bool
    yes: bool
    as_json: bool


def purge(doomed: Doomed) -> None:
    """Purge runs of the database of this directory.

    Raises:
        CommandError: a server has the database.
    """
    from strait.cli import db as commands
    from strait.cli.places import database

    path = doomed.db or database()
    if not doomed.dry_run:
        inputs.confirm(f"Take payloads and results in `{path}` away for good?", yes=doomed.yes)
    commands.purge(
        path,
        run_id=doomed.run_id,
        older_than=doomed.older_than,
        where=doomed.where,
        dry_run=doomed.dry_run,
        as_json=doomed.as_json,
    )
    sys.stdout.flush()
