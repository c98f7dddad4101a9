"""What is kept for a time only goes when its time is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strait.clock import VirtualClock
from support.world import world as running

if TYPE_CHECKING:
    from pathlib import Path

    from support.handlers import Handlers
    from support.world import World

_HOUR = 3600


async def test_answers_to_repeated_requests_are_kept_for_a_day_and_then_dropped(
    virtual: World,
) -> None:
    def kept() -> int:
        (count,) = virtual.platform.reader.execute("SELECT count(*) FROM idempotency").fetchone()
        return int(count)

    body = {
        "project_id": "proj-1",
        "name": "Once",
        "slug": "once",
        "endpoint_url": virtual.handlers.url,
    }
    headers = {"Idempotency-Key": "make-it-once"}
    first = await virtual.api.post("/v1/jobs", json=body, headers=headers)
    assert first.status_code == 201
    assert kept() == 1

    await virtual.pass_time(23 * _HOUR)
    again = await virtual.api.post("/v1/jobs", json=body, headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()

    await virtual.pass_time(3 * _HOUR)
    assert kept() == 0
    assert (await virtual.api.post("/v1/jobs", json=body, headers=headers)).status_code == 409


async def test_a_server_that_never_lives_for_an_hour_cleans_up_too(
    handlers: Handlers, tmp_path: Path
) -> None:
    database, clock = tmp_path / "strait.db", VirtualClock()
    headers = {"Idempotency-Key": "make-it-once"}
    async with running(handlers, database, clock=clock) as world:
        body = {"project_id": "proj-1", "name": "Group", "slug": "group"}
        assert (await world.api.post("/v1/job-groups", json=body, headers=headers)).is_success
    clock.advance(25 * _HOUR)
    async with running(handlers, database, clock=clock) as world:
        await world.pass_time(120)
        left = world.platform.reader.execute("SELECT count(*) FROM idempotency").fetchone()
    assert left == (0,)
