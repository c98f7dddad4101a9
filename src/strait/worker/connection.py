"""One stream to the platform: registered, read and written until it ends.

This is the only module that speaks gRPC. It is imported when a worker runs, so that whoever only
defines one needs no extra.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import grpc
from grpc import aio

from strait._version import __version__
from strait.errors import ConfigurationError
from strait.worker.errors import ConnectionLost, WorkerRefused
from strait.worker.tasks import Assignment, Outcome, Tasks
from strait.worker_protocol import worker_pb2 as pb
from strait.worker_protocol.worker_pb2_grpc import WorkerServiceStub

# A registration with more tasks is refused (`contract/runs.md` §10).
_MOST_IN_FLIGHT = 256
# The platform takes a worker for dead that says nothing for 30 s (`contract/runs.md` §10).
HEARTBEAT_SECS = 8.0
_REGISTER_SECS = 10.0
# Who ends need not wait long for a platform that does not answer.
_FINISH_SECS = 1.0
# A platform that never says that it has a result has taken it when its stream stood for so long.
_TAKEN_SECS = 60.0
_OPTIONS = (
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.max_send_message_length", 1024 * 1024),
    # Not faster than every 10 s.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # An earlier failure must not make a new connection wait: the worker has a pace of its own.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
)
# They would be the same however often they are asked for.
_FINAL = frozenset(
    {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.UNIMPLEMENTED,
        # Another process has taken this worker's id.
        grpc.StatusCode.ABORTED,
    }
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a worker is, where it connects, and what it serves."""

    addr: str
    api_key: str = field(repr=False)
    worker_id: str
    name: str
    queues: tuple[str, ...]
    job_slugs: tuple[str, ...]
    slots: int
    plain: bool
    ca_file: Path | None = None


class Connection:
    """A registered stream."""

    def __init__(self, call: Any, identity: Identity, tasks: Tasks) -> None:
        self._call = call
        self._identity = identity
        self._tasks = tasks
        tasks.begin_stream()
        self._takes_none = False
        self._heartbeat_due = 0.0
        # A stream takes one message after the other.
        self._sending = asyncio.Lock()

    def take_none(self) -> None:
        """Say that no more work is taken."""
        self._takes_none = True
        self._heartbeat_due = 0.0
        self._tasks.news.set()

    async def serve(self) -> NoReturn:
        """Read and write until the stream ends.

        Raises:
            ConnectionLost: it has ended, and may be opened anew.
            WorkerRefused: the platform wants no more of this worker.
        """
        reading = asyncio.ensure_future(self._read())
        writing = asyncio.ensure_future(self._write())
        try:
            await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reading, writing):
                task.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)
        await self.raise_end()

    async def finish(self) -> None:
        """End the stream as one does who is done.

        The platform is told before that no more work is taken: what is unfinished goes to another
        worker at once then, and not only when it is sure that this one does not come back.
        """
        try:
            async with asyncio.timeout(_FINISH_SECS):
                await self._beat()
                await self._call.done_writing()
                while await self._call.read() is not aio.EOF:
                    pass
        except (TimeoutError, aio.AioRpcError, asyncio.InvalidStateError):
            return

    async def register(self) -> None:
        """Say who this is and what it has, and wait until the platform has taken note.

        Raises:
            ConnectionLost: the platform cannot be reached.
            WorkerRefused: it does not take this worker.
        """
        try:
            async with asyncio.timeout(_REGISTER_SECS):
                await self._call.write(pb.WorkerMessage(registration=self._registration()))
                while True:
                    message = await self._call.read()
                    if not isinstance(message, pb.ServerMessage):
                        break
                    if message.ack.id == self._identity.worker_id:
                        self._heartbeat_due = time.monotonic() + HEARTBEAT_SECS
                        return
                    self._heard(message)
        except TimeoutError:
            self._call.cancel()
            raise ConnectionLost(f"no answer within {_REGISTER_SECS:g} s") from None
        except (aio.AioRpcError, asyncio.InvalidStateError):
            pass  # the status of the call says more
        await self.raise_end()

    async def raise_end(self) -> NoReturn:
        """Raise why the stream has ended."""
        if not self._call.done():
            self._call.cancel()
        code, text = await self._call.code(), await self._call.details()
        if code in _FINAL:
            raise WorkerRefused(code.name, text or "")
        raise ConnectionLost(text or code.name.lower())

    # ------------------------------------------------------------------------------------- reading

    async def _read(self) -> None:
        while True:
            message = await self._call.read()
            if not isinstance(message, pb.ServerMessage):
                return
            self._heard(message)

    def _heard(self, message: pb.ServerMessage) -> None:
        match message.WhichOneof("payload"):
            case "task_assignment":
                self._tasks.take(_assignment(message.task_assignment))
            case "cancel_task":
                self._tasks.cancel(message.cancel_task.run_id, message.cancel_task.reason)
            case "ack":
                self._tasks.taken(message.ack.id)

    # ------------------------------------------------------------------------------------- writing

    async def _write(self) -> None:
        """Tell what there is to tell, and now and then that this is alive."""
        while True:
            self._tasks.news.clear()
            while self._tasks.acknowledge:
                run_id = self._tasks.acknowledge.pop(0)
                await self._send(ack=pb.Acknowledged(id=run_id))
            for outcome in self._untold():
                self._tasks.sent[outcome.assignment] = time.monotonic()
                await self._send(task_result=_result(outcome))
            if time.monotonic() >= self._heartbeat_due:
                await self._beat()
            try:
                async with asyncio.timeout(max(0.0, self._heartbeat_due - time.monotonic())):
                    await self._tasks.news.wait()
            except TimeoutError:
                continue

    async def _beat(self) -> None:
        self._heartbeat_due = time.monotonic() + HEARTBEAT_SECS
        free = 0 if self._takes_none else self._tasks.free
        await self._send(
            heartbeat=pb.Heartbeat(slots_available=free, timestamp_unix=int(time.time()))
        )
        long_ago = time.monotonic() - _TAKEN_SECS
        for assignment in [a for a, at in self._tasks.sent.items() if at < long_ago]:
            self._tasks.taken(assignment)

    def _untold(self) -> list[Outcome]:
        sent = self._tasks.sent
        return [each for each in self._tasks.outcomes.values() if each.assignment not in sent]

    async def _send(self, **payload: Any) -> None:
        async with self._sending:
            await self._call.write(pb.WorkerMessage(**payload))

    def _registration(self) -> pb.WorkerRegistration:
        who = self._identity
        return pb.WorkerRegistration(
            worker_id=who.worker_id,
            name=who.name,
            queues=who.queues,
            job_slugs=who.job_slugs,
            sdk_version=__version__,
            sdk_language="python",
            hostname=socket.gethostname()[:255],
            slots_total=who.slots,
            slots_available=0 if self._takes_none else self._tasks.free,
            # What is over goes on, as far as this is concerned: its result follows by itself.
            in_flight_tasks=[
                pb.InFlightTask(
                    run_id=held.run_id, assignment_id=held.assignment, attempt=held.attempt
                )
                for held in self._tasks.held()[:_MOST_IN_FLIGHT]
            ],
        )


