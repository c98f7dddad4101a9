"""The commands and their options; what they do is in modules of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from strait._version import __version__
from strait.cli.db_commands import db
from strait.cli.transfer_commands import export_command, import_command
from strait.compatibility import TARGETS, Target
from strait.server.options import OPTIONS, PREFIX

_DEFAULT_DB = Path(".strait") / "dev.db"


def _platform_options(command: Any) -> Any:
    """Add the options of the commands that start a platform."""
    options = [
        click.option(
            "--host",
            default="127.0.0.1",
            envvar=f"{PREFIX}HOST",
            show_default=True,
            help="Address to bind.",
        ),
        click.option(
            "--port",
            default=7676,
            envvar=f"{PREFIX}PORT",
            show_default=True,
            help="Port to bind; 0 = any.",
        ),
        click.option(
            "--db",
            type=click.Path(dir_okay=False, path_type=Path),
            default=_DEFAULT_DB,
            envvar=f"{PREFIX}DB",
            show_default=True,
            help="File that keeps the platform's state.",
        ),
        click.option("--ephemeral", is_flag=True, help="Keep nothing after the end."),
        click.option("--project", default="", help="Project id.  [default: proj_local]"),
        click.option(
            "--api-key", default="", envvar="STRAIT_DEV_API_KEY", help="API key to accept."
        ),
        *(
            click.option(option.flag, option.name, default=None, help=f"{option.about}.")
            for option in OPTIONS
            if not option.secret
        ),
        click.option(
            "--log-format",
            type=click.Choice(["text", "json"]),
            default="text",
            envvar=f"{PREFIX}LOG_FORMAT",
            show_default=True,
            help="How log lines are written, to the standard error.",
        ),
        click.option(
            "--log-level",
            type=click.Choice(["debug", "info", "warning", "error"]),
            default="warning",
            envvar=f"{PREFIX}LOG_LEVEL",
            show_default=True,
            help="From which level on; `debug` has a line for each request.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="strait")
def cli() -> None:
    """Durable jobs, workflows, flows and agents."""


@cli.command()
@click.argument("target", required=False, default="")
@_platform_options
def dev(target: str, **options: Any) -> None:
    """Run a platform on this machine, with the jobs and workflows of TARGET.

    TARGET is a module (`shop.jobs`), a file, or a directory with `main.py`. Its handlers run in
    a process of their own.
    """
    from strait.cli.dev import Options, run

    run(Options.of(target, options))


@cli.command()
@_platform_options
def serve(**options: Any) -> None:
    """Run a platform on this machine without handlers."""
    from strait.cli.dev import Options, run

    run(Options.of("", options))


@cli.command()
@click.option("--file", "path", default=None, help="A strait.json of another name or place.")
@click.option("--profile", default=None, help="Section of `environments`.  [env: STRAIT_PROFILE]")
@click.option("--base-url", default=None, help="As if a client were given this.")
@click.option("--timeout-ms", type=int, default=None, help="As if a client were given this.")
@click.option("--project", "project_id", default=None, help="As if a client were given this.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def config(path: str | None, profile: str | None, as_json: bool, **arguments: Any) -> None:
    """Show each setting that a client would have here, and where it comes from.

    An argument wins over the environment, which wins over the file. Tokens are never shown.
    """
    from strait.cli.config import show

    show(path=path, profile=profile, arguments=arguments, as_json=as_json)


@cli.command()
@click.argument("target", required=False, default=".")
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
    """Say what of TARGET cannot work, and what the platform cannot do of it.

    TARGET is what `strait dev` takes; by default the directory. Nothing is sent anywhere. The
    exit code is 1 if there is anything to say. `docs/compatibility.md` has all features.
    """
    from strait.cli.check import run

    run(target, platform, allow=allow, as_json=as_json)


cli.add_command(db)
cli.add_command(export_command)
cli.add_command(import_command)
