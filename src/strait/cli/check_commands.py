"""The commands that look and send nothing: `strait check` and `strait config`."""

from __future__ import annotations

from typing import Any

import click

from strait.compatibility import TARGETS, Target


@click.command()
@click.option("--file", "path", default=None, help="A strait.json of another name or place.")
@click.option("--profile", default=None, help="Section of `environments`.  [env: STRAIT_PROFILE]")
@click.option("--base-url", default=None, help="As if a client were given this.")
@click.option("--timeout-ms", type=int, default=None, help="As if a client were given this.")
@click.option("--project", "project_id", default=None, help="As if a client were given this.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def config(path: str | None, profile: str | None, as_json: bool, **arguments: Any) -> None:
    """Show each setting of a client here, and where it comes from.

    An argument wins over the environment, which wins over the file. Tokens are never shown.
    """
    from strait.cli.config import show

    show(path=path, profile=profile, arguments=arguments, as_json=as_json)


@click.command()
@click.argument("target", required=False, default="")
@click.option(
    "--target",
    "platform",
    type=click.Choice(TARGETS),
    default="platform",
    show_default=True,
    help="Where it is to run.",
)
@click.option("--allow", multiple=True, help="A feature, by its id, to use all the same.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(target: str, platform: Target, allow: tuple[str, ...], *, as_json: bool) -> None:
    """Say what of TARGET cannot work, here or on another platform.

    TARGET is what `strait dev` takes. Nothing is sent anywhere. The
    exit code is 1 if there is anything to say. `docs/compatibility.md` has all features.
    """
    from strait.cli.check import run

    run(target, platform, allow=allow, as_json=as_json)
