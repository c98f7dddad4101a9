"""`strait dev` and `strait serve`: a platform, and the processes that host the handlers.

What is here is light: the process of the handlers is started before this one imports a platform, so
that both get ready at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from strait import log_lines
from strait.cli.dev_console import Console
from strait.cli.dev_spawn import spawn
from strait.cli.dev_target import find
from strait.cli.failures import CommandError, ExitCode
from strait.errors import ConfigurationError, StraitError
from strait.server import logs
from strait.server.options import OPTIONS
from strait.server.settings import Settings

_SETTINGS = tuple(option.name for option in OPTIONS)


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    target: str
    host: str
    port: int
    db: Path
    ephemeral: bool
    project: str
    as_json: bool
    log_format: str
    log_level: str
    settings: dict[str, str | None]
    api_key: str = field(repr=False)
    hosts: bool = False
    any_port: bool = False
    reload: bool = True
    open_page: bool = False
    quiet: bool = False

    @classmethod
    def of(cls, target: str, given: dict[str, Any]) -> Options:
        """Return the options of a command; what is a setting of the server is kept as it came."""
        settings = {name: given.pop(name) for name in _SETTINGS if name in given}
        return cls(target=target, settings=settings, **given)

    @property
    def database(self) -> Path | None:
        """The file that keeps the state, or None for none."""
        return None if self.ephemeral else self.db


def run(options: Options) -> None:
    """Run until a signal comes, and raise a `CommandError` when it cannot start."""
    console = Console(
        as_json=options.as_json, quiet=options.quiet, as_log=options.log_format == "json"
    )
    if not Settings(host=options.host).is_local:
        console.say(
            f"warning: {options.host} is reachable from the network; keys are required there too"
        )
    logs.include_libraries(logs.configure(options.log_format, options.log_level))
    log_lines.quiet_grpc()
    try:
        runner = _runner()
        runner(_serve(options, console))
    except (CommandError, StraitError, OSError) as error:
        console.close()
        failure = _failure(error)
        if options.log_format == "text":
            raise failure from error
        # Who reads the log has a line of the log, and no other.
        logging.getLogger("strait.cli").error(failure.format_message())
        raise SystemExit(int(failure.code)) from error
    console.close()


def _failure(error: CommandError | StraitError | OSError) -> CommandError:
    if isinstance(error, CommandError):
        return error
    wrong = isinstance(error, ConfigurationError)
    return CommandError(_said(error), code=ExitCode.USAGE if wrong else ExitCode.NO)


def _said(error: StraitError | OSError) -> str:
    """Return an error in words, without the number that one of the system begins with."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: `{error.filename}`" if error.filename else error.strerror
    return str(error)


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    try:
        import uvloop
    except ModuleNotFoundError:  # Windows
        return asyncio.run
    return uvloop.run


async def _serve(options: Options, console: Console) -> None:
    target = find(options.target, Path.cwd()) if options.hosts else None
    # A platform that is not installed is told of below, once.
    is_installed = find_spec("uvicorn") is not None
    process = await spawn() if target is not None and is_installed else None
    from strait.cli.dev_platform import serve

    await serve(options, console, target, process)
