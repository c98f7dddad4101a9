"""`strait jobs`: the jobs of a project, how they stand and how they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from strait.cli.completing import slugs
from strait.cli.session import Session, limit_option, on_platform

if TYPE_CHECKING:
    from strait.errors import Json

_ID = click.argument("name", metavar="JOB", shell_complete=slugs("job"))


@click.group()
def jobs() -> None:
    """List, show, pause and enable jobs.

    JOB is a slug or an id.
    """


@jobs.command("list")
@limit_option(100)
@on_platform
def list_(session: Session, *, limit: int) -> None:
    """List the jobs of the project."""
    from strait.cli import output
    from strait.cli.session import pages

    found = list(pages(session.client.jobs.list, limit))
    if session.as_json:
        output.print_json(found)
        return
    rows = [
        (one["slug"], state(one), one.get("cron"), f"v{one['version']}", one["id"]) for one in found
    ]
    output.table(
        ("job", "state", "cron", "version", "id"),
        rows,
        empty="no jobs; `strait dev TARGET` or `strait deploy TARGET` bring some",
    )


def state(job: Json) -> str:
    """Return whether a job takes runs, in a word."""
    if not job["enabled"]:
        return "disabled"
    return "paused" if job.get("paused") else "enabled"


@jobs.command()
@_ID
@on_platform
def show(session: Session, *, name: str) -> None:
    """Show the settings of a job."""
    from strait.cli import lookup, output

    found = lookup.job(session.client, name)
    if session.as_json:
        output.print_json(found)
    else:
        output.fields(found.items())


@jobs.command()
@_ID
@click.option("--window", default="7d", show_default=True, help="How far to look back.")
@on_platform
def health(session: Session, *, name: str, window: str) -> None:
    """Show how the runs of a job have ended, and how long they took."""
    from strait.cli import lookup, output

    found = lookup.job(session.client, name)
    told: Json = session.client.jobs.get_health(found["id"], query={"window": window})
    if session.as_json:
        output.print_json(told)
    else:
        output.fields(told.items())


@jobs.command()
@_ID
@click.option("--reason", default="", help="Why, for those who look.")
@on_platform
def pause(session: Session, *, name: str, reason: str) -> None:
    """Hold a job: its waiting runs are not started, and it takes no new ones."""
    from strait.cli import lookup

    found = lookup.job(session.client, name)
    changed = session.client.jobs.pause(found["id"], {"reason": reason} if reason else {})
    _tell(session, changed, "paused")


@jobs.command()
@_ID
@on_platform
def resume(session: Session, *, name: str) -> None:
    """Let a paused job go on."""
    from strait.cli import lookup

    found = lookup.job(session.client, name)
    _tell(session, session.client.jobs.resume(found["id"]), "resumed")


@jobs.command()
@_ID
@on_platform
def enable(session: Session, *, name: str) -> None:
    """Let a job take runs."""
    _switch(session, name, enabled=True)


@jobs.command()
@_ID
@on_platform
def disable(session: Session, *, name: str) -> None:
    """Let a job take no runs, and start none by its schedule."""
    _switch(session, name, enabled=False)


def _switch(session: Session, name: str, *, enabled: bool) -> None:
    from strait.cli import lookup

    found = lookup.job(session.client, name)
    changed = session.client.jobs.update(found["id"], {"enabled": enabled})
    _tell(session, changed, "enabled" if enabled else "disabled")


def _tell(session: Session, job: Json, done: str) -> None:
    from strait.cli import output

    if session.as_json:
        output.print_json(job)
    else:
        output.say(f"job `{job['slug']}` is {done}")
