"""The commands `strait export` and `strait import`; what they do is in `strait.cli.transfer`."""

from __future__ import annotations

from pathlib import Path

import click

from strait.cli.session import place_options

_FILE = click.Path(dir_okay=False, exists=True, path_type=Path)


@click.command("export")
@click.argument("out", default="-")
@click.option("--with-variables", is_flag=True, help="Write the values of variables, too.")
@place_options
def export_command(out: str, *, with_variables: bool, **settings: str | None) -> None:
    """Write what a project consists of to OUT, or to the standard output.

    Jobs, workflows, schedules, environments, groups, throttles, event sources, webhooks,
    channels, log drains and roles of any platform, as JSON, without secrets.
    """
    from strait.cli.transfer import Settings, write

    write(out, with_variables=with_variables, settings=Settings(**settings))


@click.command("import")
@click.argument("file", type=_FILE)
@click.option("--plan", "plan_only", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--prune", is_flag=True, help="Delete what FILE does not have.")
@click.option("--values", type=_FILE, default=None, help="JSON with the values that are to be set.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@place_options
def import_command(
    file: Path,
    *,
    plan_only: bool,
    prune: bool,
    values: Path | None,
    as_json: bool,
    **settings: str | None,
) -> None:
    """Bring FILE, which `strait export` wrote, into a project.

    Things are known by slug or name; what is there already is changed where it differs, and a
    second import does nothing. Nothing is deleted without --prune. The exit code is 1 when
    something could not be brought.
    """
    from strait.cli.transfer import Settings, read

    read(
        file,
        plan_only=plan_only,
        prune=prune,
        values=values,
        as_json=as_json,
        settings=Settings(**settings),
    )
