"""Workflows that start by themselves (`contract/workflows.md` §3.19)."""

from __future__ import annotations

from typing import Any

import pytest

from support.workflows import Flows, approval, sleep


async def runs_of(flows: Flows, workflow: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await flows.api.get(f"/v1/workflows/{workflow['id']}/runs")
    return list(answer.json()["data"])


async def test_a_schedule_starts_a_workflow_at_every_tick(still: Flows) -> None:
    made = await still.create(sleep("a", 1), cron="*/5 * * * *", tags={"team": "a"})
    await still.world.pass_time(15 * 60 + 30)
    runs = await runs_of(still, made)
    assert len(runs) == 3
    assert {run["triggered_by"] for run in runs} == {"cron"}
    assert all("payload" not in run for run in runs)
    fired = [
        run["tags"]["cron_fire_key"].removeprefix(f"cron:workflow:{made['id']}:") for run in runs
    ]
    assert fired == sorted(set(fired), reverse=True)
    assert {instant[-5:] for instant in fired} <= {f"{minute:02}:00" for minute in range(0, 60, 5)}
    assert {run["tags"]["team"] for run in runs} == {"a"}


@pytest.mark.parametrize(("skip", "count"), [(True, 1), (False, 3)])
async def test_a_schedule_skips_a_tick_while_a_run_is_under_way_if_asked(
    still: Flows, skip: bool, count: int
) -> None:
    made = await still.create(approval("a"), cron="@every 5m", skip_if_running=skip)
    await still.world.pass_time(15 * 60 + 30)
    runs = await runs_of(still, made)
    assert len(runs) == count
    await still.did(runs[-1]["id"], "steps/a/approve")
    await still.world.pass_time(5 * 60)
    assert len(await runs_of(still, made)) == count + 1


async def test_a_schedule_that_meets_a_full_workflow_passes_over_its_tick(
    still: Flows, caplog: pytest.LogCaptureFixture
) -> None:
    made = await still.create(approval("a"), cron="* * * * *", max_concurrent_runs=1)
    await still.world.pass_time(150)
    (run,) = await runs_of(still, made)
    assert "max concurrent runs (1) reached" in caplog.text
    await still.did(run["id"], "steps/a/approve")
    await still.world.pass_time(60)
    assert len(await runs_of(still, made)) == 2


async def test_a_schedule_ends_with_its_workflow(still: Flows) -> None:
    made = await still.create(sleep("a", 1), cron="* * * * *")
    path = f"/v1/workflows/{made['id']}"
    await still.api.patch(path, json={"enabled": False})
    await still.world.pass_time(120)
    assert await runs_of(still, made) == []
    await still.api.patch(path, json={"enabled": True})
    await still.world.pass_time(65)
    assert len(await runs_of(still, made)) == 1
    assert (await still.api.delete(path)).status_code == 204
    await still.world.pass_time(120)
    assert await still.get("") == {"data": [], "has_more": False}
