"""`strait schedules`: jobs and workflows that the clock starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from strait.cli.completing import slugs
from strait.cli.session import Session, on_platform

if TYPE_CHECKING:
    from strait.errors import Json

_NAME = click.argument("name", metavar="SLUG", shell_complete=slugs("either"))


@click.group()
def schedules() -> None:
    """List and pause what is started by the clock.

    A schedule is the `cron` of a job or a workflow, so it has that one's SLUG.
    """


@schedules.command("list")
@on_platform
def list_(session: Session) -> None:
    """List schedules, and when each fires next."""
    from strait.cli import output
    from strait.cli.schedules import found

    rows = found(session.client)
    if session.as_json:
        output.print_json(rows)
        return
    output.table(
        ("schedule", "of", "cron", "zone", "state", "next"),
        (
            (
                one["slug"],
                one["kind"],
                one["cron"],
                one["timezone"],
                one["state"],
                output.when(one["next"]),
            )
            for one in rows
        ),
        empty="no job and no workflow has a `cron`",
    )


@schedules.command("next")
@_NAME
@click.option(
    "--count", type=click.IntRange(1, 1_000), metavar="INTEGER", default=10, show_default=True,
    help="How many times, 1 to 1000.",
)  # fmt: skip
@on_platform
def next_(session: Session, *, name: str, count: int) -> None:
    """Show when a schedule fires next, in its own time zone."""
    from strait.cli import output
    from strait.cli.schedules import one, times

    schedule = one(session.client, name)
    instants = times(schedule, count)
    if session.as_json:
        output.print_json({**schedule, "times": instants})
    else:
        output.say("\n".join(instants) or "never: there is no such day")


@schedules.command()
@_NAME
@on_platform
def pause(session: Session, *, name: str) -> None:
    """Pause a schedule: its job is paused as a whole, a workflow is disabled.

    The API has no pause of the clock alone. What is triggered by hand is held, or refused, too.
    """
    _switch(session, name, on=False)


@schedules.command()
@_NAME
@on_platform
def resume(session: Session, *, name: str) -> None:
    """Let a paused schedule go on."""
    _switch(session, name, on=True)


def _switch(session: Session, name: str, *, on: bool) -> None:
    from strait.cli import output
    from strait.cli.schedules import one

    client, schedule = session.client, one(session.client, name)
    told: Json
    if schedule["kind"] == "workflow":
        told = client.workflows.update(schedule["id"], {"enabled": on})
    elif on:
        told = client.jobs.resume(schedule["id"])
    else:
        told = client.jobs.pause(schedule["id"], {"reason": "its schedule is paused"})
    if session.as_json:
        output.print_json(told)
    else:
        done = "goes on" if on else "is paused"
        output.say(f"schedule of {schedule['kind']} `{schedule['slug']}` {done}")
