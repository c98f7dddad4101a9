"""The handlers of `strait dev`: a process for each version of the code, and the way between them.

A save starts the new code in a process that has waited for it. Once that serves, it gets all
dispatches; the process before it finishes what it has begun, and ends. Code that cannot be loaded
changes nothing but what is said of it.
"""

from __future__ import annotations

import asyncio
import socket
import time
from asyncio.subprocess import Process
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from strait.cli import dev_import as imports
from strait.cli import dev_lines as lines
from strait.cli.dev_child import Child, Loaded, Order
from strait.cli.dev_console import Console
from strait.cli.dev_spawn import LEFT_OUT, spawn
from strait.cli.dev_target import Target
from strait.cli.dev_watch import Watcher
from strait.errors import StraitError
from strait.log_lines import FORMAT_VARIABLE
from strait.serve.loading import Stamp, stamp
from strait.serve.manifest import Manifest
from strait.server import bootstrap
from strait.server.development import Development, HandlerHost, LoadError, hold
from strait.server.platform import Platform

# How long an old version may go on with what it has begun, and how many of them there may be.
DRAIN_SECS = 600
MOST_OLD = 3
# Of the process that serves the present code, when it dies again and again.
_FIRST_PAUSE_SECS = 0.2
_LONGEST_PAUSE_SECS = 5.0
# In a storm of saves, code is served that is not the last, rather than none.
_MOST_SUPERSEDED = 3
# The clock of a file system may be behind by one tick of the kernel.
_CLOCK_TICK_SECS = 0.02


class HandlersError(StraitError):
    """The target cannot be served; the text says why."""


