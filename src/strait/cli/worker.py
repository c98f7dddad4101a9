"""What `strait worker` does: find the jobs, register them if asked, work until a signal comes."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from strait import log_lines
from strait.cli import dev_target, signals
from strait.cli.dev_console import Console
from strait.cli.failures import CommandError, ExitCode
from strait.cli.places import local_platform
from strait.serve.child import set_up_logging
from strait.serve.discovery import Found, discover_all
from strait.serve.manifest import Manifest
from strait.serve.registration import register_all
from strait.worker import Worker, WorkerRefused

if TYPE_CHECKING:
    from strait.cli.places import Place
    from strait.cli.session import Session

_SIGNING_SECRET = "STRAIT_SIGNING_SECRET"  # noqa: S105 - the name of a variable
_ADVICE = {
    "UNAUTHENTICATED": "use a key of its project that is neither revoked nor expired",
    "PERMISSION_DENIED": "use a key with the scope `workers:connect`",
}
_COLOURS = {"connected": "green", "disconnected": "yellow", "failed": "red", "draining": "yellow"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for on the command line."""

    target: str
    addr: str
    queues: tuple[str, ...]
    slots: int
    name: str
    register: bool
    drain_secs: float
    tls: bool | None
    ca_file: Path | None


def run(session: Session, wanted: Wanted) -> None:
    """Work until a signal comes; the process ends with it.

    Raises:
        CommandError: nothing is to be run, or the platform does not take the worker.
    """
    place = session.place
    if place.auth is None:
        raise CommandError(
            f"there is no key for {place.base_url}",
            "set STRAIT_API_KEY to a key with the scope `workers:connect`",
            ExitCode.DENIED,
        )
    log_lines.quiet_grpc()
    found = _discovered(wanted.target)
    set_up_logging()
    console = Console(as_json=session.as_json, as_log=log_lines.wants_json())
    worker = Worker(
        found.jobs,
        addr=_addr(place, wanted),
        queues=wanted.queues,
        slots=wanted.slots,
        name=wanted.name,
        api_key=place.auth.token,
        base_url=place.base_url,
        project_id=place.project_id,
        signing_secret=os.environ.get(_SIGNING_SECRET, ""),
        drain_secs=wanted.drain_secs,
        tls=wanted.tls,
        ca_file=wanted.ca_file,
        on_event=lambda event, facts: _tell(console, worker, event, facts),
    )
    if wanted.register:
        _register(session, found)
    console.ready(_described(worker)) if session.as_json else _announce(console, worker)
    try:
        _run(worker, console)
    except WorkerRefused as error:
        code = ExitCode.DENIED if error.grpc_status in _ADVICE else ExitCode.NO
        advice = _ADVICE.get(error.grpc_status, "")
        raise CommandError(str(error), advice, code) from None
    finally:
        console.close()


def _discovered(name: str) -> Found:
    target = dev_target.find(name, Path.cwd())
    if target is None:
        raise CommandError(
            "no code here: no target was named, and there is no strait.json with `dirs`, "
            "no main.py and no package",
            "name a module, a file or a directory",
            ExitCode.USAGE,
        )
    return discover_all(target.names)


def _addr(place: Place, wanted: Wanted) -> str:
    """Return where to connect; "" for the usual port of the platform's host."""
    if wanted.addr or not place.is_local:
        return wanted.addr
    local = local_platform()
    if local is None or not local.grpc_addr:
        raise CommandError(
            "the platform of this directory does not serve workers",
            "start it with `--grpc-port 0`, or give `--addr`",
            ExitCode.UNREACHABLE,
        )
    return local.grpc_addr


def _register(session: Session, found: Found) -> None:
    """Bring what was found to the platform, its jobs for workers."""
    register_all(
        session.client,
        Manifest.of(found.all()).for_workers(),
        base_url_of_handlers="",
        project_id=session.project_id,
        signing_secret=os.environ.get(_SIGNING_SECRET, ""),
    )


def _run(worker: Worker, console: Console) -> None:
    async def work() -> None:
        signals.on_end(asyncio.get_running_loop(), worker.stop)
        await worker.run()

    asyncio.run(work())
    code = ExitCode.DONE
    if worker.unfinished:
        code = ExitCode.NO
        console.event(
            "ended", f"{worker.unfinished} unfinished", "red", unfinished=worker.unfinished
        )
    console.close()
    # A thread whose handler never returns must not keep the process.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _described(worker: Worker) -> dict[str, object]:
    return {
        "event": "starting",
        "worker_id": worker.worker_id,
        "addr": worker.addr,
        "jobs": sorted(worker.jobs),
        "queues": list(worker.queues),
        "slots": worker.slots,
    }


def _announce(console: Console, worker: Worker) -> None:
    console.say(f"{console.paint('strait worker', 'bold')}  ·  {worker.worker_id}")
    console.say(f"  platform  {worker.addr}")
    console.say(f"  jobs      {', '.join(sorted(worker.jobs))}")
    console.say(f"  queues    {', '.join(worker.queues)}, {worker.slots} slots")
    console.say("  ctrl-c to stop, again to end at once")


def _tell(console: Console, worker: Worker, event: str, facts: dict[str, object]) -> None:
    match event:
        case "connected":
            text = f"takes work as {worker.worker_id}"
        case "disconnected":
            text = f"{facts['reason']}; again in {facts['retry_in_secs']} s"
        case "draining":
            text = f"takes no more work; {facts['running']} running"
        case _:
            text = f"{facts['job']} {facts['run_id']} attempt {facts['attempt']}"
            text += f" {facts['duration_ms']} ms" if "duration_ms" in facts else ""
            text += f": {facts['error']}" if "error" in facts else ""
    console.event(event, text, _COLOURS.get(event, ""), **facts)
