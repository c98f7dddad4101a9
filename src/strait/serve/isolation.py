"""Handlers in processes of their own (`isolation="process"`), which can be killed.

A process runs one attempt at a time and is used again, as long as nothing of an attempt is left
in it. It is started anew, never forked: it imports the module that has the job, and speaks to the
platform by itself, with the token of the run. What it does there is in `isolated`, and is what the
host itself does with any other handler; here it is only started, told, watched and killed.
"""

from __future__ import annotations

import asyncio
import atexit
import multiprocessing
import signal
import sys
import threading
import weakref
from contextlib import asynccontextmanager, suppress
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from strait.authoring.validation import DefinitionError
from strait.serve.discovery import definitions_in
from strait.serve.tasks import Place, Told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from multiprocessing.connection import Connection

    from strait.authoring.jobs import JobDefinition
    from strait.authoring.session import RunSession
    from strait.serve.answers import Answer
    from strait.serve.tasks import Task

MAX_PROCESSES = 8
"""How many handlers run in processes of their own at once; others wait."""
LAST_WORDS_SECS = 1.0
"""How long a process may take at its timeout to tell the platform, before it is killed."""

# A process that was killed is gone in no time, unless the machine is very busy.
_REAP_SECS = 5.0
# How often a process is looked at whose pipe something that it started holds open.
_LOOK_SECS = 1.0
_CONTEXT = multiprocessing.get_context("spawn")
_OWN = "strait."


class ProcessDied(Exception):  # noqa: N818 - it says what happened, and is no error of ours
    """The process of a handler ended before the handler did; the text says how."""


def place_of(job: JobDefinition[Any]) -> Place:
    """Return where another process finds a job.

    Raises:
        DefinitionError: it finds it nowhere.
    """
    own = sys.modules.get(getattr(job.run, "__module__", None) or "")
    others = (
        module
        for name, module in list(sys.modules.items())
        if module is not own and module is not None and not name.startswith(_OWN)
    )
    for module in (*([own] if own else ()), *others):
        with suppress(Exception):  # a module may be anything, also what refuses to be looked at
            if any(found is job for found in definitions_in(module)):
                return Place(module.__name__, job.slug)
    raise DefinitionError(
        f"job `{job.slug}` has `isolation='process'`, so another process must be able to import "
        "it; let a name of a module be the job, or a list that it is in"
    )


def _begin(connection: Connection) -> None:
    """Be one of the processes."""
    # It imports what imports this.
    from strait.serve.isolated import main  # noqa: PLC0415 - in the child only

    main(connection)


class Child:
    """One process, and what comes from it.

    Attributes:
        usable: whether it can run another attempt.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._connection, theirs = _CONTEXT.Pipe()
        # It has children of its own if a handler wants some, so it is no daemon.
        self._process = _CONTEXT.Process(
            target=_begin, args=(theirs,), name="strait-isolated", daemon=False
        )
        self._answer: asyncio.Future[Answer] | None = None
        self._guard = threading.Lock()
        self.usable = True
        self._process.start()
        theirs.close()
        threading.Thread(target=self._listen, name="strait-isolated", daemon=True).start()

    async def run(self, task: Task) -> Answer:
        """Run an attempt.

        Raises:
            ProcessDied: the process ended.
        """
        self._answer = self._loop.create_future()
        if not self.usable:
            raise ProcessDied(how_it_ended(self._process.exitcode))
        # A large payload takes the pipe a while.
        await asyncio.to_thread(self.tell, task)
        try:
            return await self._answer
        finally:
            self._answer = None

    def tell(self, what: Task | Told) -> None:
        """Tell the process something; one that is dead hears nothing."""
        with suppress(OSError), self._guard:
            self._connection.send(what)

    def kill(self) -> None:
        """End the process, whatever it does."""
        self.usable = False
        self._process.kill()
        self._process.join(_REAP_SECS)

    def _listen(self) -> None:
        """Hand on what comes, in a thread, until the process is dead."""
        while True:
            try:
                if not wait([self._connection, self._process.sentinel], _LOOK_SECS):
                    if self._process.is_alive():
                        continue
                    break
                answer, is_clean = self._connection.recv()
            except (EOFError, OSError):
                break
            if not is_clean:
                self.usable = False
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._answered, answer)
        self.usable = False
        self._process.join(_REAP_SECS)
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._died)

    def _answered(self, answer: Answer) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def _died(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ProcessDied(how_it_ended(self._process.exitcode)))


class Children:
    """The processes of a host.

    Args:
        most: how many attempts run in processes at once.
    """

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ValueError(f"`max_processes` must be 1 or more, not {most!r}")
        self._slots = asyncio.Semaphore(most)
        self._idle: list[Child] = []
        self._all: weakref.WeakSet[Child] = weakref.WeakSet()

    @asynccontextmanager
    async def child(self) -> AsyncIterator[Child]:
        """Give a process for one attempt; it is killed unless it can be used again."""
        async with self._slots:
            child = self._ready()
            if child is None:
                # To start one takes some milliseconds, in which the loop is needed.
                starting = asyncio.ensure_future(
                    asyncio.to_thread(Child, asyncio.get_running_loop())
                )
                starting.add_done_callback(self._started)
                child = await asyncio.shield(starting)
                self._idle.remove(child)
            clean = False
            try:
                yield child
                clean = True
            finally:
                if clean and child.usable:
                    self._idle.append(child)
                else:
                    await asyncio.shield(asyncio.to_thread(child.kill))

    async def run(self, task: Task, session: RunSession) -> Answer:
        """Make an attempt in a process, which is told when the attempt is.

        Raises:
            ProcessDied: the process ended before the attempt.
        """
        async with self.child() as child:

            def tell() -> None:
                reason = session.cancellation.reason
                child.tell(Told(session.run_id, reason, session.outlived))

            answering = asyncio.ensure_future(child.run(task))
            # Not before the attempt itself is on its way.
            await asyncio.sleep(0)
            session.cancellation.listen(tell)
            try:
                return await answering
            finally:
                answering.cancel()

    def close(self) -> None:
        """Kill all processes; the next attempt would start another."""
        atexit.unregister(self.close)
        self._idle.clear()
        for child in list(self._all):
            child.kill()
        self._all.clear()

    def _ready(self) -> Child | None:
        while self._idle:
            child = self._idle.pop()
            if child.usable:
                return child
        return None

    def _started(self, starting: asyncio.Future[Child]) -> None:
        # Whoever waited for it may have gone; then it is there for the next.
        if not starting.cancelled() and starting.exception() is None:
            if not self._all:
                # At exit this comes before `multiprocessing` waits for what waits for us.
                atexit.register(self.close)
            self._all.add(starting.result())
            self._idle.append(starting.result())


def how_it_ended(code: int | None) -> str:
    """Say in words how a process ended that should not have."""
    if code is None:
        return "the process of the handler does not answer any more"
    if code >= 0:
        return f"the process of the handler ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
    return f"the process of the handler was ended by {name}{hint}"
