"""What the fuzzer has found (`make fuzz`), each once more by name."""

from __future__ import annotations

import logging

import pytest

from strait.clock import to_timestamp
from support.handlers import Gate
from support.world import PROJECT, World

pytestmark = pytest.mark.e2e


async def test_an_event_without_a_payload_may_be_sent_again(world: World) -> None:
    world.handlers.script = Gate()
    run_id, handler = await world.executing(await world.job())
    body = {"event_key": "paid", "timeout_secs": 60}
    waiting = await handler.post(f"/sdk/v1/runs/{run_id}/wait-for-event", json=body)
    assert waiting.status_code == 200, waiting.text
    first = await world.api.post("/v1/events/paid/send", json={})
    again = await world.api.post("/v1/events/paid/send", json={})
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json()["status"] == "received"


async def test_an_export_of_nothing_still_says_what_it_is(world: World) -> None:
    query = {"from": "2001-01-01T00:00:00Z", "to": "2001-01-02T00:00:00Z", "format": "ndjson"}
    answer = await world.api.get("/v1/audit-events/export", params=query)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/x-ndjson")


async def test_a_workflow_shows_how_it_catches_up(world: World) -> None:
    body = {
        "project_id": PROJECT,
        "name": "Nightly",
        "slug": "nightly",
        "cron": "0 3 * * *",
        "cron_catchup": "last",
        "steps": [{"step_ref": "a", "step_type": "sleep", "sleep_duration_secs": 1}],
    }
    made = await world.api.post("/v1/workflows", json=body)
    assert made.json()["cron_catchup"] == "last"


async def test_a_project_without_a_bound_of_lifetimes_says_so(world: World) -> None:
    path = f"/v1/projects/{PROJECT}/settings"
    assert (await world.api.get(path)).json()["max_key_lifetime_days"] is None


@pytest.mark.parametrize("days", [0, -1])
async def test_a_bound_that_no_key_can_keep_is_refused(world: World, days: int) -> None:
    path = f"/v1/projects/{PROJECT}/settings"
    answer = await world.api.put(path, json={"max_key_lifetime_days": days})
    assert answer.status_code == 422
    assert answer.json()["error"]["details"] == ["max_key_lifetime_days: failed on 'min'"]


@pytest.mark.parametrize("days", [-(2**62), -1, 10**9])
async def test_days_that_no_calendar_has_are_refused(world: World, days: int) -> None:
    answer = await world.api.post("/v1/events/purge", json={"older_than_days": days})
    assert answer.status_code == 400


@pytest.mark.parametrize("field", ["cost_microusd", "prompt_tokens", "total_tokens"])
async def test_a_cost_that_no_sum_can_hold_is_refused(world: World, field: str) -> None:
    world.handlers.script = Gate()
    run_id, handler = await world.executing(await world.job())
    usage = {"provider": "p", "model": "m", "cost_microusd": 10**12}
    path = f"/sdk/v1/runs/{run_id}/usage"
    refused = await handler.post(path, json={**usage, field: 2**63 - 1})
    assert refused.status_code == 422
    assert refused.json()["error"]["details"] == [f"{field}: failed on 'max'"]
    assert (await handler.post(path, json=usage)).status_code == 201
    spent = await world.api.get("/v1/project-budget", params={"project_id": PROJECT})
    assert spent.json()["current_spend_microusd"] == 10**12


def test_an_instant_of_the_far_future_is_the_last_that_can_be_written() -> None:
    assert to_timestamp(2**62 * 1_000_000) == "9999-12-31T23:59:59.000000Z"


async def test_a_batch_that_is_no_batch_is_refused_in_the_usual_words(world: World) -> None:
    answer = await world.api.post("/v1/jobs/batch", json={"jobs": "x"})
    assert answer.status_code == 400
    assert "`jobs` must be array" in answer.json()["error"]["message"]


async def test_a_schedule_that_is_refused_is_told_without_a_traceback(
    virtual: World, caplog: pytest.LogCaptureFixture
) -> None:
    body = {"project_id": PROJECT, "name": "Empty", "slug": "empty", "cron": "* * * * *"}
    made = await virtual.api.post("/v1/workflows", json=body)
    assert made.status_code == 201, made.text
    with caplog.at_level(logging.WARNING, "strait.server"):
        await virtual.pass_time(61)
    (record,) = [r for r in caplog.records if made.json()["id"] in r.getMessage()]
    assert "at least one step" in record.getMessage()
    assert record.exc_info is None
