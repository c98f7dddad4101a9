"""What goes on in a project, as it happens: its audit events and how its runs move on.

Both are read from the database behind a place, which is a number of the audit chain and one of the
ledger. Who listens is only told that there is something new, so that nothing is kept for them.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from itertools import islice
from typing import NamedTuple

from msgspec import json

from strait.server import sse
from strait.server.errors import not_found
from strait.server.http import Call, StreamReply, encode
from strait.server.hub import Subscription
from strait.server.platform import Platform
from strait.server.registry import Registry
from strait.store import audit, ledger

registry = Registry()


class Place(NamedTuple):
    """Up to where somebody has been told: a number of the audit chain, and one of the ledger."""

    event: int
    line: int

    def __str__(self) -> str:
        return f"{self.event}.{self.line}"


@registry.other("stream-project-activity")
async def activity_stream(call: Call, platform: Platform) -> StreamReply:
    """Follow what is done in a project, also behind `Last-Event-ID`.

    A frame is an audit event, or `run.updated` and `workflow_run.updated` for a change of status.
    """
    if call.params["projectID"] != call.project_id:
        raise not_found("project")
    place = _place(call.header(b"last-event-id").strip(), platform.reader, call.project_id)
    return StreamReply(_activity(platform, call.project_id, place))


async def _activity(
    platform: Platform, project_id: str, place: Place
) -> AsyncGenerator[bytes, None]:
    yield sse.begin(str(place))
    news: Subscription[str] | None = None
    try:
        while news is None:
            frames, place, more = _page(platform.reader, project_id, place)
            if not more:
                # In the same turn of the loop, so that nothing can come in between.
                news = platform.activity_hub.subscribe(project_id)
            for frame in frames:
                yield frame
            await asyncio.sleep(0)
        async for item in sse.live(platform.settings, news):
            if item is None:
                yield sse.KEEPALIVE
                continue
            more = True
            while more:
                news.skip()
                frames, place, more = _page(platform.reader, project_id, place)
                for frame in frames:
                    yield frame
                await asyncio.sleep(0)
        if news.lagging:
            yield sse.slow(str(place))
    finally:
        if news is not None:
            platform.activity_hub.unsubscribe(project_id, news)


def _page(db: sqlite3.Connection, project_id: str, place: Place) -> tuple[list[bytes], Place, bool]:
    """Return the next frames behind a place, the place behind them, and whether there are more."""
    frames = []
    events = list(islice(audit.chain(db, project_id, after=place.event), sse.PAGE))
    for signed in events:
        place = place._replace(event=signed.seq)
        frames.append(sse.frame(signed.doc, place=str(place), event="activity"))
    changes = ledger.changes(db, project_id, after=place.line, limit=sse.PAGE)
    for change in changes.rows:
        place = place._replace(line=change.place)
        frames.append(sse.frame(_moved(change), place=str(place), event="activity"))
    more = len(events) == sse.PAGE or not changes.last
    return frames, place._replace(line=changes.reached), more


def _moved(change: ledger.Change) -> bytes:
    line = change.line
    facts = json.decode(line.data) if line.data else {}
    body = {
        "type": "workflow_run.updated" if change.workflow_id else "run.updated",
        "project_id": line.project_id,
        "workflow_run_id" if change.workflow_id else "run_id": line.subject,
        "workflow_id" if change.workflow_id else "job_id": change.workflow_id or change.job_id,
        "from": facts.get("from", ""),
        "to": facts.get("to", ""),
        "timestamp": line.at,
    }
    if "error" in facts:
        body["error"] = facts["error"]
    return encode(body)


def _place(text: str, db: sqlite3.Connection, project_id: str) -> Place:
    newest = Place(audit.last_seq(db, project_id), ledger.end(db))
    if not text:
        return newest
    event, dot, line = text.partition(".")
    if event and not dot:
        # An id as older servers gave it, when there were audit events alone.
        return newest._replace(event=_number(event, newest.event))
    return Place(_number(event, newest.event), _number(line, newest.line))


def _number(text: str, newest: int) -> int:
    """Return a number of ours.

    Who brings one that is none cannot tell where it was, and is told everything. That is also one
    that is still to come: a server that keeps nothing begins anew with each start.
    """
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0
    return number if number <= newest else 0
