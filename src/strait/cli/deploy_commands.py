"""`strait deploy`: what a target defines, onto a platform."""

from __future__ import annotations

import click

from strait.cli.session import Session, on_platform, yes_option
from strait.compatibility import TARGETS, Target


@click.command()
@click.argument("target", required=False, default="")
@click.option(
    "--handlers",
    default="",
    envvar="STRAIT_HANDLERS_URL",
    metavar="URL",
    help="Where the host of the handlers is reached.  [env: STRAIT_HANDLERS_URL]",
)
@click.option(
    "--target",
    "kind",
    type=click.Choice(TARGETS),
    default=None,
    help="What to check for.  [default: embedded for the platform of this directory]",
)
@click.option("--plan", "plan_only", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--allow", multiple=True, help="A feature, by its id, to use all the same.")
@yes_option
@on_platform
def deploy(
    session: Session,
    *,
    target: str,
    handlers: str,
    kind: Target | None,
    plan_only: bool,
    allow: tuple[str, ...],
    yes: bool,
) -> None:
    """Bring the jobs and workflows of TARGET to a platform, planned first.

    What is there already is changed where it differs; nothing is deleted. Before that the target is
    checked (`strait check`), and the runs that have not ended are listed by job and version: they
    will meet the new code. The secret that dispatches are signed with comes from the environment
    (STRAIT_SIGNING_SECRET). The exit code is 1 if the check refuses.
    """
    from strait.cli.deploy import Wanted, run

    run(session, Wanted(target, handlers, kind, plan_only, allow, yes))
