"""`python -m strait.serve.standby`: a process that waits to become the handlers of `strait dev`.

It has imported all of ours beforehand, so that a reload imports the user's code only. Its order
comes as one line of JSON on the standard input:

    {"targets": [...], "base_url": ..., "project_id": ..., "signing_secret": ..., "port": 0,
     "environment": {...}, "without": [...], "roots": [...], "grace_secs": 10}

and it answers with lines of JSON on the standard output. The first is what `strait.serve.child`
says (`url`, `pid`, `jobs`, `workflows`), with `places`, `files` and `searched` beside it, or
`{"error": {"type", "message", "at", "trace"}, "files", "searched"}`, after which it ends.
Later ones tell what changes: `{"files": …}`, `{"debugger": "debugpy"}`, and
`{"breakpoint": {"at", "attach"}}`. A second line, `{"register": {"jobs", "workflows", "address"}}`,
has it bring definitions to the platform, which it answers with `{"registered": {"jobs": {slug: id},
"overrides": [...]}}`, or with `{"registered": {"error": {"type", "message"}}}`.

Secrets come on that line or in the environment, never in the arguments. It drains and ends on
SIGTERM, and when its input is closed: a parent that dies, however it dies, takes it along.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, TextIO

from strait.client import AsyncClient, Client
from strait.client.transports.wiring import shared_ssl_context
from strait.errors import StraitError
from strait.serve import breakpoints, child
from strait.serve.application import Host, asgi
from strait.serve.debugging import debugger
from strait.serve.discovery import (
    DiscoveryError,
    Found,
    address_of,
    discover_all,
    folders_of,
    refused,
)
from strait.serve.loading import ProjectFiles
from strait.serve.manifest import Manifest
from strait.serve.platform import prepare
from strait.serve.registration import RegistrationReport, register_all

if TYPE_CHECKING:
    from strait.authoring.jobs import JobDefinition
    from strait.errors import Json

# What a server needs that is imported by its name only when it starts, and what handlers use.
_WARM = (
    "strait.authoring",
    "strait.composition",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.httptools_impl",
    "strait.errors",
)
_LOOK_EVERY_SECS = 0.2
_OWN = str(Path(__file__).parents[1])
_MOST_FRAMES = 20
# The next platform dispatches anew what a platform that was killed has left.
_ORPHAN_SECS = 1


class Answers:
    """Lines of JSON for the parent, from any thread."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = threading.Lock()

    def say(self, line: Json) -> None:
        """Write a line; a parent that has gone hears nothing."""
        with self._lock:
            try:
                self._file.write(json.dumps(line) + "\n")
                self._file.flush()
            except OSError:
                pass


def main() -> NoReturn:
    """Get ready, wait for the order, and serve until the parent or a signal ends it."""
    answers = Answers(child.take_stdout())
    _warm()
    parent = child.take_stdin()
    line = parent.readline()
    if not line:
        os._exit(0)
    order = json.loads(line)
    for name in order["without"]:
        os.environ.pop(name, None)
    os.environ.update(order["environment"])
    files = ProjectFiles([Path(root) for root in order["roots"]])
    files.install()
    targets = order["targets"]
    serving = threading.Event()
    child.end_with(parent, unless=serving)
    try:
        found = discover_all(targets)
        host = asgi(
            found.all(),
            base_url=order["base_url"],
            signing_secret=order["signing_secret"],
            project_id=order["project_id"],
        )
        manifest = Manifest.of(found.all())
    except KeyboardInterrupt as error:
        # No terminal reaches this process: the code itself has raised it.
        why = refused(targets[0], error)
        why.__cause__ = error
        _refuse(why, targets, answers, files)
    except StraitError as error:
        _refuse(error, targets, answers, files)
    child.set_up_logging()
    serving.set()
    _serve(host, order, answers, found, manifest, files, parent)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _refuse(
    error: StraitError, targets: list[str], answers: Answers, files: ProjectFiles
) -> NoReturn:
    searched = [str(folder) for folder in folders_of(targets)]
    shown = _described(error, files)
    answers.say({"error": shown, "files": files.look(), "searched": searched})
    sys.stderr.flush()
    os._exit(2)


def _warm() -> None:
    for name in _WARM:
        importlib.import_module(name)
    # Builds what clients share: services, models and the trusted certificates. What sends is
    # imported behind the start.
    client = AsyncClient(base_url="http://127.0.0.1:9", run_token="none", transport="httpx")  # noqa: S106 - no secret
    client.sdk_runs, client.jobs, client.workflows  # noqa: B018 - they are made when they are asked for
    shared_ssl_context()


def _serve(
    host: Host,
    order: Json,
    answers: Answers,
    found: Found,
    manifest: Manifest,
    files: ProjectFiles,
    parent: BinaryIO,
) -> None:
    listener = child.listener_at("127.0.0.1", order["port"])

    def ready() -> None:
        address, port = listener.getsockname()[:2]
        said = {
            "url": f"http://{address}:{port}",
            "pid": os.getpid(),
            "places": _places(found),
            "files": files.look(),
            "searched": [str(folder) for folder in folders_of(order["targets"])],
            **manifest.to_json(),
        }
        answers.say(said)
        watch = _Watch(host, answers, files, asyncio.get_running_loop())
        breakpoints.install(watch.stopped)
        threading.Thread(target=watch.run, name="strait-watch", daemon=True).start()

    child.serve(
        host,
        listener,
        ready,
        order["grace_secs"],
        orphan_secs=_ORPHAN_SECS,
        heard=partial(_register, order, answers),
        parent=parent,
    )


