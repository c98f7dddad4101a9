"""`strait doctor`: what is wrong with this machine, this directory, and its platform."""

from __future__ import annotations

from functools import partial

import click

from strait.cli.session import Session, on_platform


@click.command()
@partial(on_platform, notes=False)
def doctor(session: Session) -> None:
    """Look for what is wrong, and say what to do.

    Python and SQLite, extras, settings, the platform and how fast it answers, the key and its
    scopes, clocks, handlers, secrets, the database of this directory and its disk. Nothing is
    changed. The exit code is 1 if a line says `fail`.
    """
    from strait.cli.doctor import examine

    examine(session)
