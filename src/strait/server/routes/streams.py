"""Server-sent events: runs as views of their ledger, chunks and waits live (`contract/runs.md` §8).

The run stream goes beyond the platform's: each frame of a run's history has the line's number as
its id, so that a client that comes back with `Last-Event-ID` misses nothing, and the stream ends
when the run does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

from msgspec import Raw, Struct, json

from strait.clock import SECOND, Timestamp, from_timestamp, to_timestamp
from strait.engine.audit_chain import Signed
from strait.engine.model import EventTrigger, Run
from strait.fsm import is_terminal_run_status
from strait.server import tokens
from strait.server.errors import ApiError, not_found
from strait.server.http import Call, Reply, StreamReply, encode, reply
from strait.server.hub import Subscription
from strait.server.platform import Platform
from strait.server.registry import Registry
from strait.server.routes.events import find
from strait.server.routes.run_reads import owned
from strait.server.unit import Unit
from strait.store import audit, ledger
from strait.store import runs as run_rows

registry = Registry()

Item = TypeVar("Item")

_KEEPALIVE = b": keepalive\n\n"


class TriggerChange(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The short form of a wait that has changed (`EventTriggerChange`)."""

    id: str
    event_key: str
    status: str
    project_id: str
    source_type: str
    timestamp: Timestamp
    environment_id: str = ""
    received_at: Timestamp = ""
    error: str = ""


@registry.other("stream-run")
async def run_stream(call: Call, platform: Platform) -> StreamReply:
    """Follow a run: what happens from now on, or from behind `Last-Event-ID`."""
    run = _run(call, platform)
    after = _last_event_id(call)
    if is_terminal_run_status(run.status) and after is None:
        raise ApiError(410, "run already in terminal state")
    subscription = platform.hub.subscribe(run.id)
    return StreamReply(_follow(platform, run, subscription, after))


async def _follow(
    platform: Platform, run: Run, subscription: Subscription[ledger.Line], after: int | None
) -> AsyncGenerator[bytes, None]:
    try:
        seen = after or 0
        if after is None:
            present = ledger.lines(platform.reader, run.id, after=0)
            seen = present[-1].seq if present else 0
        else:
            while missed := ledger.lines(platform.reader, run.id, after=seen):
                for line in missed:
                    seen = line.seq
                    yield _frame(run, line)
        if is_terminal_run_status(_status(platform, run.id)):
            return
        async for new in _live(platform, subscription):
            if new is None:
                yield _KEEPALIVE
            elif new.seq > seen:
                seen = new.seq
                yield _frame(run, new)
                if _ends(new):
                    return
    finally:
        platform.hub.unsubscribe(run.id, subscription)


@registry.other("stream-run-logs")
async def log_stream(call: Call, platform: Platform) -> StreamReply:
    """Follow the log lines of a run, from behind `Last-Event-ID` or from the first one."""
    run = _run(call, platform)
    subscription = platform.hub.subscribe(run.id)
    return StreamReply(_logs(platform, run, subscription, _last_event_id(call) or 0))


async def _logs(
    platform: Platform, run: Run, subscription: Subscription[ledger.Line], seen: int
) -> AsyncGenerator[bytes, None]:
    try:
        while missed := ledger.lines(platform.reader, run.id, after=seen):
            for line in missed:
                seen = line.seq
                if line.type == "log":
                    yield _log_frame(line)
        if is_terminal_run_status(_status(platform, run.id)):
            return
        async for new in _live(platform, subscription):
            if new is None:
                yield _KEEPALIVE
            elif new.seq > seen:
                seen = new.seq
                if new.type == "log":
                    yield _log_frame(new)
                if _ends(new):
                    return
    finally:
        platform.hub.unsubscribe(run.id, subscription)


def _log_frame(line: ledger.Line) -> bytes:
    body = {
        "run_id": line.subject,
        "level": line.level,
        "message": line.message,
        "timestamp_unix_ms": from_timestamp(line.at) * 1_000 // SECOND,
    }
    return b"id: %d\nevent: log\ndata: %s\n\n" % (line.seq, encode(body))


@registry.other("stream-project-activity")
async def activity_stream(call: Call, platform: Platform) -> StreamReply:
    """Follow what is done in a project: its audit events, also those behind `Last-Event-ID`."""
    if call.params["projectID"] != call.project_id:
        raise not_found("project")
    subscription = platform.activity_hub.subscribe(call.project_id)
    frames = _activity(platform, call.project_id, subscription, _last_event_id(call))
    return StreamReply(frames)


async def _activity(
    platform: Platform, project_id: str, subscription: Subscription[Signed], after: int | None
) -> AsyncGenerator[bytes, None]:
    seen = after or 0
    try:
        if after is not None:
            for signed in audit.chain(platform.reader, project_id, after=after):
                seen = signed.seq
                yield _activity_frame(signed)
        async for new in _live(platform, subscription):
            if new is None:
                yield _KEEPALIVE
            elif new.seq > seen:
                seen = new.seq
                yield _activity_frame(new)
    finally:
        platform.activity_hub.unsubscribe(project_id, subscription)


def _activity_frame(signed: Signed) -> bytes:
    return b"id: %d\nevent: activity\ndata: %s\n\n" % (signed.seq, signed.doc)


