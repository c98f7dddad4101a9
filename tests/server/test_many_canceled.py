"""Canceling very many runs at once: in parts, and with a crash between any two of them."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from strait.server.outside import Outside
from strait.server.unit import Unit
from strait.server.work.descendants import AT_ONCE
from support.handlers import Gate, Handlers
from support.images import Images
from support.world import PATIENCE_SECS, World
from support.world import world as a_world

pytestmark = pytest.mark.e2e

MANY = 2 * AT_ONCE + 50


class Watched(NamedTuple):
    """A world with a run that executes and one job, and what a crash would leave of it."""

    world: World
    images: Images


@pytest.fixture
async def watched(handlers: Handlers, tmp_path: Path) -> AsyncIterator[Watched]:
    images = Images(tmp_path / "strait.db")
    handlers.script = Gate()
    async with a_world(handlers, tmp_path / "strait.db", outside=Outside(probe=images)) as world:
        yield Watched(world, images)


async def _queued(world: World, count: int) -> tuple[str, list[str]]:
    """Have a job many runs, of which one executes; return the job and the runs."""
    job = await world.job(max_concurrency=1)
    path = f"/v1/jobs/{job['id']}/trigger/bulk"
    ids: list[str] = []
    for start in range(0, count, 250):
        items = [{}] * min(250, count - start)
        answer = await world.api.post(path, json={"items": items})
        assert answer.status_code == 201, answer.text
        ids += [made["id"] for made in answer.json()["results"]]
    await world.handlers.wait(1)
    return job["id"], ids


def _count(database: Path, query: str) -> int:
    db = sqlite3.connect(database)
    try:
        (count,) = db.execute(query).fetchone()
        return int(count)
    finally:
        db.close()


_CANCELED = "SELECT count(*) FROM runs WHERE status = 'canceled'"
_EVENTS = "SELECT count(*) FROM audit_events WHERE doc ->> 'action' = 'run.bulk_cancelled'"


async def test_there_is_no_canceled_run_without_its_event_at_any_commit_point(
    watched: Watched,
) -> None:
    world, images = watched
    job_id, ids = await _queued(world, MANY)
    images.watch()
    answer = await world.api.post("/v1/runs/bulk-cancel-all", json={"job_id": job_id})
    images.stop()
    assert answer.json()["canceled"] == len(ids) == MANY
    left = [(_count(image, _CANCELED), _count(image, _EVENTS)) for image in images.taken]
    assert {canceled for canceled, _ in left} >= {0, AT_ONCE, 2 * AT_ONCE, MANY}
    assert all(events == (1 if canceled else 0) for canceled, events in left), left
    listed = (await world.api.get("/v1/audit-events")).json()["data"]
    assert [event["action"] for event in listed].count("run.bulk_cancelled") == 1
    assert (await world.api.get("/v1/audit-events/verify")).json()["valid"]


async def test_a_cancel_of_nothing_is_recorded_too(world: World) -> None:
    answer = await world.api.post("/v1/runs/bulk-cancel-all", json={"job_id": "none"})
    assert answer.json()["canceled"] == 0
    listed = (await world.api.get("/v1/audit-events")).json()["data"]
    assert [event["action"] for event in listed] == ["run.bulk_cancelled"]


# ------------------------------------------------------------------------------------ descendants


async def _family(world: World) -> tuple[str, list[str], list[str]]:
    """Have a run very many children, one of which executes and another has children itself."""
    parent, _ = await world.executing(await world.job())
    _, children = await _queued(world, MANY)
    _, grandchildren = await _queued(world, 3)

    def adopt(unit: Unit) -> None:
        for above, below in ((parent, children), (children[-1], grandchildren)):
            unit.db.executemany(
                "UPDATE runs SET parent_run_id = ?1, "
                "doc = json_set(doc, '$.parent_run_id', ?1) WHERE id = ?2",
                [(above, each) for each in below],
            )

    await world.platform.write(adopt)
    return parent, children, grandchildren


async def _until_over(world: World) -> None:
    async with asyncio.timeout(PATIENCE_SECS):
        while world.platform.reader.execute(
            "SELECT 1 FROM runs WHERE status != 'canceled' LIMIT 1"
        ).fetchone():
            await world.settled()
            await asyncio.sleep(0.01)


async def test_very_many_children_are_canceled_in_parts(watched: Watched) -> None:
    world, images = watched
    parent, children, grandchildren = await _family(world)
    started = {call.run_id for call in world.handlers.received}
    images.watch()
    assert (await world.api.delete(f"/v1/runs/{parent}")).is_success
    await _until_over(world)
    await world.settled()
    images.stop()
    counts = [_count(image, _CANCELED) for image in images.taken]
    steps = [after - before for before, after in itertools.pairwise(counts)]
    # The run itself, or one that something else canceled, beside those that follow from it.
    assert max(steps) <= AT_ONCE + 1
    assert counts[-1] == 1 + MANY + len(grandchildren)
    assert _count(images.taken[-1], "SELECT count(*) FROM records WHERE kind LIKE 'canceled%'") == 0
    # None of the children that waited has started in the place of one that was canceled.
    assert {call.run_id for call in world.handlers.received} == started
    run = await world.run(children[-1])
    assert (run["status"], run["error"]) == ("canceled", "parent run canceled")


async def test_a_server_that_starts_goes_on_with_the_children(
    watched: Watched, handlers: Handlers
) -> None:
    world, images = watched
    await _family(world)
    images.watch()
    (parent,) = [
        row[0]
        for row in world.platform.reader.execute(
            "SELECT DISTINCT parent_run_id FROM runs WHERE parent_run_id IN "
            "(SELECT id FROM runs WHERE parent_run_id IS NULL)"
        )
    ]
    assert (await world.api.delete(f"/v1/runs/{parent}")).is_success
    await _until_over(world)
    images.stop()
    middle = next(image for image in images.taken if AT_ONCE < _count(image, _CANCELED) < MANY)
    async with a_world(handlers, middle) as again:
        await _until_over(again)
        await again.settled()
        assert not again.platform.reader.execute(
            "SELECT 1 FROM records WHERE kind = 'canceled_parent'"
        ).fetchone()
