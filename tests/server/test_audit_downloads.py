"""Downloads of the audit log: whole, of one moment, and never in memory all at once (§5.17)."""

from __future__ import annotations

import csv
import hmac
import io
import json
import logging
import sqlite3
import tracemalloc
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

import httpx
import pytest
from msgspec import Raw

from strait.engine.audit_chain import AuditEvent
from strait.server.unit import Unit
from strait.server.work import audit as log
from strait.store import audit
from support.world import PROJECT, World

PATH = "/v1/audit-events/export"
# Around the instant at which the clock of a world stands.
SPAN = {"from": "2026-01-01T00:00:00Z", "to": "2026-03-01T00:00:00Z"}
READERS: dict[str, Callable[[str], list[dict[str, Any]]]] = {
    "json": json.loads,
    "ndjson": lambda text: [json.loads(line) for line in text.splitlines()],
    "csv": lambda text: list(csv.DictReader(io.StringIO(text))),
}


async def recorded(world: World, count: int) -> None:
    """Sign events into the chain that have the numbers from 0 on as what they are about."""

    def record(unit: Unit) -> None:
        for number in range(count):
            event = AuditEvent(
                id="", project_id="", actor_id="apikey:x", actor_type="api_key",
                action="job.updated", resource_type="job", resource_id=str(number), created_at="",
                details=Raw(b'{"fields":["%s"]}' % (b"x" * 300)),
            )  # fmt: skip
            log.append(unit, PROJECT, event)

    await world.platform.write(record)


async def dropped(world: World) -> None:
    """Drop the oldest event that is there, as the retention does."""

    def drop(unit: Unit) -> None:
        (oldest,) = unit.db.execute("SELECT min(seq) FROM audit_events").fetchone()
        audit.drop_up_to(unit.db, PROJECT, oldest)

    await world.platform.write(drop)


def meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch, do: Callable[[World], Awaitable[None]]
) -> list[object]:
    """Have something happen behind each look into the database, and return what was seen."""
    ask, seen = world.platform.analyst.ask, []

    async def asked(question: Callable[[sqlite3.Connection], Any]) -> Any:
        seen.append(await ask(question))
        await do(world)
        return seen[-1]

    monkeypatch.setattr(world.platform.analyst, "ask", asked)
    return seen


def signature(world: World, body: bytes) -> str:
    key = world.platform.audit_keys.find(world.platform.reader, PROJECT, 1)
    return "sha256=" + hmac.new(key, b"export\n" + body, sha256).hexdigest()


@pytest.mark.parametrize("form", READERS)
async def test_a_download_has_what_there_was_when_it_began(
    virtual: World, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    await recorded(virtual, 1_203)
    seen = meanwhile(virtual, monkeypatch, lambda world: recorded(world, 1))
    answer = await virtual.api.get(PATH, params={"format": form, **SPAN})
    rows = READERS[form](answer.text)
    assert [row["resource_id"] for row in rows] == [str(number) for number in range(1_203)]
    assert answer.headers["x-audit-signature"] == signature(virtual, answer.content)
    assert len(seen) == 7  # where it begins, three pages to sign, three pages to send


async def test_a_download_of_exactly_one_page_is_whole(virtual: World) -> None:
    await recorded(virtual, 500)
    answer = await virtual.api.get(PATH, params=SPAN)
    assert len(answer.json()) == 500
    assert answer.headers["x-audit-signature"] == signature(virtual, answer.content)


@pytest.mark.parametrize("form", READERS)
async def test_a_download_of_nothing_is_an_empty_one(virtual: World, form: str) -> None:
    answer = await virtual.api.get(PATH, params={"format": form, **SPAN})
    assert (answer.status_code, READERS[form](answer.text)) == (200, [])
    await recorded(virtual, 1)
    past = {"from": "2025-01-01T00:00:00Z", "to": "2025-02-01T00:00:00Z"}
    answer = await virtual.api.get(PATH, params={"format": form, **past})
    assert READERS[form](answer.text) == []
    assert answer.headers["x-audit-signature"] == signature(virtual, answer.content)


async def test_a_download_is_cut_off_whose_events_go_meanwhile(
    virtual: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await recorded(virtual, 20)
    meanwhile(virtual, monkeypatch, dropped)
    with caplog.at_level(logging.WARNING), pytest.raises(httpx.RemoteProtocolError):
        await virtual.api.get(PATH, params=SPAN)
    assert "audit events were dropped while they were downloaded" in caplog.text
    assert "Traceback" not in caplog.text
    monkeypatch.undo()
    # Who asks again gets what is there now.
    left = (await virtual.api.get(PATH, params=SPAN)).json()
    assert 0 < len(left) < 20


async def test_a_download_is_never_in_memory_all_at_once(virtual: World) -> None:
    await recorded(virtual, 9_000)
    headers = {"Authorization": f"Bearer {virtual.key}"}
    size = 0
    async with httpx.AsyncClient(base_url=virtual.server.base_url, headers=headers) as client:
        await client.get("/health")
        tracemalloc.start()
        try:
            params = {"format": "csv", **SPAN}
            async with client.stream("GET", PATH, params=params) as answer:
                async for chunk in answer.aiter_raw():
                    size += len(chunk)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert size > 4_000_000
    assert peak < size / 2