@dataclass(slots=True)
class _Version:
    """A process and the host that the platform knows it as."""

    child: Child
    host: HandlerHost
    manifest: Manifest
    files: dict[str, Stamp]
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Handlers:
    """Serves a target, and its next versions as they are saved.

    Args:
        target: what is served.
        console: where it is told.
        reload: whether saves load the code anew.
        here: the folder that paths are shown from.
    """

    def __init__(self, target: Target, console: Console, *, reload: bool, here: Path) -> None:
        self._target = target
        self._console = console
        self._reload = reload
        self._here = here
        self._watcher = Watcher()
        self._standby: asyncio.Task[Child] | None = None
        self._children: set[Child] = set()
        self._debuggers: dict[Child, str] = {}
        self._present: _Version | None = None
        self._old: list[_Version] = []
        self._died: asyncio.Queue[int] = asyncio.Queue()
        self._loop_task: asyncio.Task[None] | None = None
        self._loads = 0
        self._superseded = 0
        self._files: dict[str, Stamp] = {}
        self._stopping = False
        self._ending: set[asyncio.Task[None]] = set()

    # --------------------------------------------------------------------------------- lifecycle

    def prepare(self, process: Process | None = None) -> None:
        """Begin to start a process that waits for code, or take one that was started already."""
        self._standby = asyncio.create_task(self._start_child(process), name="strait-standby")

    async def start(
        self, platform: Platform, base_url: str, credentials: bootstrap.Credentials
    ) -> Loaded | None:
        """Serve the target, or with reloads wait for it to be put right; say what was loaded.

        Raises:
            HandlersError: there is no such target, or it cannot be served and is not watched.
        """
        self._platform, self._base_url, self._credentials = platform, base_url, credentials
        self._place = await bootstrap.handler_place(platform)
        self._development = Development(self._target.shown, credentials.project_id)
        if self._place.port:
            self._development.address = f"http://127.0.0.1:{self._place.port}"
        platform.development = self._development
        while (loaded := await self._load(())) is None:
            await self._watcher.changes()
        self._loop_task = asyncio.create_task(self._go_on(), name="strait-reload")
        return None if loaded.error else loaded

    async def stop(self) -> None:
        """Let running handlers finish for a while, and end all processes."""
        if self._stopping:
            return
        self._stopping = True
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.gather(self._loop_task, return_exceptions=True)
        versions = [*self._old, *([self._present] if self._present else [])]
        tasks = [task for version in versions for task in version.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._standby is not None:
            (waiting,) = await asyncio.gather(self._standby, return_exceptions=True)
            if isinstance(waiting, Child):
                waiting.kill()
        serving = {version.child for version in versions}
        for child in self._children - serving:
            child.kill()
        await asyncio.gather(*(child.stop() for child in self._children), *self._ending)

    def kill(self) -> None:
        """End all processes at once."""
        for child in self._children:
            child.kill()

    async def _start_child(self, process: Process | None = None) -> Child:
        child = Child(process or await spawn(), self._told)
        self._children.add(child)
        return child

    async def _go_on(self) -> None:
        """Load the code anew when it is saved, and when the process that serves it dies."""
        pause, died_at = _FIRST_PAUSE_SECS, 0.0
        while True:
            changed, status = await self._next()
            if status is not None:
                self._console.event(
                    "died", f"handlers ended with status {status}; starting them again", "red",
                    status=status,
                )  # fmt: skip
                now = time.monotonic()
                pause = _FIRST_PAUSE_SECS if now - died_at > _LONGEST_PAUSE_SECS else pause * 2
                died_at = now
                await asyncio.sleep(min(pause, _LONGEST_PAUSE_SECS))
            try:
                await self._load(changed)
            except HandlersError as error:
                self._console.event("error", str(error), "red", message=str(error))

    async def _next(self) -> tuple[tuple[str, ...], int | None]:
        """Wait for changed files, or for the status that the present process died with."""
        died = asyncio.create_task(self._died.get())
        waits: set[asyncio.Task[Any]] = {died}
        if self._reload:
            changes = asyncio.create_task(self._watcher.changes())
            waits.add(changes)
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if died.done():
                return (), died.result()
            return changes.result(), None
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    # --------------------------------------------------------------------------------- a version

    async def _load(self, changed: tuple[str, ...]) -> Loaded | None:
        """Serve the code as it is now; None if it was changed again meanwhile.

        Raises:
            HandlersError: there is no such target, or it cannot be served and is not watched.
        """
        began, since = time.perf_counter(), time.time() - _CLOCK_TICK_SECS
        before = {path: stamp(path) for path in self._files}
        self._development.state = "loading"
        child = await self._next_child()
        self._watcher.begin_anew(self._target.roots, since)
        loaded = await self._imported(child)
        if loaded is not None:
            self._watch(loaded, before, since)
        if loaded is None or self._is_superseded():
            self._discard(child)
            return None
        self._superseded = 0
        if loaded.error is None:
            loaded = await self._register(child, loaded)
        if loaded.error is not None:
            self._discard(child)
            self._failed(loaded, loaded.error, changed)
            return loaded
        before_it = self._present
        running = self._switch(child, loaded, changed)
        self._prepare_next()
        if before_it is not None:
            self._tell_reload(loaded, before_it.manifest, changed, running, began)
        elif self._loop_task is not None:
            what = lines.summary(loaded)
            found = "".join(f"\n{line}" for line in lines.found(loaded, self._here))
            self._console.event(
                "serving", f"found {what} in {self._target.shown}{found}", "green", found=what
            )
        return loaded

    async def _imported(self, child: Child) -> Loaded | None:
        storm = self._superseded >= _MOST_SUPERSEDED
        watcher = self._watcher if self._reload else None
        loaded = await imports.load(child, self._order(), watcher, storm=storm, slow=self._slow)
        self._superseded += loaded is None
        return loaded

    def _slow(self, secs: int) -> None:
        then = "; a save begins it anew" if self._reload else ""
        text = f"{self._target.shown} is still being imported after {secs} s{then}"
        self._console.event("importing", text, "yellow", secs=secs)

    async def _next_child(self) -> Child:
        if self._standby is None:
            self.prepare()
        waiting, self._standby = self._standby, None
        if waiting is None:
            raise TypeError("there is a process that waits")
        child = await waiting
        return child if child.running else await self._start_child()

    def _prepare_next(self) -> None:
        if self._reload and self._standby is None:
            self.prepare()

    def _discard(self, child: Child) -> None:
        child.kill()
        self._children.discard(child)
        task = asyncio.create_task(child.stop())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        self._prepare_next()

    def _is_superseded(self) -> bool:
        if not self._reload or not self._watcher.changed():
            return False
        self._superseded += 1
        return self._superseded <= _MOST_SUPERSEDED

    def _order(self) -> Order:
        credentials = self._credentials
        return Order(
            targets=self._target.names,
            roots=tuple(map(str, self._target.roots)),
            base_url=self._base_url,
            project_id=credentials.project_id,
            signing_secret=self._place.signing_secret,
            environment={
                "STRAIT_BASE_URL": self._base_url,
                "STRAIT_API_KEY": credentials.api_key,
                "STRAIT_AUTH_TYPE": "apiKey",
                "STRAIT_PROJECT": credentials.project_id,
                # What handlers log stands between the lines of the server.
                **({FORMAT_VARIABLE: "json"} if self._console.as_log else {}),
            },
            without=LEFT_OUT,
            port=_free_or_any(self._place.port) if self._present is None else 0,
        )

    def _watch(self, loaded: Loaded, before: dict[str, Stamp | None], since: float) -> None:
        files: dict[str, Stamp | None] = dict(loaded.files)
        folders: set[Path] = set()
        if loaded.error is not None:
            # What puts it right may be a file that was not reached, or that is not there yet.
            files = {**before, **files}
            folders = {Path(path).parent for path in files} | set(self._target.roots)
        else:
            self._files = dict(loaded.files)
        trees = [Path(folder) for folder in loaded.searched]
        self._watcher.watch(files, trees=trees, folders=folders, since=since)

    async def _register(self, child: Child, loaded: Loaded) -> Loaded:
        """Bring to the platform what differs from the version before; a refusal is an error."""
        known = self._present.manifest if self._present is not None else Manifest((), ())
        for job in loaded.manifest.jobs:
            # The newest code runs everything that waits, so its jobs follow their present version.
            job.settings.setdefault("version_policy", "latest")
        changed = Manifest(
            tuple(job for job in loaded.manifest.jobs if job not in known.jobs),
            tuple(flow for flow in loaded.manifest.workflows if flow not in known.workflows),
        )
        address = self._development.address or loaded.url
        found = await child.register(changed, address)
        if found.error is not None:
            return replace(loaded, error=found.error)
        self._place = replace(self._place, port=int(address.rpartition(":")[2]))
        self._development.address = address
        await bootstrap.handlers_are_at(self._platform, self._place, found.jobs.values())
        for override in found.overrides:
            self._console.say(f"  note      {override}")
        return loaded

    def _switch(self, child: Child, loaded: Loaded, changed: tuple[str, ...]) -> int:
        """Dispatch to this process from now on; return how many runs the one before still has."""
        platform, development, before = self._platform, self._development, self._present
        self._loads += 1
        host = HandlerHost(self._loads, loaded.url, child.pid)
        # It is on loopback, wherever the platform itself can be reached from.
        platform.reach.own_ports.add(int(loaded.url.rpartition(":")[2]))
        version = self._present = _Version(child, host, loaded.manifest, loaded.files)
        development.host, development.state, development.error = host, "serving", None
        development.loaded_at = platform.clock.now()
        development.changed = tuple(lines.short(path, self._here) for path in changed)
        development.definitions = tuple(
            replace(one, file=lines.short(one.file, self._here)) for one in loaded.places
        )
        self._debugged(child)
        platform.dispatcher.forget_circuits(development.address + "/")
        known = development.held
        held = hold(platform, (job.slug for job in loaded.manifest.jobs))
        platform.scheduler.start()
        version.tasks.append(asyncio.create_task(self._mind(version)))
        for slug in sorted(held - known):
            text = f"job {slug} is not in the code; its runs wait until it is there again"
            self._console.event("held", text, "yellow", job=slug)
        return 0 if before is None else self._retire(before)

    async def _mind(self, version: _Version) -> None:
        status = await version.child.wait()
        if version is self._present and not self._stopping:
            # What is queued keeps its attempts while there is nobody to run it.
            self._platform.scheduler.stop()
            self._died.put_nowait(status)

    # ------------------------------------------------------------------------------ old versions

    def _retire(self, version: _Version) -> int:
        """Let an old version finish what it has begun; return how many runs that are."""
        running = version.host.running
        self._old.append(version)
        self._development.old.append(version.host)
        version.tasks.append(asyncio.create_task(self._drain(version)))
        if len(self._old) > MOST_OLD:
            oldest = self._old[0]
            self._cut(oldest, f"more than {MOST_OLD} old versions")
        return running

    async def _drain(self, version: _Version) -> None:
        try:
            async with asyncio.timeout(DRAIN_SECS):
                await version.host.idle()
        except TimeoutError:
            self._cut(version, f"{DRAIN_SECS // 60} minutes are over")
        await version.child.stop()
        self._children.discard(version.child)
        self._debuggers.pop(version.child, None)
        self._old.remove(version)
        self._development.old.remove(version.host)

    def _cut(self, version: _Version, why: str) -> None:
        """End an old version; what it has begun is dispatched anew, as the same attempt."""
        host = version.host
        if not host.closed and host.running:
            runs = lines.counted(host.running, "run")
            text = f"version {host.version} was ended, {why}; {runs} begin anew on the new code"
            self._console.event("ended", text, "yellow", version=host.version, runs=host.running)
        host.closed = True
        version.child.kill()

    # -------------------------------------------------------------------------------- what is said

    def _tell_reload(
        self,
        loaded: Loaded,
        before: Manifest,
        changed: tuple[str, ...],
        running: int,
        began: float,
    ) -> None:
        names = [lines.short(path, self._here) for path in changed]
        what = lines.difference(before, loaded.manifest, set(changed), loaded)
        took = time.perf_counter() - began
        files = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        text = f"{files} changed — {what}" if names else what
        if running:
            runs = "1 running run finishes" if running == 1 else f"{running} running runs finish"
            text += f", {runs} on the old code (for {DRAIN_SECS // 60} min at most)"
        self._console.event(
            "reload", f"{text}  ({took:.2f} s)", "cyan",
            version=self._loads, files=names, changes=what, running_on_old=running,
            took_ms=round(took * 1000),
        )  # fmt: skip

    def _failed(self, loaded: Loaded, error: LoadError, changed: tuple[str, ...]) -> None:
        """Say what is wrong with the code.

        Raises:
            HandlersError: there is no such target, or it is not watched.
        """
        path, _, line = error.at.rpartition(":")
        at = f"{lines.short(path, self._here)}:{line}" if path else ""
        shown = replace(error, at=at, message=self._without_secrets(error.message))
        self._development.error, self._development.state = shown, "failed"
        text = lines.error_lines(shown, self._here)
        if self._present is None and (loaded.missing or not self._reload):
            for row in text[1:]:
                self._console.say(row)
            raise HandlersError(f"cannot serve `{self._target.shown}`: {text[0]}")
        if self._present is None:
            # What is hosted here waits for its code; all else goes on.
            hold(self._platform, ())
            self._platform.scheduler.start()
        serving = self._present is not None and self._present.child.running
        after = "the last good version goes on" if serving else "waiting for it to be put right"
        rows = "".join(f"\n    {row}" for row in text[1:])
        self._console.event(
            "error", f"{text[0]} — {after}{rows}", "red",
            type=shown.type, message=shown.message, at=at, trace=list(shown.trace),
            files=[lines.short(path, self._here) for path in changed],
        )  # fmt: skip

    def _without_secrets(self, text: str) -> str:
        for secret in (self._credentials.api_key, self._place.signing_secret):
            text = text.replace(secret, "[redacted]")
        return text

    def _told(self, child: Child, said: dict[str, Any]) -> None:
        """Take in what a process says while it serves."""
        if "files" in said and self._present is not None and child is self._present.child:
            files = {path: (n[0], n[1], n[2]) for path, n in said["files"].items()}
            self._files.update(files)
            self._watcher.also(files)
        if "debugger" in said:
            self._debuggers[child] = said["debugger"]
            self._debugged(child)
        if "breakpoint" in said:
            path, _, line = said["breakpoint"]["at"].rpartition(":")
            at, attach = f"{lines.short(path, self._here)}:{line}", said["breakpoint"]["attach"]
            text = f"breakpoint() at {at}; in another terminal: strait dev --attach {attach}"
            self._console.event("stopped", text, "yellow", at=at, attach=attach)

    def _debugged(self, child: Child) -> None:
        name = self._debuggers.get(child)
        versions = [*self._old, *([self._present] if self._present else [])]
        host = next((one.host for one in versions if one.child is child), None)
        # Only where nobody else can reach the platform are deadlines a matter of the person here.
        if name is None or host is None or not self._platform.settings.is_local:
            return
        if host.debugging == bool(name):
            return
        host.debug(attached=bool(name))
        text = (
            f"{name} is attached to version {host.version}: its attempts are not timed out"
            if name
            else f"no debugger is attached to version {host.version} any more"
        )
        self._console.event("debugger", text, "yellow", debugger=name, version=host.version)


def _free_or_any(port: int) -> int:
    """Return a port if it is free now, else 0, which takes any."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port
