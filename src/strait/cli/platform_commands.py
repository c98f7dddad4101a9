"""The commands that start a platform, and their options; what they do is in `strait.cli.dev`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from strait.server.options import OPTIONS, PREFIX

_DEFAULT_DB = Path(".strait") / "dev.db"


def _address(_context: click.Context, _option: click.Parameter, host: str) -> str:
    # The system takes an empty one for all addresses, which nobody has asked for.
    if not host.strip():
        raise click.BadParameter("it is empty: name an address, such as 127.0.0.1")
    return host


def _file(_context: click.Context, _option: click.Parameter, path: Path) -> Path:
    if not path.name:
        raise click.BadParameter("it is empty: name a file, or leave the option out")
    return path


def _platform_options(command: Any) -> Any:
    """Add the options of the commands that start a platform."""
    options = [
        click.option(
            "--host",
            default="127.0.0.1",
            envvar=f"{PREFIX}HOST",
            callback=_address,
            show_default=True,
            help="Address to bind.",
        ),
        click.option(
            "--port",
            type=click.IntRange(0, 65_535),
            metavar="INTEGER",
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
            callback=_file,
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
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            help="Print lines of JSON: one when ready, then what happens.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("target", required=False, default="")
@_platform_options
@click.option("--open", "open_page", is_flag=True, help="Open the dashboard in the browser.")
@click.option(
    "--no-reload",
    "reload",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Do not load the code anew when it is saved.",
)
@click.option("--quiet", is_flag=True, help="Tell no runs.")
@click.option(
    "--attach",
    default="",
    metavar="SOCKET",
    help="Attach this terminal to a handler that stands at a `breakpoint()`.",
)
@click.pass_context
def dev(context: click.Context, /, target: str, attach: str, **options: Any) -> None:
    """Run a platform on this machine, with what TARGET defines.

    TARGET is a module or a package (`shop.jobs`), a file, or a directory; without it, the `dirs`
    of strait.json, else main.py or the package that is here. All modules of a package are
    imported. Handlers run in a process of their own, which is replaced when a file is saved; what
    is running finishes on the code that it began with.
    """
    if attach:
        from strait.cli.dev_attach import attach as attach_to

        attach_to(attach)
        return
    from strait.cli.dev import Options, run

    asked_for = context.get_parameter_source("port") is not click.core.ParameterSource.DEFAULT
    run(Options.of(target, {**options, "hosts": True, "any_port": not asked_for}))


@click.command()
@_platform_options
def serve(**options: Any) -> None:
    """Run a platform on this machine without handlers."""
    from strait.cli.dev import Options, run

    run(Options.of("", options))
