"""A worker that does what a test says, over a real channel: the other side of the protocol."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc import aio

from strait.worker_protocol import worker_pb2 as pb
from strait.worker_protocol.worker_pb2_grpc import WorkerServiceStub
from support.handlers import PATIENCE_SECS
from support.world import World

_numbers = itertools.count(1)


class Peer:
    """One stream. What the server sends is kept in the order in which it came."""

    def __init__(self, address: str, key: str | None) -> None:
        self._channel = aio.insecure_channel(address)
        metadata = () if key is None else (("authorization", key),)
        self.call: Any = WorkerServiceStub(self._channel).StreamTasks(metadata=metadata)
        self.worker_id = ""
        self._received: list[pb.ServerMessage] = []
        self._seen = 0

    async def send(self, **payload: Any) -> None:
        await self.call.write(pb.WorkerMessage(**payload))

    async def register(self, slots: int = 1, worker_id: str = "", **fields: Any) -> Peer:
        """Register and wait until the server has said so."""
        self.worker_id = worker_id or f"w-{next(_numbers)}"
        fields = {"queues": ["default"], "slots_total": slots, "slots_available": slots, **fields}
        await self.send(registration=pb.WorkerRegistration(worker_id=self.worker_id, **fields))
        assert (await self.next("ack")).id == self.worker_id
        return self

    async def next(self, kind: str) -> Any:
        """Return the next message of a kind; others are passed over."""
        async with asyncio.timeout(PATIENCE_SECS):
            while True:
                message = await self.call.read()
                assert message is not aio.EOF, await self.ended()
                if message.WhichOneof("payload") == kind:
                    return getattr(message, kind)

    async def assignment(self) -> pb.TaskAssignment:
        return await self.next("task_assignment")

    async def done(self, task: pb.TaskAssignment, output: object = None, **fields: Any) -> None:
        """Tell that a task has succeeded, unless `fields` say something else."""
        told = {
            "run_id": task.run_id,
            "status": "success",
            "output_json": b"" if output is None else json.dumps(output).encode(),
            "assignment_id": task.assignment_id,
            "attempt": task.attempt,
            **fields,
        }
        await self.send(task_result=pb.TaskResult(**told))

    async def failed(self, task: pb.TaskAssignment, error: str) -> None:
        await self.done(task, status="failed", error_message=error)

    async def heartbeat(self, slots: int) -> None:
        await self.send(heartbeat=pb.Heartbeat(slots_available=slots))

    async def ended(self) -> tuple[str, str]:
        """Return the status that the server ended the stream with, and its text."""
        async with asyncio.timeout(PATIENCE_SECS):
            code: grpc.StatusCode = await self.call.code()
            return code.name, await self.call.details()

    async def finish(self) -> None:
        """End the stream as a worker that is done does."""
        await self.call.done_writing()
        await self.ended()

    async def vanish(self) -> None:
        """Be gone without a word."""
        self.call.cancel()
        await self._channel.close()


def in_flight(task: pb.TaskAssignment, status: str = "", **fields: Any) -> pb.InFlightTask:
    """Return what a worker says at its return of a task that it has."""
    return pb.InFlightTask(
        run_id=task.run_id,
        status=status,
        assignment_id=task.assignment_id,
        attempt=task.attempt,
        **fields,
    )


Peers = Callable[..., Peer]


@asynccontextmanager
async def connecting(address: str, key: str) -> AsyncIterator[Peers]:
    """Make peers; what is left of them is closed at the end."""
    made: list[Peer] = []

    def connect(authorization: str | None = f"Bearer {key}") -> Peer:
        peer = Peer(address, authorization)
        made.append(peer)
        return peer

    yield connect
    for peer in made:
        await peer.vanish()


async def until_worker(world: World, worker_id: str, *statuses: str) -> dict[str, Any]:
    """Return a worker as the API shows it, once it has one of the statuses."""
    async with asyncio.timeout(PATIENCE_SECS):
        while True:
            answer = await world.api.get(f"/v1/workers/{worker_id}")
            if answer.status_code == 200 and answer.json()["status"] in statuses:
                return dict(answer.json())
            await world.settled()


async def tasks_of(world: World, worker_id: str) -> list[dict[str, Any]]:
    """Return the tasks of a worker, the newest first."""
    answer = await world.api.get(f"/v1/workers/{worker_id}/tasks")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])