@asynccontextmanager
async def connected(identity: Identity, tasks: Tasks) -> AsyncIterator[Connection]:
    """Open a stream; it is closed, however it ends, with the block."""
    channel = _channel(identity)
    try:
        stub: Any = WorkerServiceStub(channel)
        metadata = (("authorization", f"Bearer {identity.api_key}"),)
        call = stub.StreamTasks(metadata=metadata)
        try:
            yield Connection(call, identity, tasks)
        finally:
            call.cancel()
    finally:
        await channel.close()


def _channel(identity: Identity) -> aio.Channel:
    if identity.plain:
        return aio.insecure_channel(identity.addr, options=_OPTIONS)
    roots = None if identity.ca_file is None else _roots(identity.ca_file)
    credentials = grpc.ssl_channel_credentials(root_certificates=roots)
    return aio.secure_channel(identity.addr, credentials, options=_OPTIONS)


def _roots(file: Path) -> bytes:
    """Return the certificates to trust. gRPC would take anything, and never connect with it."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
        return file.read_bytes()
    except ssl.SSLError as error:
        raise ConfigurationError(f"`{file}` has no certificates: give a PEM file") from error
    except OSError as error:
        raise ConfigurationError(f"`{file}` cannot be read: {error.strerror}") from error


def _assignment(told: pb.TaskAssignment) -> Assignment:
    return Assignment(
        run_id=told.run_id,
        job_slug=told.job_slug,
        payload=told.payload_json,
        timeout_secs=told.timeout_secs,
        token=told.run_token_jwt,
        signature=told.hmac_signature,
        timestamp=told.hmac_timestamp,
        metadata=dict(told.metadata),
        id=told.assignment_id,
        attempt=told.attempt,
    )


def _result(outcome: Outcome) -> pb.TaskResult:
    return pb.TaskResult(
        run_id=outcome.run_id,
        status="success" if outcome.succeeded else "failed",
        output_json=outcome.output,
        error_message=outcome.error,
        duration_ms=outcome.duration_ms,
        assignment_id=outcome.assignment,
        attempt=outcome.attempt,
    )
