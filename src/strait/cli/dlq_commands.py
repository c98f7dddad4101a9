"""`strait dlq`: runs that have used up their attempts, and wait for a person."""

from __future__ import annotations

import click

from strait.cli.completing import slugs
from strait.cli.session import Session, limit_option, on_platform, yes_option

_JOB = click.option("--job", default=None, shell_complete=slugs("job"), help="Slug or id of a job.")


@click.group()
def dlq() -> None:
    """List, replay and purge dead letters.

    A dead letter is a run that has used up its attempts.
    """


@dlq.command("list")
@_JOB
@limit_option(50)
@on_platform
def list_(session: Session, *, job: str | None, limit: int) -> None:
    """List dead letters, the newest first."""
    from strait.cli import lookup, output

    found = _letters(session, job, limit)
    if session.as_json:
        output.print_json(found)
        return
    slugs = lookup.job_slugs(session.client) if found else {}
    output.table(
        ("run", "job", "attempts", "ended", "error"),
        (
            (
                one["id"],
                slugs.get(one["job_id"], one["job_id"]),
                one["attempt"],
                output.when(one.get("finished_at")),
                output.clean(one.get("error") or "")[:60],
            )
            for one in found
        ),
        empty="no dead letters",
    )


@dlq.command()
@click.argument("run_ids", metavar="RUN...", nargs=-1)
@_JOB
@click.option("--all", "every", is_flag=True, help="All dead letters (of --job).")
@yes_option
@on_platform
def replay(
    session: Session, *, run_ids: tuple[str, ...], job: str | None, every: bool, yes: bool
) -> None:
    """Run dead letters again, with new attempts."""
    from strait.cli.many import each

    chosen = _chosen(session, run_ids, job, every=every, yes=yes, question="Run {} again?")
    words = ("replay", "replayed")
    each(words, chosen, session.client.runs.dlq_replay, as_json=session.as_json)


@dlq.command()
@click.argument("run_ids", metavar="RUN...", nargs=-1)
@_JOB
@click.option("--all", "every", is_flag=True, help="All dead letters (of --job).")
@yes_option
@on_platform
def purge(
    session: Session, *, run_ids: tuple[str, ...], job: str | None, every: bool, yes: bool
) -> None:
    """Delete dead letters for good."""
    from strait.cli.many import each

    question = "Delete {} for good?"
    chosen = _chosen(session, run_ids, job, every=every, yes=yes, question=question, always=True)

    def delete(run_id: str) -> str:
        session.client.admin_dlq.purge(run_id)
        return run_id

    each(("purge", "purged"), chosen, delete, as_json=session.as_json, quiet=True)


def _letters(session: Session, job: str | None, limit: int) -> list[dict[str, str]]:
    from strait.cli import lookup
    from strait.cli.session import pages

    reach = limit
    job_id = None
    if job:
        job_id, reach = lookup.job(session.client, job)["id"], lookup.MANY
    found = pages(session.client.runs.get_dlq, reach)
    return [one for one in found if job_id in (None, one["job_id"])][:limit]


def _chosen(
    session: Session,
    run_ids: tuple[str, ...],
    job: str | None,
    *,
    every: bool,
    yes: bool,
    question: str,
    always: bool = False,
) -> list[str]:
    """Return the runs that are named, or all; asks where that is many or for good."""
    if bool(run_ids) == every:
        raise click.UsageError("name runs, or say --all")
    if job and not every:
        raise click.UsageError("--job goes with --all")
    from strait.cli import inputs, lookup, output

    chosen = list(run_ids) or [one["id"] for one in _letters(session, job, lookup.MANY)]
    if chosen and (every or always):
        inputs.confirm(question.format(output.count(len(chosen), "dead letter")), yes=yes)
    return chosen
