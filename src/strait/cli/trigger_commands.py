"""`strait trigger`: start a run of a job or a workflow, and wait for it if asked."""

from __future__ import annotations

import click

from strait.cli.completing import slugs
from strait.cli.session import Session, on_platform, timeout_option


@click.command()
@click.argument("slug", shell_complete=slugs("either"))
@click.argument("pairs", nargs=-1, metavar="[KEY=TEXT | KEY:=JSON]...")
@click.option("--payload", "text", default=None, help="JSON, @FILE, or - for the standard input.")
@click.option("--wait", is_flag=True, help="Follow the run, and exit by how it ends.")
@timeout_option("Seconds to wait at most; 124 then.")
@click.option("--key", default=None, help="Idempotency key: with the same, nothing runs twice.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag of the run.")
@click.option("--delay", default=None, help="Start it so long from now: 90s, 5m, 12h, 30d.")
@click.option("--priority", type=int, default=None, help="Higher ones start first.")
@click.option("--concurrency-key", default=None, help="Whose share of the job it takes.")
@on_platform
def trigger(session: Session, **arguments: object) -> None:
    """Start a run of the job or workflow SLUG.

    The payload is --payload, or the pairs: `amount:=900 customer.name=Ada` is
    `{"amount": 900, "customer": {"name": "Ada"}}`. With --wait the exit code is 0 if the run
    completes, 1 if it ends otherwise, 124 if it has not ended in time.
    """
    from strait.cli.trigger import Request, run

    run(session, Request(**arguments))  # type: ignore[arg-type]  # click has checked them
