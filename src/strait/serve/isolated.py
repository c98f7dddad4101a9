"""What runs in a process of its own for a handler: a host of one attempt at a time.

It gets attempts by a pipe and answers them there. It ends with its parent, however that ends,
because the pipe does. Signals of the terminal go to its parent, which decides.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

from strait import log_lines
from strait.authoring.jobs import JobDefinition
from strait.serve import answers
from strait.serve.discovery import definitions_in
from strait.serve.execution import Executor, HostedJob
from strait.serve.platform import PlatformPool
from strait.serve.tasks import Told

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from strait.serve.answers import Answer
    from strait.serve.attempts import Rules
    from strait.serve.tasks import Place, Task

# What is left of an attempt after it makes its process useless.
_TIDY_SECS = 0.05

log = logging.getLogger("strait.serve")


def main(connection: Connection) -> None:
    """Run attempts until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Unless the modules that have the jobs set up logging themselves.
    log_lines.set_up()
    for name in ("httpx", "strait.http"):
        logging.getLogger(name).setLevel(logging.WARNING)
    asyncio.run(_serve(connection))


async def _serve(connection: Connection) -> None:
    loop = asyncio.get_running_loop()
    tasks: asyncio.Queue[Task] = asyncio.Queue()
    worker = _Worker()

    def listen() -> None:
        while True:
            try:
                message = connection.recv()
            except (EOFError, OSError):
                # The parent has gone; a handler that runs must not outlive it.
                os._exit(0)
            if isinstance(message, Told):
                loop.call_soon_threadsafe(worker.tell, message)
            else:
                loop.call_soon_threadsafe(tasks.put_nowait, message)

    threading.Thread(target=listen, name="strait-parent", daemon=True).start()
    while True:
        task = await tasks.get()
        answer = await worker.run(task)
        connection.send((answer, worker.is_clean))


class _Worker:
    """Makes the attempts."""

    def __init__(self) -> None:
        self._executors: dict[tuple[str, str, Rules], Executor] = {}
        self._jobs: dict[Place, HostedJob] = {}
        self._present: Executor | None = None

    @property
    def is_clean(self) -> bool:
        """Whether nothing of an attempt is left."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        return not others and not (self._present and self._present.in_threads)

    async def run(self, task: Task) -> Answer:
        """Make an attempt."""
        key = (task.base_url, task.project_id, task.rules)
        executor = self._executors.get(key)
        if executor is None:
            executor = Executor(
                PlatformPool(task.base_url),
                task.project_id,
                rules=task.rules,
                leaves_threads=True,
            )
            self._executors[key] = executor
        self._present = executor
        executor.hold_deadlines(hold=task.held)
        try:
            job = self._job(task.place)
        except Exception as error:  # the user's module may raise anything
            log.exception("job `%s` could not be imported", task.place.slug)
            return answers.raised(500, error)
        answer = await executor.run(job, task.dispatch)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            # Those that were cancelled with the attempt end at once.
            await asyncio.wait(others, timeout=_TIDY_SECS)
        return answer

    def tell(self, told: Told) -> None:
        """Tell the attempt that runs."""
        if self._present is not None:
            self._present.cancel(told.run_id, told.reason, outlived=told.outlived)

    def _job(self, place: Place) -> HostedJob:
        if place not in self._jobs:
            job = _found(place)
            assert job.run is not None, "only jobs with a handler are hosted"
            self._jobs[place] = HostedJob(job, job.run, (), isolate=False)
        return self._jobs[place]


def _found(place: Place) -> JobDefinition[Any]:
    """Return the job of a place.

    Raises:
        LookupError: the module has no such job any more.
    """
    module = importlib.import_module(place.module)
    for found in definitions_in(module):
        if isinstance(found, JobDefinition) and found.slug == place.slug:
            return found
    raise LookupError(
        f"module `{place.module}` has no job `{place.slug}` in the process that runs it; "
        "does it define its jobs under `if __name__ == '__main__'`?"
    )