def _register(order: Json, answers: Answers, line: bytes) -> None:
    """Bring to the platform what the parent names."""
    asked = json.loads(line)["register"]
    try:
        with Client(
            base_url=order["base_url"], api_key=order["environment"]["STRAIT_API_KEY"]
        ) as client:
            report = register_all(
                client,
                Manifest.from_json(asked),
                base_url_of_handlers=asked["address"],
                project_id=order["project_id"],
            )
        if not isinstance(report, RegistrationReport):
            raise TypeError("a client that is not asynchronous gives a report")
    except Exception as error:  # noqa: BLE001 - the parent waits for an answer
        said: Json = {"error": {"type": type(error).__name__, "message": str(error)}}
    else:
        said = {"jobs": report.jobs, "overrides": [str(one) for one in report.overrides]}
    answers.say({"registered": said})


class _Watch:
    """Tells the parent what changes while handlers run: debuggers, and files imported late."""

    def __init__(
        self, host: Host, answers: Answers, files: ProjectFiles, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._host = host
        self._answers = answers
        self._files = files
        self._loop = loop
        self._known = len(files.stamps)
        self._modules = len(sys.modules)
        self._debugger = ""
        self._stopped = 0

    def run(self) -> NoReturn:
        """Look every so often, until the process ends."""
        prepare()
        pause = threading.Event()
        while True:
            self.look()
            pause.wait(_LOOK_EVERY_SECS)

    def look(self) -> None:
        """Tell what is new."""
        if len(sys.modules) != self._modules:
            self._modules = len(sys.modules)
            files = self._files.look()
            if len(files) != self._known:
                self._known = len(files)
                self._answers.say({"files": files})
        name = debugger() or ("pdb" if self._stopped else "")
        if name != self._debugger:
            self._debugger = name
            self._loop.call_soon_threadsafe(partial(self._host.hold_deadlines, hold=bool(name)))
            self._answers.say({"debugger": name})

    def stopped(self, at: str, attach: str) -> Callable[[], None]:
        """Take note of a `breakpoint()`, in its own thread; returns what to call after it."""
        self._stopped += 1
        self._answers.say({"breakpoint": {"at": at, "attach": attach}})
        if threading.current_thread() is threading.main_thread():
            # The loop stands still in it, and its deadlines must be gone before it goes on.
            self._host.hold_deadlines(hold=True)
        self.look()

        def went_on() -> None:
            self._stopped -= 1

        return went_on


def _places(found: Found) -> list[Json]:
    agents = {job.slug for job in found.jobs if _is_agent(job)}
    return [
        {
            "kind": "agent" if one.kind == "job" and one.slug in agents else one.kind,
            "slug": one.slug,
            "file": one.place.path,
            "line": one.place.line,
            "target": address_of(one),
        }
        for one in found.all()
    ]


def _is_agent(job: JobDefinition[Any]) -> bool:
    return (job.options.tags or {}).get("strait.kind") == "agent"


# -------------------------------------------------------------------------------------- failures


def _described(error: StraitError, files: ProjectFiles) -> Json:
    """Return what is wrong, where in the user's files, and the user's own frames."""
    cause = error.__cause__ if isinstance(error, DiscoveryError) else error
    missing = not files.stamps
    if cause is None:
        cause = error
    frames = _frames(cause.__traceback__, files)
    at = frames[-1][0] if frames else ""
    lines = [text for _, text in frames]
    if not at and isinstance(error, DiscoveryError) and error.place is not None:
        at = str(error.place)
    if isinstance(cause, SyntaxError) and cause.filename:
        at = f"{cause.filename}:{cause.lineno or 0}"
        lines += [line.rstrip() for line in traceback.format_exception_only(cause)]
    return {
        "type": type(cause).__name__,
        "message": str(error),
        "at": at,
        "trace": lines[-_MOST_FRAMES:],
        # Nothing of the user's was imported: most likely there is no such target.
        "missing": missing and isinstance(cause, DiscoveryError | ModuleNotFoundError),
    }


def _frames(trace: TracebackType | None, files: ProjectFiles) -> list[tuple[str, str]]:
    def is_users(name: str) -> bool:
        return not name.startswith((_OWN, "<")) and files.has(Path(name))

    return [
        (f"{frame.filename}:{frame.lineno}", text.rstrip())
        for frame, text in _formatted(traceback.extract_tb(trace))
        if is_users(frame.filename)
    ]


def _formatted(
    frames: Iterable[traceback.FrameSummary],
) -> Iterable[tuple[traceback.FrameSummary, str]]:
    for frame in frames:
        yield frame, "".join(traceback.format_list([frame]))


if __name__ == "__main__":
    main()
