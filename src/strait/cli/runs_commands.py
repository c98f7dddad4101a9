"""`strait runs`: what runs, what has run, and what can be done about it."""

from __future__ import annotations

from pathlib import Path

import click

from strait.cli.completing import slugs
from strait.cli.session import Session, limit_option, on_platform, timeout_option, yes_option

_RUN = click.argument("run_id", metavar="RUN")
_RUNS = click.argument("run_ids", metavar="RUN...", nargs=-1)
_JOB = click.option("--job", default=None, shell_complete=slugs("job"), help="Slug or id of a job.")
_STATUS = click.option(
    "--status", "statuses", multiple=True, help="Such as failed; may be given more than once."
)
_LIMIT = limit_option(20)
_TIMEOUT = timeout_option("Seconds at most; 124 then.")


@click.group()
def runs() -> None:
    """List, watch, cancel, replay and purge runs.

    RUN is the id of a run, or of a workflow run.
    """


@runs.command("list")
@_JOB
@_STATUS
@click.option("--tag", default=None, metavar="KEY=VALUE", help="Runs with this tag.")
@click.option("--since", default=None, help="Not older than 90s, 5m, 12h or 30d.")
@_LIMIT
@on_platform
def list_(
    session: Session,
    *,
    job: str | None,
    statuses: tuple[str, ...],
    tag: str | None,
    since: str | None,
    limit: int,
) -> None:
    """List runs, the newest first."""
    from strait.cli.runs import Wanted, show_list

    show_list(session, Wanted(job, statuses, tag, since, limit))


@runs.command()
@_RUN
@on_platform
def show(session: Session, *, run_id: str) -> None:
    """Show a run: how it stands, what it was given and what it left."""
    from strait.cli.runs import show_one

    show_one(session, run_id)


@runs.command()
@_RUN
@_TIMEOUT
@on_platform
def watch(session: Session, *, run_id: str, timeout: float | None) -> None:
    """Follow a run to its end, and exit by how it ends.

    With --json each line is an event, and the last line is the run.
    """
    from strait.cli.runs import watch_one

    watch_one(session, run_id, timeout)


@runs.command()
@_RUN
@click.option("--follow", "-f", is_flag=True, help="Go on until the run has ended.")
@click.option(
    "--level",
    type=click.Choice(["debug", "info", "warn", "error"]),
    default="debug",
    show_default=True,
    help="From which level on.",
)
@on_platform
def logs(session: Session, *, run_id: str, follow: bool, level: str) -> None:
    """Show what a run has logged. With --json a line for each."""
    from strait.cli.runs import show_logs

    show_logs(session, run_id, follow=follow, level=level)


@runs.command()
@_RUNS
@_JOB
@click.option("--all", "every", is_flag=True, help="All that have not ended (of --job).")
@yes_option
@on_platform
def cancel(
    session: Session, *, run_ids: tuple[str, ...], job: str | None, every: bool, yes: bool
) -> None:
    """Cancel runs: those that are named, or all that have not ended."""
    if bool(run_ids) == every:
        raise click.UsageError("name runs, or say --all")
    if job and not every:
        raise click.UsageError("--job goes with --all")
    from strait.cli.run_actions import cancel as act

    act(session, run_ids, job, yes=yes)


@runs.command()
@_RUN
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="The file.  [default: run-RUN.html]",
)
@click.option("--redact", multiple=True, metavar="PATH", help="Hide what is there: `card.number`.")
@click.option("--fixture", is_flag=True, help="As a test fixture: `pytest --strait-replay FILE`.")
@click.option(
    "--app",
    metavar="MODULE:NAME",
    help="With --fixture: where its job is found.  [default: what `strait dev` says]",
)
@on_platform
def export(
    session: Session,
    *,
    run_id: str,
    out: Path | None,
    redact: tuple[str, ...],
    fixture: bool,
    app: str | None,
) -> None:
    """Write a run as one HTML page: graph, timeline, logs, steps, cost.

    The page has no scripts and needs nothing else. With --json it is the same as a document. What
    lies under keys of secrets, and tokens, are hidden always.

    With --fixture it is what a unit test replays the run with: its payload, and all that was
    answered to its handler.
    """
    from strait.cli.export_run import export as act
    from strait.cli.export_run import export_fixture

    if fixture:
        export_fixture(session, run_id, out, redact, app or "")
    elif app:
        raise click.UsageError("--app is for --fixture")
    else:
        act(session, run_id, out, redact)


@runs.command()
@_RUNS
@_JOB
@_STATUS
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="INTEGER", default=None,
    help="With --status: at most so many.  [default: all]",
)  # fmt: skip
@click.option("--from-checkpoint", is_flag=True, help="Go on from the last checkpoint.")
@click.option("--wait", is_flag=True, help="Of one run: follow the new one, and exit by its end.")
@yes_option
@on_platform
def replay(session: Session, **arguments: object) -> None:
    """Run again: those that are named, or all with a --status.

    A replay is a new run with the same payload.
    """
    from strait.cli.run_actions import Again
    from strait.cli.run_actions import replay as act

    asked = Again(**arguments)  # type: ignore[arg-type]  # click has checked them
    if bool(asked.run_ids) == bool(asked.statuses):
        raise click.UsageError("name runs, or say which with --status")
    if asked.wait and len(asked.run_ids) != 1:
        raise click.UsageError("--wait is for one run")
    act(session, asked)


@runs.command()
@click.argument("run_id", metavar="[RUN]", required=False, default="")
@click.option("--older-than", default="", help="Runs that ended so many days ago: `90d`.")
@click.option("--where", default="", help="Runs whose payload has this value: `user.id=42`.")
@click.option(
    "--db", type=click.Path(dir_okay=False, path_type=Path), default=None, help="The database."
)
@click.option("--dry-run", is_flag=True, help="Count the runs, and change nothing.")
@yes_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else.")
def purge(**arguments: object) -> None:
    """Take payloads and results of runs away for good, on the database of this directory.

    What `strait db purge` does, with a question first. No server may run: the file is rewritten,
    so that no page of it keeps the old text. The hosted platform has no such thing.
    """
    if not (arguments["run_id"] or arguments["older_than"] or arguments["where"]):
        raise click.UsageError("say which runs: RUN, --older-than or --where")
    from strait.cli.run_actions import Doomed
    from strait.cli.run_actions import purge as act

    act(Doomed(**arguments))  # type: ignore[arg-type]  # click has checked them
