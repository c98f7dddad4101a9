"""The platform of `strait dev` and `strait serve`: started, told of, and ended in order."""

from __future__ import annotations

import asyncio
import errno
import gc
import importlib.util
import os
import webbrowser
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strait._version import __version__
from strait.cli import signals
from strait.cli.config_keys import strays
from strait.cli.dev_target import Target, remote_settings
from strait.config import FILE_NAME
from strait.errors import StraitError
from strait.server import bootstrap, configuration, exporting
from strait.server.errors import ApiError
from strait.server.run import Server
from strait.server.settings import Settings
from strait.store.connection import StoreError

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from strait.cli.dev import Options
    from strait.cli.dev_console import Console
    from strait.cli.dev_handlers import Handlers

# So many ports after the usual one are tried when it is taken.
_MORE_PORTS = 20


class StartError(StraitError):
    """The platform cannot start; the text says why."""


async def serve(
    options: Options, console: Console, target: Target | None, process: Process | None
) -> None:
    """Run a platform until a signal comes.

    Args:
        options: what was asked for.
        console: where it is told.
        target: what it hosts, if anything.
        process: one that gets ready to host it.

    Raises:
        StartError: the database cannot be opened, or the project's key is another's.
        StraitError: the target or the settings are wrong.
        OSError: the address is taken.
    """
    try:
        await _serve(options, console, target, process)
    except StoreError as error:
        raise StartError(str(error)) from error
    except ApiError as error:
        raise StartError(error.message) from error


async def _serve(
    options: Options, console: Console, target: Target | None, process: Process | None
) -> None:
    # Not at the top: it says in another way what is missing where the platform is not installed.
    from strait.local import key_file

    here = Path.cwd()
    handlers = _handlers(target, options, console, here)
    stopping = _stop_on_signals(console, handlers)
    async with AsyncExitStack() as stack:
        if handlers is not None:
            # It gets ready while the platform starts.
            handlers.prepare(process)
            stack.push_async_callback(handlers.stop)
        export = exporting.begin(os.environ)
        if export is not None:
            # What the platform does last has its spans, too.
            stack.push_async_callback(export.stop)
        server = await _started(
            stack, options, hold=handlers is not None, traces=export is not None
        )
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
        _announce(options, server, credentials, console)
        for line in strays():
            console.say(f"  note      {line}")
        if options.hosts:
            _tell_what_is_ignored(console, here)
        if handlers is not None and target is not None:
            # Handlers that are running may still write; the platform goes last.
            stack.push_async_callback(handlers.stop)
            await _unless(stopping, _host(handlers, target, server, credentials, options, console))
            if stopping.is_set():
                return
        elif options.hosts:
            console.say(
                "  no code here: no target was named, and there is no strait.json with `dirs`, "
                "no main.py and no package"
            )
        if not options.as_json:
            console.say("  ctrl-c to stop" + (", again to end at once" if handlers else ""))
        else:
            console.ready(
                {
                    "base_url": server.base_url,
                    "api_key": credentials.api_key,
                    "project_id": credentials.project_id,
                    **({"grpc_addr": server.grpc_addr} if server.grpc_addr else {}),
                }
            )
        if options.open_page:
            # Some browsers are waited for.
            await asyncio.to_thread(webbrowser.open, server.base_url + "/")
        await stopping.wait()
        server.platform.scheduler.stop()


async def _started(stack: AsyncExitStack, options: Options, *, hold: bool, traces: bool) -> Server:
    """Start the platform, on the next free port where none was asked for."""
    given = configuration.load(options.settings, os.environ, Path(FILE_NAME))
    if traces:
        given = {"traces": True, **given}
    last = options.port + (_MORE_PORTS if options.any_port else 0)
    for port in range(options.port, last + 1):
        settings = Settings(
            database=options.database,
            host=options.host,
            port=port,
            # Runs that wait from the last time would fail while their handlers are not there yet.
            hold=hold,
            **given,
        )
        try:
            return await stack.enter_async_context(Server(settings))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == last:
                raise
    raise OSError(errno.EADDRINUSE, "no port is free")


def _handlers(
    target: Target | None, options: Options, console: Console, here: Path
) -> Handlers | None:
    """Return what hosts the handlers of a target, if there is one."""
    if target is None:
        return None
    # Not at the top: a platform without handlers has no use for a third of the package.
    from strait.cli.dev_handlers import Handlers

    return Handlers(target, console, reload=options.reload, here=here)


async def _unless(stopping: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do what may never end, as an import of the user's code may not, until a signal comes."""
    signalled = asyncio.create_task(stopping.wait())
    working = asyncio.create_task(work)
    tasks = (signalled, working)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _host(
    handlers: Handlers,
    target: Target,
    server: Server,
    credentials: bootstrap.Credentials,
    options: Options,
    console: Console,
) -> None:
    from strait.cli import dev_lines as lines

    began = asyncio.get_running_loop().time()
    server.platform.witness = lines.RunLines(server.platform, server.base_url, console)
    loaded = await handlers.start(server.platform, server.base_url, credentials)
    took = asyncio.get_running_loop().time() - began
    if loaded is not None:
        why = f", {target.where}" if target.where else ""
        console.say(f"  found {lines.summary(loaded)} in {target.shown}{why}  ({took:.2f} s)")
        for line in lines.found(loaded, Path.cwd()):
            console.say(line)
    if options.reload:
        console.say(f"  watching {target.shown} and what it imports from here (reload on save)")


def _announce(
    options: Options, server: Server, credentials: bootstrap.Credentials, console: Console
) -> None:
    from strait.local import key_file

    base_url = server.base_url
    if options.as_json:
        return
    kept = f"data {options.db} (kept)" if options.database else "nothing is kept"
    console.say(f"{console.paint('strait', 'bold')} {__version__}  ·  local platform  ·  {kept}")
    if importlib.util.find_spec("strait.server.dashboard") is not None:
        console.say(f"  dashboard {base_url}")
    console.say(f"  api       {base_url}/v1")
    if server.grpc_addr:
        console.say(f"  workers   {server.grpc_addr}")
    console.say(f"  project   {credentials.project_id}")
    where = key_file(options.database)
    console.say(f"  key       {'in ' + str(where) if where else credentials.api_key}")
    if options.any_port and not base_url.endswith(f":{options.port}"):
        port = base_url.rpartition(":")[2]
        console.say(f"  port      {options.port} is in use; using {port}")


def _tell_what_is_ignored(console: Console, here: Path) -> None:
    ignored = remote_settings(dict(os.environ), here)
    if ignored:
        console.say(
            f"  ignored   {', '.join(ignored)}: nothing here touches another platform; "
            "handlers get the address and the key of this one"
        )


def _stop_on_signals(console: Console, handlers: Handlers | None) -> asyncio.Event:
    stopping = asyncio.Event()

    def stop() -> None:
        if not stopping.is_set():
            stopping.set()
            if handlers is not None:
                console.event("stopping", "handlers finish what they do; once more ends at once")
            return
        if handlers is not None:
            handlers.kill()
        console.say("ended at once; what was running is dispatched again at the next start")
        console.close()
        os._exit(1)

    signals.on_end(asyncio.get_running_loop(), stop)
    return stopping
