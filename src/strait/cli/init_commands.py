"""`strait init`: a project to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from strait.cli.session import json_option

# The folders of `strait.cli.templates`.
TEMPLATES = ("minimal", "workflow", "agent", "fastapi")


@click.command()
@click.argument("directory", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--template",
    type=click.Choice(TEMPLATES),
    default="minimal",
    show_default=True,
    help="What to begin with.",
)
@json_option
def init(directory: Path, *, template: str, as_json: bool) -> None:
    """Write a project into DIRECTORY: jobs, and a test of them.

    minimal is one job; workflow waits for an approval; agent works within a budget; fastapi hosts
    its jobs in a FastAPI application. No file is overwritten.
    """
    from strait.cli.init import create

    create(directory, template, as_json=as_json)
