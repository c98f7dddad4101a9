"""Doing the same with several runs: what fails for one holds up no other, and each is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from strait.cli import output
from strait.cli.failures import CommandError
from strait.cli.progress import tracked
from strait.errors import HttpError

if TYPE_CHECKING:
    from strait.errors import Json


def each(
    words: tuple[str, str],
    run_ids: Sequence[str],
    act: Callable[[str], Json],
    *,
    as_json: bool,
    quiet: bool = False,
) -> list[Json]:
    """Do something with each run, and tell what was done; also when it ends half-way.

    Args:
        words: what is being done and what was done: `("cancel", "canceled")`.
        run_ids: the runs.
        act: does it, and returns what JSON shows of it.
        as_json: tell it as JSON.
        quiet: tell a person only how many were done.

    Returns:
        What `act` returned.

    Raises:
        CommandError: it could not be done with some.
        HttpError: nor with the only one.
    """
    doing, done = words
    given: list[Json] = []
    failed: list[Json] = []
    try:
        for run_id in tracked(doing, run_ids):
            try:
                given.append(act(run_id))
            except (CommandError, HttpError) as error:
                if len(run_ids) == 1:
                    raise
                failed.append({"id": run_id, "error": str(error)})
    except BaseException:
        if given or failed:
            _tell(done, given, failed, as_json=as_json, quiet=quiet)
        raise
    _tell(done, given, failed, as_json=as_json, quiet=quiet)
    if failed:
        raise CommandError(f"{output.count(len(failed), 'run')} could not be {done}", "see above")
    return given


def _tell(done: str, given: list[Json], failed: list[Json], *, as_json: bool, quiet: bool) -> None:
    if as_json:
        output.print_json({done: given, "failed": failed})
        return
    for one in () if quiet else given:
        output.say(f"{one['id']}  {done}, {one['status']}")
    for one in failed:
        output.note(f"{one['id']}  {one['error']}")
    if quiet or len(given) + len(failed) != 1:
        output.say(f"{output.count(len(given), 'run')} {done}")
