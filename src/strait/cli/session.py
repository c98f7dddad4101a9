"""What a command on a platform has: its client, and whether programs read what it prints."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Self, TypeVar

import click

if TYPE_CHECKING:
    from strait.cli.places import Asked, Place
    from strait.client import Client
    from strait.errors import Json

_Command = TypeVar("_Command", bound=Callable[..., None])
_PAGE = 100

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else.")
_COUNT = click.IntRange(min=1)
# A wait of no time would say of a run that has ended that it has not.
_SECS = click.FloatRange(min=0, min_open=True)


def limit_option(default: int) -> Callable[[_Command], _Command]:
    """Return the option that says how many rows a list has at most."""
    return click.option(
        "--limit", type=_COUNT, metavar="INTEGER", default=default, show_default=True,
        help="At most so many.",
    )  # fmt: skip


def timeout_option(about: str) -> Callable[[_Command], _Command]:
    """Return the option that says for how many seconds something is waited for."""
    return click.option(
        "--timeout", type=_SECS, metavar="SECS", default=None, callback=_finite, help=about
    )


def _finite(_context: click.Context, _option: click.Parameter, secs: float | None) -> float | None:
    if secs is not None and not isfinite(secs):
        raise click.BadParameter(f"{secs} is no number of seconds")
    return secs


yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


class Session:
    """A command's platform; it is looked for, and the client made, when first used.

    Attributes:
        as_json: whether JSON is to be printed.
    """

    def __init__(self, asked: Asked, *, as_json: bool) -> None:
        self.as_json = as_json
        self._asked = asked

    @cached_property
    def place(self) -> Place:
        """Where the platform is."""
        from strait.cli.places import find

        return find(self._asked)

    @cached_property
    def client(self) -> Client:
        """A client of the platform, whose results are plain JSON."""
        return self.place.client()

    @property
    def project_id(self) -> str:
        """The project.

        Raises:
            CommandError: nothing says which.
        """
        from strait.cli.failures import CommandError, ExitCode

        if not self.place.project_id:
            raise CommandError(
                "no project is set",
                "give --project, set STRAIT_PROJECT, or `project.id` in strait.json",
                ExitCode.USAGE,
            )
        return self.place.project_id

    @cached_property
    def strays(self) -> list[str]:
        """A line for each key of its `strait.json` that is not read, though it was meant to be."""
        from strait.cli.config_keys import strays

        return strays(self._asked.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if "client" in self.__dict__:
            self.client.close()


def on_platform(command: Callable[..., None], *, notes: bool = True) -> Callable[..., None]:
    """Give a command the options that say which platform, and a `Session` as first argument.

    Args:
        command: the command.
        notes: whether it is told beforehand, to the person, which keys of the file are not read.
    """

    @functools.wraps(command)
    def run(
        *,
        base_url: str | None,
        api_key: str | None,
        project_id: str | None,
        profile: str | None,
        path: str | None,
        as_json: bool,
        **arguments: object,
    ) -> None:
        from strait.cli.places import Asked

        asked = Asked(
            base_url=base_url, api_key=api_key, project_id=project_id, profile=profile, path=path
        )
        with Session(asked, as_json=as_json) as session:
            if notes:
                tell_strays(session.strays)
            command(session, **arguments)

    return json_option(place_options(run))


def tell_strays(strays: list[str]) -> None:
    """Tell a person which keys of a file are not read."""
    for line in strays:
        click.echo(f"strait: note: {line}", err=True)


def place_options(command: _Command) -> _Command:
    """Add the options that say which platform and project; they win over the environment."""
    for option in (
        click.option("--file", "path", default=None, metavar="PATH", help="A strait.json."),
        click.option("--profile", default=None, help="Section of `environments` in the file."),
        click.option("--project", "project_id", default=None, help="The project."),
        click.option(
            "--api-key", default=None, help="Others see it; better is [env: STRAIT_API_KEY]."
        ),
        click.option("--base-url", default=None, help="The platform.  [env: STRAIT_BASE_URL]"),
    ):
        command = option(command)
    return command


def pages(call: Callable[..., Json], limit: int, **arguments: object) -> Iterator[Json]:
    """Return at most `limit` rows of a list operation, and ask for no page more than they need."""
    cursor: dict[str, object] = {}
    while limit > 0:
        answer = call(limit=min(limit, _PAGE), **arguments, **cursor)
        rows = (answer if isinstance(answer, list) else answer.get("data")) or []
        yield from rows[:limit]
        limit -= len(rows)
        following = None if isinstance(answer, list) else answer.get("next_cursor")
        if not rows or not following or following == cursor.get("cursor"):
            return
        cursor = {"cursor": following}
