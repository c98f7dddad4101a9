"""`strait events`: events that runs wait for, and sources that start some."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from strait.cli.session import Session, limit_option, on_platform

if TYPE_CHECKING:
    from strait.errors import Json


@click.group()
def events() -> None:
    """Send events, and list who waits for some."""


@events.command()
@click.argument("key")
@click.argument("pairs", nargs=-1, metavar="[KEY=TEXT | KEY:=JSON]...")
@click.option("--payload", "text", default=None, help="JSON, @FILE, or - for the standard input.")
@click.option("--source", is_flag=True, help="KEY is an event source: start what subscribes to it.")
@click.option("--prefix", is_flag=True, help="Send to all keys that begin with KEY.")
@on_platform
def send(
    session: Session,
    *,
    key: str,
    pairs: tuple[str, ...],
    text: str | None,
    source: bool,
    prefix: bool,
) -> None:
    """Send the event KEY to the runs that wait for it."""
    if source and prefix:
        raise click.UsageError("--source and --prefix exclude each other")
    from strait.cli import inputs, output

    payload = inputs.payload(text, pairs)
    told: Json
    client = session.client
    if source:
        body = {"source": key, "project_id": session.project_id, "payload": payload}
        told = client.event_sources.dispatch(body)
        line = f"event source `{key}`: {output.count(told['dispatched'], 'run')} started"
    elif prefix:
        told = client.event_triggers.send_prefix(key, {"payload": payload})
        line = f"sent to keys that begin with {key}"
    else:
        told = client.event_triggers.send(key, {"payload": payload})
        line = f"event {key}: {told['status']}"
    if session.as_json:
        output.print_json(told)
    else:
        output.say(line)


@events.command("list")
@click.option("--status", default=None, help="Such as waiting, received or timed_out.")
@limit_option(50)
@on_platform
def list_(session: Session, *, status: str | None, limit: int) -> None:
    """List what waits for events, and what has come."""
    from strait.cli import output
    from strait.cli.session import pages

    filters = {"status": status} if status else {}
    found = list(pages(session.client.event_triggers.list, limit, **filters))
    if session.as_json:
        output.print_json(found)
        return
    output.table(
        ("event", "status", "of", "since", "until"),
        (
            (
                one["event_key"],
                one["status"],
                one.get("job_run_id") or one.get("workflow_run_id"),
                output.when(one["requested_at"]),
                output.when(one["expires_at"]),
            )
            for one in found
        ),
        empty="nothing waits for an event",
    )
