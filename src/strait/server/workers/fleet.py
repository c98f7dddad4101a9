"""Who is connected, what each worker has, and who of them gets the next run. Memory only.

A worker outlives its stream: while it is away its tasks stay with it, until it is back or its lease
has ended.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from strait.engine.queue import Lane


class Assign(NamedTuple):
    """Hand an attempt of a run to a worker."""

    run_id: str
    job_slug: str
    queue: str
    payload: bytes
    timeout_secs: int
    run_token: str
    signature: str
    timestamp: str
    metadata: dict[str, str]
    assignment: str
    attempt: int


class Cancel(NamedTuple):
    """Tell a worker that what it does for a run is of no use any more."""

    run_id: str
    reason: str


class Ack(NamedTuple):
    """Tell a worker that something of it has arrived: its registration, or a result."""

    id: str


Outgoing = Assign | Cancel | Ack


class Refusal(Exception):  # noqa: N818 - it names what happened
    """A stream is refused or ended.

    Attributes:
        status: the name of a gRPC status, such as `UNAUTHENTICATED`.
        text: why.
    """

    def __init__(self, status: str, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text


class Stream:
    """One connection of a worker.

    Attributes:
        outgoing: what is to be sent, in its order.
        ended: set once the server wants it to end; `refusal` says why.
    """

    def __init__(self) -> None:
        self.outgoing: asyncio.Queue[Outgoing] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.refusal: Refusal | None = None

    def send(self, message: Outgoing) -> None:
        """Have a message sent."""
        self.outgoing.put_nowait(message)

    def end(self, status: str, text: str) -> None:
        """End the stream; the first who does so says why."""
        if not self.ended.is_set():
            self.refusal = Refusal(status, text)
            self.ended.set()


@dataclass(slots=True)
class Task:
    """An attempt that a worker has.

    Attributes:
        settled: what comes of it does not matter to the run any more, which has moved on; the
            worker may still be busy with it.
        canceled: the worker was told so.
    """

    assignment: str
    run_id: str
    attempt: int
    settled: bool = False
    canceled: bool = False


class WorkerId(NamedTuple):
    """A worker, by the id that it gave itself within its project."""

    project_id: str
    id: str

    @property
    def timer(self) -> tuple[str, str]:
        """The key of its timer."""
        return ("worker", f"{self.project_id}\x00{self.id}")

    @classmethod
    def of_timer(cls, subject: str) -> WorkerId:
        """Return the worker that a timer is for."""
        project_id, _, worker_id = subject.partition("\x00")
        return cls(project_id, worker_id)


@dataclass(slots=True, eq=False)
class Worker:
    """A worker.

    Attributes:
        id: who it is.
        key_id: the API key that it registered with.
        key_hash: the hash of that.
        environment_id: the only environment whose jobs it gets, "" for all of its project.
        queues: the queues that it serves.
        slugs: the only jobs that it gets; empty for all of its queues.
        slots_total: how many tasks it may have.
        limit: how many it takes now, as it said last.
        draining: it takes no more work and will leave.
        tasks: what it has, by assignment.
        reserved: how many tasks are being written down for it.
        stream: its connection, None while it is away.
        heard_at: when something came from it last, an instant.
        seen_at: when that was written down last.
    """

    id: WorkerId
    key_id: str = ""
    key_hash: str = ""
    environment_id: str = ""
    queues: frozenset[str] = frozenset()
    slugs: frozenset[str] = frozenset()
    slots_total: int = 0
    limit: int = 0
    draining: bool = False
    tasks: dict[str, Task] = field(default_factory=dict)
    reserved: int = 0
    stream: Stream | None = None
    heard_at: int = 0
    seen_at: int = 0

    @property
    def free(self) -> int:
        """How many more runs it takes now."""
        if self.stream is None or self.stream.ended.is_set() or self.draining:
            return 0
        return max(0, min(self.limit, self.slots_total) - len(self.tasks) - self.reserved)

    @property
    def status(self) -> str:
        """How the API calls its state."""
        if self.stream is None:
            return "offline"
        return "draining" if self.draining else "active"

    def serves(self, lane: Lane) -> bool:
        """Return whether it may be given the runs of a lane."""
        return (
            lane.project_id == self.id.project_id
            and lane.queue in self.queues
            and (not self.slugs or lane.slug in self.slugs)
            and self.environment_id in {"", lane.environment_id}
        )

    def says_free(self, slots: int) -> list[Task]:
        """Take note of how many slots it has free, and return the tasks that it has let go of.

        It may have fewer than it has not told us of, and never has more. One that takes none
        although it has some is leaving. Tasks whose runs have moved on stop counting once it has
        let go of them.
        """
        busy = max(0, self.slots_total - slots)
        settled = [task for task in self.tasks.values() if task.settled]
        gone = settled[: max(0, len(self.tasks) - busy)]
        for task in gone:
            del self.tasks[task.assignment]
        self.limit = min(self.slots_total, len(self.tasks) + slots)
        self.draining = slots == 0 and len(self.tasks) + self.reserved < self.slots_total
        return gone


class Fleet:
    """All workers, those that are away with tasks included."""

    def __init__(self) -> None:
        self._workers: dict[WorkerId, Worker] = {}
        self._streams_of_project: Counter[str] = Counter()
        self._streams_of_key: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many workers are connected."""
        return sum(self._streams_of_project.values())

    def everyone(self) -> list[Worker]:
        """Return all workers."""
        return list(self._workers.values())

    def get(self, worker_id: WorkerId) -> Worker | None:
        """Return a worker, if it is known."""
        return self._workers.get(worker_id)

    def of(self, worker_id: WorkerId) -> Worker:
        """Return a worker, made now if it is not known."""
        worker = self._workers.get(worker_id)
        if worker is None:
            worker = self._workers[worker_id] = Worker(worker_id)
        return worker

    def forget(self, worker: Worker) -> None:
        """Forget a worker that is away."""
        self._workers.pop(worker.id, None)

    def streams(self, project_id: str, key_id: str) -> tuple[int, int]:
        """Return how many streams a project has, and how many an API key."""
        return self._streams_of_project[project_id], self._streams_of_key[key_id]

    def attach(self, worker: Worker, stream: Stream) -> None:
        """Give a worker that has no stream one."""
        worker.stream = stream
        self._streams_of_project[worker.id.project_id] += 1
        self._streams_of_key[worker.key_id] += 1

    def detach(self, worker: Worker) -> None:
        """Take note that a worker is away."""
        worker.stream = None
        for counter, key in (
            (self._streams_of_project, worker.id.project_id),
            (self._streams_of_key, worker.key_id),
        ):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]

    def best(self, lane: Lane) -> Worker | None:
        """Return the worker with most free slots that may be given a run of a lane, or None."""
        able = [worker for worker in self._workers.values() if worker.free and worker.serves(lane)]
        return max(able, key=lambda worker: worker.free, default=None)

    def has_worker(self, lane: Lane) -> bool:
        """Return whether a worker could take one more run of a lane now."""
        return any(worker.free and worker.serves(lane) for worker in self._workers.values())
