"""Downloads of the audit log (`contract/workflows.md` §5.17).

The signature of a download stands in a header, before the first event. So the events are read
twice, a page at a time, and never held all together: once to sign them, once to send them. What is
recorded meanwhile is in neither; a download whose events have gone meanwhile is cut off.
"""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from msgspec import Struct

from strait.clock import Timestamp
from strait.engine import audit_chain
from strait.server import downloads
from strait.server.errors import ApiError
from strait.server.http import Call, StreamReply, encode
from strait.server.platform import Platform
from strait.server.registry import Registry
from strait.server.routes.audit import matching, span
from strait.server.work import audit as log
from strait.store import audit

registry = Registry()

_PAGE = 500
_CSV_FIELDS = (
    "id", "created_at", "actor_id", "actor_type", "action", "resource_type", "resource_id",
    "details", "remote_ip", "user_agent", "request_id", "signature", "previous_hash",
)  # fmt: skip


class _Wanted(Struct, frozen=True, kw_only=True):
    """Which events of a project a download has: those that there were when it began."""

    project_id: str
    matching: dict[str, str]
    since: Timestamp
    until: Timestamp
    up_to: int


@registry.other("export-audit-events")
async def export(call: Call, platform: Platform) -> StreamReply:
    """Give out the events of a span of time, oldest first, signed as a whole.

    `X-Audit-Signature` is `sha256=` and the HMAC of the body with the present key of the chain.
    """
    since, until = span(call.query)
    project_id, form = call.project_id, str(call.query["format"])
    cap, up_to, key = await platform.analyst.ask(partial(_begin, platform, project_id))
    wanted = _Wanted(
        project_id=project_id,
        matching=matching(call.query, "actor_id", "resource_type"),
        since=since,
        until=until,
        up_to=up_to,
    )
    signature = await _signature(platform, wanted, form, key, cap)
    body = _checked(_body(platform, wanted, form), key, signature)
    headers = ((b"x-audit-signature", signature.encode()),) if key else ()
    return downloads.attachment(body, form, "audit-events", headers)


def _begin(platform: Platform, project_id: str, db: sqlite3.Connection) -> tuple[int, int, bytes]:
    """Return how many events a download may have, the newest event, and the key to sign with."""
    # Keys of its own: those of the platform belong to the thread of the loop.
    keys = log.SigningKeys(platform.vault)
    seal, _ = log.read_seal(db, keys, project_id)
    key = b"" if seal is None else keys.find(db, project_id, seal.epoch)
    return log.export_cap(db, project_id), audit.last_seq(db, project_id), key


async def _signature(platform: Platform, wanted: _Wanted, form: str, key: bytes, cap: int) -> str:
    count = 0

    async def counted() -> downloads.Pages:
        nonlocal count
        async for documents in _pages(platform, wanted):
            count += len(documents)
            if count > cap:
                raise ApiError(
                    400, f"more than {cap} audit events: ask for less time between from and to"
                )
            yield documents

    signing = audit_chain.export_signing(key)
    async for frame in downloads.frames(counted(), form, _CSV_FIELDS):
        signing.update(frame)
    return audit_chain.export_signature(signing)


async def _checked(
    body: AsyncGenerator[bytes, None], key: bytes, signature: str
) -> AsyncGenerator[bytes, None]:
    """Pass a body on, and fail before its end if it is not what was signed."""
    signing = audit_chain.export_signing(key)
    async with aclosing(body):
        async for frame in body:
            signing.update(frame)
            yield frame
    if not hmac.compare_digest(audit_chain.export_signature(signing), signature):
        raise ApiError(409, "audit events were dropped while they were downloaded")


def _body(platform: Platform, wanted: _Wanted, form: str) -> AsyncGenerator[bytes, None]:
    return downloads.frames(_pages(platform, wanted), form, _CSV_FIELDS)


async def _pages(platform: Platform, wanted: _Wanted) -> downloads.Pages:
    behind = ("", 0)
    while True:
        page, behind = await platform.analyst.ask(partial(_page, wanted, behind))
        if page:
            yield page
        if len(page) < _PAGE:
            return


def _page(
    wanted: _Wanted, behind: tuple[Timestamp, int], db: sqlite3.Connection
) -> tuple[list[bytes], tuple[Timestamp, int]]:
    page = []
    rows = audit.page(
        db,
        wanted.project_id,
        wanted.matching,
        since=wanted.since,
        until=wanted.until,
        up_to=wanted.up_to,
        behind=behind,
        limit=_PAGE,
    )
    for at, signed in rows:
        behind = (at, signed.seq)
        page.append(encode(audit_chain.shown(wanted.project_id, at, signed)))
    return page, behind
