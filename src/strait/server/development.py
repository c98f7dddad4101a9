"""What `strait dev` and the platform in its process know of each other.

Jobs that `strait dev` hosts keep one address for good. Behind it is a process for each version of
the code: the newest gets all dispatches, and older ones finish what they have begun. So a reload
changes no job, and runs that wait go on in whatever code is there when they are dispatched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from strait.engine.entries import Entry
from strait.engine.model import Job, Run
from strait.store import jobs

if TYPE_CHECKING:
    import sqlite3

    from strait.server.platform import Platform

# A debugger may come at any time and stay for long; the assignment still bounds what a token may.
TOKEN_SECS = 24 * 60 * 60


class HandlerHost:
    """A process with one version of the code.

    Attributes:
        version: the number of the code version in this session, from 1.
        url: where it listens.
        pid: its process.
        closed: it was ended although calls were open; what they were for is dispatched anew.
    """

    def __init__(self, version: int, url: str, pid: int) -> None:
        self.version = version
        self.url = url
        self.pid = pid
        self.closed = False
        self._calls: set[str] = set()
        self._debugging = False
        self._untimed: set[str] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        """How many attempts are with it."""
        return len(self._calls)

    @property
    def debugging(self) -> bool:
        """Whether a debugger is attached to it."""
        return self._debugging

    def entered(self, assignment: str) -> None:
        """Take note of a call that begins."""
        self._calls.add(assignment)
        self._idle.clear()
        if self._debugging:
            self._untimed.add(assignment)

    def left(self, assignment: str) -> None:
        """Take note of a call that is over."""
        self._calls.discard(assignment)
        self._untimed.discard(assignment)
        if not self._calls:
            self._idle.set()

    def is_untimed(self, assignment: str) -> bool:
        """Return whether an attempt may take as long as it likes."""
        return assignment in self._untimed

    def debug(self, *, attached: bool) -> None:
        """Take note of a debugger: attempts that it has seen are never timed out."""
        self._debugging = attached
        if attached:
            self._untimed |= self._calls

    async def idle(self) -> None:
        """Wait until no call is open."""
        await self._idle.wait()


@dataclass(frozen=True, slots=True)
class LoadError:
    """Why the present code cannot be served.

    Attributes:
        type: the name of the exception.
        message: its text.
        at: the user's file and line, `shop/orders.py:12`, or "".
        trace: the user's own frames, innermost last.
    """

    type: str
    message: str
    at: str = ""
    trace: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Defined:
    """Where a definition is written.

    Attributes:
        kind: `job`, `agent` or `workflow`.
        slug: its slug.
        file: its file.
        line: its line, from 1.
        target: where a program finds it, `shop.orders:fulfil`; "" if it has no name of its own.
    """

    kind: str
    slug: str
    file: str
    line: int
    target: str = ""


@dataclass(slots=True)
class Development:
    """The state of `strait dev`; `GET /v1/dev/status` shows it.

    Attributes:
        target: what is served, as it was typed.
        project_id: the project that it is registered in.
        address: the address that jobs keep, without a path; "" before the first version.
        state: `loading`, `serving`, or `failed` when the present code cannot be loaded; the last
            good version is served in either case.
        host: the newest version, which gets the dispatches.
        old: versions that finish what they have begun.
        error: why the present code cannot be loaded.
        loaded_at: when the present version was loaded, an instant; 0 before the first.
        changed: the files whose change loaded it.
        held: slugs of jobs that the present code does not define; their runs wait.
        definitions: what the present code defines.
    """

    target: str
    project_id: str
    address: str = ""
    state: str = "loading"
    host: HandlerHost | None = None
    old: list[HandlerHost] = field(default_factory=list)
    error: LoadError | None = None
    loaded_at: int = 0
    changed: tuple[str, ...] = ()
    held: frozenset[str] = frozenset()
    definitions: tuple[Defined, ...] = ()

    def hosts(self, url: str) -> bool:
        """Return whether a job's address is one of those that are hosted here."""
        return bool(self.address) and url.startswith(self.address + "/")

    def host_of(self, url: str) -> HandlerHost | None:
        """Return the process that a job's address stands for now; None for other addresses."""
        return self.host if self.hosts(url) else None

    def url_at(self, host: HandlerHost, url: str) -> str:
        """Return where a host is asked for what stands behind a job's address."""
        return host.url + url[len(self.address) :]

    def now_at(self, url: str) -> str:
        """Return where a job's endpoint is to be asked now."""
        host = self.host_of(url)
        return url if host is None else self.url_at(host, url)

    def is_untimed(self, assignment: str) -> bool:
        """Return whether the deadline of an attempt does not count, because of a debugger."""
        hosts = [self.host, *self.old]
        return any(host.is_untimed(assignment) for host in hosts if host is not None)

    def jobs(self, db: sqlite3.Connection) -> list[Job]:
        """Return the jobs whose handlers are hosted here."""
        return [
            job
            for job in jobs.everything(db)
            if job.project_id == self.project_id and self.hosts(job.endpoint_url)
        ]


def tell_held(platform: Platform, run: Run) -> bool:
    """Write into the history of a run why it waits, if its job is not in the code; say whether."""
    development = platform.development
    if development is None or run.status != "queued" or not development.held:
        return False
    entry = platform.jobs.get(platform.reader, run.job_id)
    if entry is None or entry.job.slug not in development.held:
        return False
    if not development.hosts(entry.endpoint_url):
        return False
    text = (
        f"no handler: the code of `strait dev` does not define the job `{entry.job.slug}`; "
        "the run waits until it does"
    )
    written = platform.write(
        lambda unit: unit.record(run.id, run.project_id, [Entry("log", text, "warn")])
    )
    written.add_done_callback(lambda done: done.cancelled() or done.exception())
    return True


def hold(platform: Platform, defined: Iterable[str]) -> frozenset[str]:
    """Let the runs of jobs wait that the code does not define; return the slugs of these jobs.

    They keep their attempts, and start as soon as the code has their job again.
    """
    development = platform.development
    if development is None:
        return frozenset()
    hosted, known = development.jobs(platform.reader), frozenset(defined)
    missing = {job.id: job.slug for job in hosted if job.slug not in known}
    development.held = frozenset(missing.values())
    platform.scheduler.hold(missing, hosted)
    return development.held
