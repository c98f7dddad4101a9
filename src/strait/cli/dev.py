"""`strait dev` and `strait serve`: a platform, and the process that hosts the handlers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from strait.config import FILE_NAME
from strait.errors import StraitError
from strait.server import bootstrap, configuration, logs
from strait.server.errors import ApiError
from strait.server.options import OPTIONS
from strait.server.run import Server
from strait.server.settings import Settings
from strait.store.connection import StoreError

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
    """Run until a signal comes, and exit with 1 and one line when it cannot start."""
    if not Settings(host=options.host).is_local:
        _say(f"warning: {options.host} is reachable from the network; keys are required there too")
    logs.configure(options.log_format, options.log_level)
    try:
        runner = _runner()
        runner(_serve(options))
    except (StoreError, ApiError, StraitError, OSError) as error:
        message = error.message if isinstance(error, ApiError) else str(error)
        sys.exit(f"strait: {message}")


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    try:
        import uvloop
    except ModuleNotFoundError:  # Windows
        return asyncio.run
    return uvloop.run


async def _serve(options: Options) -> None:
    # Not at the top: it says in another way what is missing where the platform is not installed.
    from strait.local import key_file

    stopping = _stop_on_signals()
    settings = Settings(
        database=options.database,
        host=options.host,
        port=options.port,
        # Runs that wait from the last time would fail while their handlers are not there yet.
        hold=bool(options.target),
        **configuration.load(options.settings, os.environ, Path(FILE_NAME)),
    )
    async with Server(settings) as server:
        # What was imported stays; looking at it again in every full collection costs milliseconds.
        gc.collect()
        gc.freeze()
        # Nearly all that a run leaves behind is freed without it: a twentieth of its time was spent
        # on looking at what is alive.
        gc.set_threshold(20_000, 20, 20)
        credentials = await bootstrap.ensure(
            server.platform,
            project_id=options.project,
            api_key=options.api_key,
            remember=key_file(options.database),
        )
        async with _handlers(options.target, server, credentials):
            _announce(options, server.base_url, credentials)
            await stopping.wait()
            # Handlers that are running may still write; the platform goes last.
            server.platform.scheduler.stop()


def _handlers(
    target: str, server: Server, credentials: bootstrap.Credentials
) -> contextlib.AbstractAsyncContextManager[object]:
    """Return what hosts the handlers of a target, if there is one."""
    if not target:
        return contextlib.nullcontext()
    # Not at the top: a platform without handlers has no use for a third of the package.
    from strait.cli.child import HandlerProcess

    return HandlerProcess(target, server.platform, server.base_url, credentials, echo=_say)


def _announce(options: Options, base_url: str, credentials: bootstrap.Credentials) -> None:
    from strait.local import key_file

    if options.as_json:
        ready = {
            "base_url": base_url,
            "api_key": credentials.api_key,
            "project_id": credentials.project_id,
        }
        print(json.dumps(ready), flush=True)
        return
    kept = f"data {options.db} (kept)" if options.database else "nothing is kept"
    _say(f"strait  local platform  ·  {kept}")
    _say(f"  api      {base_url}/v1")
    _say(f"  project  {credentials.project_id}")
    where = key_file(options.database)
    _say(f"  key      {'in ' + str(where) if where else credentials.api_key}")
    _say("  ctrl-c to stop")


def _stop_on_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopping.set)
    return stopping


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
