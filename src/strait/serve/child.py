"""`python -m strait.serve.child TARGET`: the process in which `strait dev` runs handlers.

It imports the target, serves its handlers on a loopback port and prints one line of JSON on its
standard output when it is ready:

    {"url": "http://127.0.0.1:40123", "pid": 4711, "jobs": [...], "workflows": [...]}

or, if the target cannot be served, `{"error": {"type", "message"}}`. What the target prints goes to
the standard error. The secret that dispatches are signed with comes from the environment
(`STRAIT_SIGNING_SECRET`), never from the arguments, which every process may read.

It drains and ends on SIGTERM, and when its standard input is closed: a parent that dies, however
it dies, takes it along.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import select
import signal
import socket
import sys
import threading
import traceback
from typing import TYPE_CHECKING, BinaryIO, NoReturn, TextIO

import uvicorn

from strait import log_lines
from strait.errors import StraitError
from strait.serve.application import asgi
from strait.serve.discovery import DiscoveryError, discover
from strait.serve.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from strait.errors import Json
    from strait.serve.application import Host

SIGNING_SECRET_VARIABLE = "STRAIT_SIGNING_SECRET"  # noqa: S105 - the name of a variable
# They tell of every request and every start; what goes wrong they still tell.
_QUIET = ("httpx", "uvicorn", "strait.http")
# Longer than any pause between two dispatches that a server's pool keeps a connection for.
_KEEP_ALIVE_SECS = 600
# A checkpoint comes back as a header of up to 64 KiB.
_LARGEST_HEADERS = 1024 * 1024
# How much longer than its grace a process may take to end.
_LAST_WORDS_SECS = 2


class _Server(uvicorn.Server):
    """A server that says when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets=sockets)
        self._ready()


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Serve a target until the parent or a signal ends it."""
    options = _parser().parse_args(arguments)
    answers = take_stdout()
    secret = os.environ.pop(SIGNING_SECRET_VARIABLE, "")
    try:
        found = discover(options.target)
        host = asgi(
            found.all(),
            base_url=options.base_url,
            signing_secret=secret,
            project_id=options.project_id,
            max_threads=options.max_threads,
        )
    except StraitError as error:
        _refuse(answers, error)
    set_up_logging()
    manifest = Manifest.of(found.all())
    listener = listener_at(options.host, options.port)

    def ready() -> None:
        address, port = listener.getsockname()[:2]
        _say(answers, {"url": f"http://{address}:{port}", "pid": os.getpid(), **manifest.to_json()})

    serve(host, listener, ready, options.grace_secs)
    # Threads whose handlers never return must not keep the process.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def set_up_logging() -> None:
    """Log to the standard error, unless the target has set up logging itself."""
    log_lines.set_up()
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _overhear(line: bytes) -> None:
    """Take no notice of what the parent says."""


def serve(
    host: Host,
    listener: socket.socket,
    ready: Callable[[], None],
    grace_secs: int,
    *,
    orphan_secs: int | None = None,
    heard: Callable[[bytes], None] = _overhear,
    parent: BinaryIO | None = None,
) -> None:
    """Serve until SIGTERM, or until the standard input is closed, and drain then.

    Args:
        host: what is served.
        listener: where.
        ready: is called once it is served.
        grace_secs: how long handlers that run may go on after a signal.
        orphan_secs: the same when the parent has gone; by default as long.
        heard: is given each line that the parent says, in a thread of its own.
        parent: what it says them on; by default the standard input.
    """
    server = _Server(
        uvicorn.Config(
            host,
            log_config=None,
            access_log=False,
            ws="none",
            lifespan="on",
            # Nobody stands between the platform and a process of its own.
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECS,
            timeout_graceful_shutdown=grace_secs,
            h11_max_incomplete_event_size=_LARGEST_HEADERS,
        ),
        ready,
    )

    def end_with_parent() -> None:
        # An input that was never open is as good as a parent that has gone.
        with contextlib.suppress(OSError):
            for line in parent or open(0, "rb", closefd=False):  # noqa: SIM115 - never closed
                heard(line)
        left = grace_secs if orphan_secs is None else orphan_secs
        server.config.timeout_graceful_shutdown = left
        server.should_exit = True
        # A handler that blocks the loop must not keep a process that nobody knows any more.
        threading.Event().wait(left + _LAST_WORDS_SECS)
        os._exit(1)

    threading.Thread(target=end_with_parent, name="strait-parent", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server drains on these and then raises them again for whoever was there before.
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listener])


def listener_at(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address; port 0 takes any that is free."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener


def take_stdout() -> TextIO:
    """Keep the standard output for our one line; what the target prints goes to the errors."""
    ours = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return ours


def take_stdin() -> BinaryIO:
    """Keep the standard input for what the parent says; the target finds an empty one."""
    ours = os.fdopen(os.dup(0), "rb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    return ours


def end_with(parent: BinaryIO, unless: threading.Event) -> None:
    """End this process when the parent closes its end, unless somebody else listens by then.

    It is for the time in which the target is imported, which may never be over.
    """
    if not hasattr(select, "poll"):
        return
    gone = select.poll()
    # No line is asked about: those are for whoever reads them.
    gone.register(parent, 0)

    def wait() -> None:
        gone.poll()
        if not unless.is_set():
            os._exit(1)

    threading.Thread(target=wait, name="strait-orphan", daemon=True).start()


def _say(answers: TextIO, line: Json) -> None:
    answers.write(json.dumps(line) + "\n")
    answers.close()


def _refuse(answers: TextIO, error: StraitError) -> NoReturn:
    if isinstance(error, DiscoveryError) and error.__cause__ is not None:
        traceback.print_exception(error.__cause__)
    _say(answers, {"error": {"type": type(error).__name__, "message": str(error)}})
    raise SystemExit(2)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m strait.serve.child", description=__doc__)
    parser.add_argument("target", help="a module, `module:name`, a file or a directory")
    parser.add_argument("--base-url", required=True, help="the address of the platform")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=0, help="the port; 0 takes any that is free")
    parser.add_argument("--project-id", default="", help="the project of child runs")
    parser.add_argument("--grace-secs", type=int, default=10, help="how long to drain at the end")
    parser.add_argument("--max-threads", type=int, default=64, help="plain handlers at once")
    return parser


if __name__ == "__main__":
    main()
