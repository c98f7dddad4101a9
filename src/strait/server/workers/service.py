"""The worker protocol as a gRPC service: messages in and out of `dispatch`, and nothing decided."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import grpc
from grpc import aio

from strait.server.workers import callers
from strait.server.workers.callers import Caller
from strait.server.workers.fleet import Ack, Assign, Cancel, Outgoing, Refusal, Stream, Worker
from strait.server.workers.registration import Registration, Told
from strait.worker_protocol import worker_pb2 as pb
from strait.worker_protocol import worker_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from strait.server.platform import Platform

logger = logging.getLogger("strait.server")

# Whoever connects says soon who it is.
_FIRST_SECS = 10.0
_LAST_SECS = 2.0
# That a stream has broken is known within a millisecond of its end.
_GOODBYE_SECS = 0.1
# What a registration calls the end of a task, in the words of a result.
_ENDED = {"completed": "success", "failed": "failed", "abandoned": "abandoned"}

_Context: TypeAlias = "aio.ServicerContext[pb.WorkerMessage, pb.ServerMessage]"


class WorkerService(worker_pb2_grpc.WorkerServiceServicer):
    """One call of `StreamTasks` is one connection of a worker."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._workers = platform.workers

    # The stubs know of handlers only that yield; one that writes by itself is as good.
    async def StreamTasks(  # type: ignore[override]  # noqa: N802 - its name in the protocol
        self, request_iterator: AsyncIterator[pb.WorkerMessage], context: _Context
    ) -> None:
        """Serve a worker until one side ends the stream."""
        del request_iterator  # it is read from the context, which can be waited for
        try:
            caller = callers.identify(self._platform, _authorization(context))
            worker, stream = await self._registered(context, caller)
        except Refusal as refusal:
            logger.debug("a worker was refused: %s", refusal)
            await _abort(context, refusal)
            return
        reading = asyncio.ensure_future(self._take(context, caller, worker, stream))
        giving = asyncio.ensure_future(_give(context, stream))
        ending = asyncio.ensure_future(stream.ended.wait())
        tasks, in_order = (reading, giving, ending), False
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if reading.done() and not stream.ended.is_set():
                stream.ended.set()
                # One that breaks looks the same at first; then this call is canceled.
                await asyncio.sleep(_GOODBYE_SECS)
                in_order = True
        finally:
            for task in tasks:
                task.cancel()
            self._workers.left(worker, stream, in_order=in_order)
            await asyncio.gather(*tasks, return_exceptions=True)
        if stream.refusal is not None:
            await _flush(context, stream)
            await _abort(context, stream.refusal)

    async def _registered(self, context: _Context, caller: Caller) -> tuple[Worker, Stream]:
        try:
            async with asyncio.timeout(_FIRST_SECS):
                first = await context.read()
        except TimeoutError:
            raise Refusal(
                "DEADLINE_EXCEEDED", f"no registration came within {_FIRST_SECS:g} s"
            ) from None
        if not isinstance(first, pb.WorkerMessage) or not first.HasField("registration"):
            raise Refusal("INVALID_ARGUMENT", "first message must be WorkerRegistration")
        return await self._workers.register(caller, _registration(first.registration))

    async def _take(
        self, context: _Context, caller: Caller, worker: Worker, stream: Stream
    ) -> None:
        while True:
            message = await context.read()
            if not isinstance(message, pb.WorkerMessage):
                return  # the stream is over
            try:
                callers.check(self._platform, caller.key_hash)
                self._workers.heard(worker)
                await self._heard(message, worker)
            except Refusal as refusal:
                stream.end(refusal.status, refusal.text)
                return
            except Exception:
                logger.exception("a message of worker %s could not be taken in", worker.id.id)
                stream.end("INTERNAL", "a message could not be taken in; the server's log has why")
                return

    async def _heard(self, message: pb.WorkerMessage, worker: Worker) -> None:
        match message.WhichOneof("payload"):
            case "heartbeat":
                slots = message.heartbeat.slots_available
                self._workers.heartbeat(worker, max(0, min(slots, worker.slots_total)))
            case "task_result":
                await self._workers.result(worker, _told(message.task_result))
            case "log_line":
                line = message.log_line
                self._workers.log(worker, line.run_id, line.level, line.message)
            case "ack":
                self._workers.accepted(worker, message.ack.id)
            case "registration":
                raise Refusal("INVALID_ARGUMENT", "the worker is registered already")
            case _:
                logger.debug("worker %s sent a message of an unknown kind", worker.id.id)


async def _give(context: _Context, stream: Stream) -> None:
    while True:
        await context.write(_message(await stream.outgoing.get()))


async def _flush(context: _Context, stream: Stream) -> None:
    """Send what was said before the stream was ended, such as that a task is canceled."""
    with suppress(TimeoutError):  # whoever reads nothing hears nothing
        async with asyncio.timeout(_LAST_SECS):
            while not stream.outgoing.empty():
                await context.write(_message(stream.outgoing.get_nowait()))


async def _abort(context: _Context, refusal: Refusal) -> None:
    await context.abort(getattr(grpc.StatusCode, refusal.status), refusal.text)


def _authorization(context: _Context) -> str | None:
    for name, value in context.invocation_metadata() or ():
        if name.lower() == "authorization":
            return value if isinstance(value, str) else value.decode("latin-1")
    return None


def _registration(said: pb.WorkerRegistration) -> Registration:
    return Registration(
        worker_id=said.worker_id,
        name=said.name,
        queues=tuple(said.queues),
        job_slugs=tuple(said.job_slugs),
        sdk_version=said.sdk_version,
        sdk_language=said.sdk_language,
        hostname=said.hostname,
        slots_total=said.slots_total,
        slots_available=said.slots_available,
        in_flight=tuple(
            Told(
                run_id=task.run_id,
                assignment=task.assignment_id,
                attempt=task.attempt,
                status=_ENDED.get(task.status, ""),
                output=task.output_json,
                error=task.error_message,
            )
            for task in said.in_flight_tasks
        ),
        metadata=dict(said.metadata),
    )


def _told(result: pb.TaskResult) -> Told:
    return Told(
        run_id=result.run_id,
        assignment=result.assignment_id,
        attempt=result.attempt,
        status=result.status,
        output=result.output_json,
        error=result.error_message,
        duration_ms=max(0, result.duration_ms),
    )


def _message(outgoing: Outgoing) -> pb.ServerMessage:
    match outgoing:
        case Ack(id=subject):
            return pb.ServerMessage(ack=pb.Acknowledged(id=subject))
        case Cancel(run_id=run_id, reason=reason):
            return pb.ServerMessage(cancel_task=pb.CancelTask(run_id=run_id, reason=reason))
        case Assign():
            return pb.ServerMessage(task_assignment=_assignment(outgoing))


def _assignment(told: Assign) -> pb.TaskAssignment:
    return pb.TaskAssignment(
        run_id=told.run_id,
        job_slug=told.job_slug,
        queue=told.queue,
        payload_json=told.payload,
        timeout_secs=told.timeout_secs,
        run_token_jwt=told.run_token,
        hmac_signature=told.signature,
        hmac_timestamp=told.timestamp,
        metadata=told.metadata,
        assignment_id=told.assignment,
        attempt=told.attempt,
    )
