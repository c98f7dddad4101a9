"""Server-sent events of runs and waits: views of the ledger, chunks live (`contract/runs.md` §8).

The streams go beyond the platform's: each frame of a run's history has the line's number as its id,
so that a client that comes back with `Last-Event-ID` misses nothing, a reader that is too slow is
told so, and a stream ends when its run does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from msgspec import Raw, Struct, json

from strait.clock import SECOND, Timestamp, from_timestamp, to_timestamp
from strait.engine.model import EventTrigger, Run
from strait.fsm import is_terminal_run_status
from strait.server import sse, tokens
from strait.server.errors import ApiError, not_found
from strait.server.http import Call, Reply, StreamReply, encode, reply
from strait.server.hub import Subscription
from strait.server.platform import Platform
from strait.server.registry import Registry
from strait.server.routes.events import find
from strait.server.routes.run_reads import owned
from strait.server.unit import Unit
from strait.store import ledger, triggers
from strait.store import runs as run_rows

registry = Registry()


class TriggerChange(Struct, frozen=True, kw_only=True):
    """The short form of a wait that has changed (`EventTriggerChange`)."""

    id: str
    event_key: str
    status: str
    project_id: str
    environment_id: str
    source_type: str
    received_at: Timestamp | None
    error: str
    timestamp: Timestamp


@registry.write("create-sse-token")
def make_token(call: Call, unit: Unit) -> Reply:
    """Make a token with which a browser can open an event stream for five minutes."""
    principal = call.principal
    token = tokens.SseToken(
        principal.actor, principal.project_id, principal.environment_id, principal.scopes
    )
    text, expires = tokens.issue_sse(unit.platform.token_key, token, now=unit.now)
    return reply({"token": text, "expires_at": to_timestamp(expires)}, 201)


# ------------------------------------------------------------------------------------------- runs


@registry.other("stream-run")
async def run_stream(call: Call, platform: Platform) -> StreamReply:
    """Follow a run: what happens from now on, or from behind `Last-Event-ID`."""
    given = _last_event_id(call)
    # Commits come in a thread, between any two looks: where a run ends after this one, its end is
    # behind the place.
    newest = ledger.last_seq(platform.reader, call.params["runID"])
    run = _run(call, platform)
    if given is not None and given > newest:
        given = 0
    over = is_terminal_run_status(run.status)
    if over and (given is None or given >= ledger.last_seq(platform.reader, run.id)):
        raise ApiError(410, "run already in terminal state")
    after = newest if given is None else given
    return StreamReply(_lines(platform, run.id, after, lambda line: _frame(run, line)))


@registry.other("stream-run-logs")
async def log_stream(call: Call, platform: Platform) -> StreamReply:
    """Follow the log lines of a run, from behind `Last-Event-ID` or from the first one.

    The end of this stream is that of the run: one that ends before says that it is not over.
    """
    run = _run(call, platform)
    after = _last_event_id(call) or 0
    return StreamReply(_lines(platform, run.id, after, _log_frame, always_told=True))


async def _lines(
    platform: Platform,
    run_id: str,
    seen: int,
    show: Callable[[ledger.Line], bytes],
    *,
    always_told: bool = False,
) -> AsyncGenerator[bytes, None]:
    """Yield the lines of a run behind a place, page by page, and then as they come."""
    yield sse.begin(str(seen))
    subscription: Subscription[ledger.Line] | None = None
    over = False
    try:
        while subscription is None:
            page = ledger.lines(platform.reader, run_id, after=seen, limit=sse.PAGE)
            if len(page) < sse.PAGE:
                # In the same turn of the loop: what is committed meanwhile is published later.
                subscription = platform.hub.subscribe(run_id)
                over = is_terminal_run_status(_status(platform, run_id))
                page = _with_end(platform, run_id, page, seen) if over else page
            for line in page:
                seen = line.seq
                yield show(line)
            await asyncio.sleep(0)
        if over:
            return
        async for new in sse.live(platform.settings, subscription):
            if new is None:
                yield sse.KEEPALIVE
            elif new.seq > seen:
                seen = new.seq
                yield show(new)
                if _ends(new):
                    return
        if subscription.lagging:
            yield sse.slow(str(seen))
        elif always_told:
            yield sse.cut_off(str(seen), "the server ends this stream before its run")
    finally:
        if subscription is not None:
            platform.hub.unsubscribe(run_id, subscription)


def _with_end(
    platform: Platform, run_id: str, page: list[ledger.Line], seen: int
) -> list[ledger.Line]:
    """Return the last page of a run that is over: its end may have come after the page was read."""
    behind = page[-1].seq if page else seen
    return page + ledger.lines(platform.reader, run_id, after=behind, limit=sse.PAGE)


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
    return sse.frame(encode(body), place=str(line.seq))


def _log_frame(line: ledger.Line) -> bytes:
    if line.type != "log":
        return b""
    body = {
        "run_id": line.subject,
        "level": line.level,
        "message": line.message,
        "timestamp_unix_ms": from_timestamp(line.at) * 1_000 // SECOND,
    }
    return sse.frame(encode(body), place=str(line.seq), event="log")


# ----------------------------------------------------------------------------------------- chunks


@registry.other("get-run-chunk-stream")
async def chunk_stream(call: Call, platform: Platform) -> StreamReply:
    """Follow the pieces of output that a run streams, from now or from behind `Last-Event-ID`.

    The latest pieces are kept in memory; those that are gone, also by a restart, are passed over.
    """
    run = _run(call, platform)
    place = call.header(b"last-event-id").strip()
    epoch, _, number = place.partition(".")
    known = epoch == str(platform.epoch) and number.isascii() and number.isdigit()
    # `0` is before everything that is kept, for who comes late.
    before = 0 if place == "0" else platform.chunks.last(run.id)
    after = int(number[:18]) if known else before
    over = is_terminal_run_status(run.status)
    if over and not platform.chunks.behind(run.id, after):
        raise ApiError(410, "run already in terminal state")
    return StreamReply(_chunks(platform, run.id, after))


async def _chunks(platform: Platform, run_id: str, seen: int) -> AsyncGenerator[bytes, None]:
    place = f"{platform.epoch}.%d"
    yield sse.begin(place % seen)
    chunks = platform.chunks.hub.subscribe(run_id)
    lines = platform.hub.subscribe(run_id)
    ended = asyncio.ensure_future(_wait_for_end(platform, run_id, lines))
    ended.add_done_callback(lambda _: chunks.end())
    try:
        for chunk in platform.chunks.behind(run_id, seen):
            seen = chunk.number
            yield sse.frame(chunk.body, place=place % seen)
        async for new in sse.live(platform.settings, chunks):
            if new is None:
                yield sse.KEEPALIVE
            elif new.number > seen:
                seen = new.number
                yield sse.frame(new.body, place=place % seen)
        if chunks.lagging:
            yield sse.slow(place % seen)
    finally:
        ended.cancel()
        platform.chunks.hub.unsubscribe(run_id, chunks)
        platform.hub.unsubscribe(run_id, lines)


async def _wait_for_end(platform: Platform, run_id: str, lines: Subscription[ledger.Line]) -> None:
    while not is_terminal_run_status(_status(platform, run_id)):
        async for line in sse.live(platform.settings, lines):
            if line is not None and _ends(line):
                return
        if not lines.lagging:
            return
        # Of a run that writes that much only the end is of interest here.
        lines.lagging = False


# ------------------------------------------------------------------------------------------ waits


@registry.other("stream-event-trigger")
async def trigger_stream(call: Call, platform: Platform) -> StreamReply:
    """Follow a wait until it is over; behind `Last-Event-ID`, what that told is not told again."""
    newest = find(call, platform.reader)
    trigger_id, _, status = call.header(b"last-event-id").strip().partition(".")
    # A key may be waited for anew meanwhile: who comes back follows the wait that it knows.
    known = triggers.load(platform.reader, trigger_id) if trigger_id else None
    if known is None or (known.project_id, known.event_key) != (
        newest.project_id,
        newest.event_key,
    ):
        return StreamReply(_follow_trigger(platform, newest, ""))
    if known.status != "waiting" and known.status == status:
        raise ApiError(410, "the wait is over, and that was told")
    return StreamReply(_follow_trigger(platform, known, status))


async def _follow_trigger(
    platform: Platform, trigger: EventTrigger, told: str
) -> AsyncGenerator[bytes, None]:
    subscription = platform.trigger_hub.subscribe(trigger.id)
    try:
        trigger = triggers.load(platform.reader, trigger.id) or trigger
        if told != trigger.status:
            yield _trigger_frame(trigger, encode(trigger))
        if trigger.status != "waiting":
            return
        async for item in sse.live(platform.settings, subscription):
            if item is not None:
                yield _trigger_frame(item, encode(_change(item, platform)))
                return
            yield sse.KEEPALIVE
    finally:
        platform.trigger_hub.unsubscribe(trigger.id, subscription)


def _trigger_frame(trigger: EventTrigger, body: bytes) -> bytes:
    return sse.frame(body, place=f"{trigger.id}.{trigger.status}", event="status")


def _change(trigger: EventTrigger, platform: Platform) -> TriggerChange:
    return TriggerChange(
        id=trigger.id,
        event_key=trigger.event_key,
        status=trigger.status,
        project_id=trigger.project_id,
        source_type=trigger.source_type,
        environment_id=trigger.environment_id,
        received_at=trigger.received_at or None,
        error=trigger.error,
        timestamp=to_timestamp(platform.clock.now()),
    )


# ---------------------------------------------------------------------------------------- helpers


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


def _ends(line: ledger.Line) -> bool:
    if line.type != "state_change" or not line.data:
        return False
    return is_terminal_run_status(str(json.decode(line.data).get("to", "")))
