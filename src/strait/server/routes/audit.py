"""The audit log of a project: listed, shown and verified (`contract` §5.17)."""

from __future__ import annotations

import sqlite3
from typing import Any

from strait.clock import SECOND, Timestamp, from_timestamp
from strait.engine import audit_chain
from strait.engine.audit_chain import Signed, Verdict
from strait.server import checks
from strait.server.errors import ApiError, not_found
from strait.server.http import Call, Reply, page, reply
from strait.server.platform import Platform
from strait.server.registry import Registry
from strait.server.work import audit as log
from strait.store import audit

registry = Registry()

_MAX_SPAN = 90 * 24 * 3600 * SECOND


@registry.read("list-audit-events")
def list_all(call: Call, db: sqlite3.Connection) -> Reply:
    """List who did what in the project."""
    query = call.query
    since, until = span(query)
    limit = query["limit"]
    oldest_first = query["order"] == "asc"
    rows = audit.select(
        db,
        call.project_id,
        matching(query, "actor_id", "resource_type", "resource_id"),
        since=since,
        until=until,
        beyond=checks.canonical_instant(str(query["cursor"])) if query.get("cursor") else "",
        oldest_first=oldest_first,
        limit=limit + 1,
    )
    events = [audit_chain.shown(call.project_id, at, signed) for at, signed in rows]
    return page(events, limit, lambda event: str(event["created_at"]))


@registry.read("get-audit-event")
def get(call: Call, db: sqlite3.Connection) -> Reply:
    """Show one event."""
    found = audit.get(db, call.project_id, call.params["id"])
    if found is None:
        raise not_found("audit event")
    return reply(audit_chain.shown(call.project_id, *found))


# --------------------------------------------------------------------------------------- verifying


@registry.other("verify-audit-chain")
async def verify(call: Call, platform: Platform) -> Reply:
    """Check that no event was changed, taken out or cut off since it was written.

    With `incremental` only what came after the last verification is looked at.
    """
    project_id = call.project_id
    incremental = bool(call.query.get("incremental"))
    verdict, reached = await platform.analyst.ask(
        lambda db: _verify(db, platform, project_id, behind=incremental)
    )
    if not verdict.error and reached is not None:
        await platform.write(lambda unit: log.verified(unit, project_id, reached))
    body: dict[str, object] = {
        "project_id": project_id,
        "valid": not verdict.error,
        "events_checked": verdict.checked,
    }
    if verdict.first is not None:
        body["first_event_id"] = verdict.first.id
        body["chain_start"] = verdict.first.created_at
    if verdict.last is not None:
        body["last_event_id"] = verdict.last.id
    if verdict.broken_id:
        body["broken_at_id"] = verdict.broken_id
    if verdict.error:
        body["error"] = verdict.error
    if incremental:
        body["incremental"] = True
    return reply(body)


def _verify(
    db: sqlite3.Connection, platform: Platform, project_id: str, *, behind: bool
) -> tuple[Verdict, Signed | None]:
    # Keys of its own: those of the platform belong to the thread of the loop.
    keys = log.SigningKeys(platform.vault)
    seal, problem = log.read_seal(db, keys, project_id)
    if problem or seal is None:
        return Verdict(0, None, None, "", problem), None
    after = seal.verified_seq if behind else seal.first_seq - 1
    verdict = audit_chain.check(
        seal,
        audit.chain(db, project_id, after=after if behind else 0),
        lambda epoch: keys.find(db, project_id, epoch),
        behind=behind,
    )
    return verdict, audit.at(db, project_id, seal.last_seq)


# --------------------------------------------------------------------------------------- queries


def matching(query: dict[str, Any], *names: str) -> dict[str, str]:
    """Return which of some columns must have which values, by a query."""
    return {name: str(query[name]) for name in names if query.get(name)}


def span(query: dict[str, Any]) -> tuple[Timestamp, Timestamp]:
    """Return the first and the last instant that a query asks for.

    Raises:
        ApiError: 400, they are in the wrong order or too far apart.
    """
    since = checks.canonical_instant(str(query["from"])) if query.get("from") else ""
    until = checks.canonical_instant(str(query["to"])) if query.get("to") else ""
    if since and until:
        length = from_timestamp(until) - from_timestamp(since)
        if length < 0:
            raise ApiError(400, "from must be before to")
        if length > _MAX_SPAN:
            raise ApiError(400, "the time between from and to must be 90 days or less")
    return since, until or checks.END_OF_TIME