@registry.write("create-sse-token")
def make_token(call: Call, unit: Unit) -> Reply:
    """Make a token with which a browser can open an event stream for five minutes."""
    principal = call.principal
    token = tokens.SseToken(
        principal.actor, principal.project_id, principal.environment_id, principal.scopes
    )
    text, expires = tokens.issue_sse(unit.platform.token_key, token, now=unit.now)
    return reply({"token": text, "expires_at": to_timestamp(expires)}, 201)


@registry.other("get-run-chunk-stream")
async def chunk_stream(call: Call, platform: Platform) -> StreamReply:
    """Follow the pieces of output that a run streams."""
    run = _run(call, platform)
    if is_terminal_run_status(run.status):
        raise ApiError(410, "run already in terminal state")
    return StreamReply(_chunks(platform, run))


async def _chunks(platform: Platform, run: Run) -> AsyncGenerator[bytes, None]:
    chunks = platform.chunk_hub.subscribe(run.id)
    lines = platform.hub.subscribe(run.id)
    ended = asyncio.ensure_future(_wait_for_end(platform, lines))
    ended.add_done_callback(lambda _: chunks.end())
    try:
        async for chunk in _live(platform, chunks):
            yield _KEEPALIVE if chunk is None else b"data: " + encode(chunk) + b"\n\n"
    finally:
        ended.cancel()
        platform.chunk_hub.unsubscribe(run.id, chunks)
        platform.hub.unsubscribe(run.id, lines)


async def _wait_for_end(platform: Platform, lines: Subscription[ledger.Line]) -> None:
    async for line in _live(platform, lines):
        if line is not None and _ends(line):
            return


@registry.other("stream-event-trigger")
async def trigger_stream(call: Call, platform: Platform) -> StreamReply:
    """Follow a wait until it is over."""
    trigger = find(call, platform.reader)
    subscription = platform.trigger_hub.subscribe(trigger.id)
    return StreamReply(_follow_trigger(platform, trigger, subscription))


async def _follow_trigger(
    platform: Platform, trigger: EventTrigger, subscription: Subscription[object]
) -> AsyncGenerator[bytes, None]:
    try:
        yield b"event: status\ndata: " + encode(trigger) + b"\n\n"
        if trigger.status != "waiting":
            return
        async for item in _live(platform, subscription):
            if isinstance(item, EventTrigger):
                yield b"event: status\ndata: " + encode(_change(item, platform)) + b"\n\n"
                return
            yield _KEEPALIVE
    finally:
        platform.trigger_hub.unsubscribe(trigger.id, subscription)


# ---------------------------------------------------------------------------------------- helpers


async def _live(
    platform: Platform, subscription: Subscription[Item]
) -> AsyncGenerator[Item | None, None]:
    """Yield what comes, None after a silence, and end when the stream is old or the hub closes."""
    settings = platform.settings
    loop = asyncio.get_running_loop()
    end = loop.time() + settings.stream_max_secs
    while loop.time() < end:
        try:
            item = await subscription.get(settings.keepalive_secs)
        except TimeoutError:
            yield None
            continue
        if item is None:
            return
        yield item


def _run(call: Call, platform: Platform) -> Run:
    stored = run_rows.load(platform.reader, owned(call, platform.reader))
    if stored is None:
        raise not_found("run")
    return stored.run


def _status(platform: Platform, run_id: str) -> str:
    stored = run_rows.load(platform.reader, run_id)
    return "canceled" if stored is None else stored.run.status


def _last_event_id(call: Call) -> int | None:
    text = call.header(b"last-event-id").strip()
    if not text:
        return None
    # Who brings an id that is none of ours cannot tell where it was, and is told everything.
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0


def _frame(run: Run, line: ledger.Line) -> bytes:
    data = Raw(line.data.encode()) if line.data else None
    body: dict[str, object]
    if line.type == "state_change":
        facts = json.decode(line.data) if line.data else {}
        body = {
            "type": "status_change",
            "run_id": run.id,
            "job_id": run.job_id,
            "project_id": run.project_id,
            "from": facts.get("from", ""),
            "to": facts.get("to", ""),
            "timestamp": line.at,
        }
        if "error" in facts:
            body["error"] = facts["error"]
    else:
        body = {
            "type": "event",
            "event_type": line.type,
            "run_id": run.id,
            "level": line.level,
            "message": line.message,
            "timestamp": line.at,
        }
        if data is not None:
            body["data"] = data
    return b"id: %d\ndata: %s\n\n" % (line.seq, encode(body))


def _ends(line: ledger.Line) -> bool:
    if line.type != "state_change" or not line.data:
        return False
    return is_terminal_run_status(str(json.decode(line.data).get("to", "")))


def _change(trigger: EventTrigger, platform: Platform) -> TriggerChange:
    return TriggerChange(
        id=trigger.id,
        event_key=trigger.event_key,
        status=trigger.status,
        project_id=trigger.project_id,
        source_type=trigger.source_type,
        environment_id=trigger.environment_id,
        received_at=trigger.received_at,
        error=trigger.error,
        timestamp=to_timestamp(platform.clock.now()),
    )
