"""Recorded steps: shown, told in the run's history, and undone by a companion run."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from strait.reserved import step_key
from support.handlers import Answer, Gate, Received, ok
from support.world import World

AT = "2026-01-02T03:04:05.000000Z"
LATER = "2026-01-02T03:04:05.250000Z"


def record(name: str, occurrence: int = 0, **more: Any) -> dict[str, Any]:
    value = {
        "name": name, "occurrence": occurrence, "fingerprint": "f", "status": "completed",
        "started_at": AT, "finished_at": LATER, "attempts": 1, "at": "shop.py:7",
        "idempotency_key": f"key-{name}", "output": {"of": name}, "input": {"args": [1]},
        **more,
    }  # fmt: skip
    return {"key": step_key(name, occurrence), "value": value}


async def keep(handler: httpx.AsyncClient, run_id: str, *records: dict[str, Any]) -> None:
    for body in records:
        answer = await handler.post(f"/sdk/v1/runs/{run_id}/state", json=body)
        assert answer.status_code == 201, answer.text


async def begun(world: World, gate: Gate, **job: Any) -> tuple[str, httpx.AsyncClient]:
    """Start a run whose handler is at work."""
    world.handlers.script = gate
    made = await world.job(**job)
    run_id = await world.trigger(made)
    (call,) = await world.handlers.wait(1, run_id)
    return run_id, world.handler(call.token)


async def steps_of(world: World, run_id: str, **query: Any) -> dict[str, Any]:
    answer = await world.api.get(f"/v1/runs/{run_id}/steps", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_steps_are_listed_in_the_order_in_which_they_were_recorded(world: World) -> None:
    run_id, handler = await begun(world, Gate(ok(1)))
    names = [f"step-{number}" for number in range(5)]
    await keep(handler, run_id, *(record(name) for name in names))
    first = await steps_of(world, run_id, limit=3)
    rest = await steps_of(world, run_id, limit=3, cursor=first["next_cursor"])
    assert [row["name"] for row in first["data"] + rest["data"]] == names
    assert not rest["has_more"]
    assert first["data"][0] == {
        "name": "step-0", "occurrence": 0, "status": "completed", "attempts": 1, "undo": False,
        "undone": False, "duration_ms": 250, "at": "shop.py:7", "idempotency_key": "key-step-0",
        "started_at": AT, "finished_at": LATER, "output": {"of": "step-0"}, "input": {"args": [1]},
    }  # fmt: skip


async def test_a_step_is_told_in_the_history_without_its_result(world: World) -> None:
    run_id, handler = await begun(world, Gate(ok(1)))
    await keep(handler, run_id, record("charge", output={"card": "4242"}))
    events = (await world.api.get(f"/v1/runs/{run_id}/events?limit=100")).json()["data"]
    (told,) = [event for event in events if event["type"] == "step"]
    assert told["data"] == {
        "name": "charge", "occurrence": 0, "status": "completed", "duration_ms": 250,
        "attempts": 1, "at": "shop.py:7",
    }  # fmt: skip
    assert "4242" not in str(events)


async def test_what_is_to_be_hidden_is_hidden_from_everybody(world: World) -> None:
    run_id, handler = await begun(world, Gate(ok(1)))
    output = {"card": {"number": "4242", "brand": "visa"}, "lines": [{"pin": 1}, {"pin": 2}]}
    await keep(
        handler, run_id, record("charge", output=output, redact=["card.number", "lines.pin"])
    )
    (row,) = (await steps_of(world, run_id))["data"]
    assert row["output"] == {
        "card": {"number": "[redacted]", "brand": "visa"},
        "lines": [{"pin": "[redacted]"}, {"pin": "[redacted]"}],
    }
    await handler.post(f"/sdk/v1/runs/{run_id}/state", json={"key": "mine", "value": 1})
    shown = (await world.api.get(f"/v1/runs/{run_id}/state")).json()
    assert [row["state_key"] for row in shown] == ["mine"]
    kept = (await world.api.get(f"/v1/runs/{run_id}/state?kept=true")).json()
    assert [row["state_key"] for row in kept] == ["mine", step_key("charge", 0)]
    assert kept[1]["value"]["fingerprint"]
    assert kept[1]["value"]["output"] == row["output"]
    bundle = await world.api.get(f"/v1/runs/{run_id}/debug-bundle")
    assert "4242" not in bundle.text


async def test_only_the_keys_of_hosts_may_be_written_of_those_that_are_reserved(
    world: World,
) -> None:
    run_id, handler = await begun(world, Gate(ok(1)))
    for key in ("strait.suspended", "strait.event.0.x", "strait.other"):
        body = {"key": key, "value": 1}
        answer = await handler.post(f"/sdk/v1/runs/{run_id}/state", json=body)
        assert answer.status_code == 400
    # A value that is no record is a key like any other, and no step.
    await keep(handler, run_id, {"key": step_key("odd", 0), "value": [1]})
    assert (await steps_of(world, run_id))["data"] == []


async def companions(world: World, run_id: str) -> list[dict[str, Any]]:
    rows = (await world.api.get(f"/v1/runs/{run_id}/children")).json()["data"]
    return [row for row in rows if row["triggered_by"] == "undo"]


async def test_a_run_that_fails_for_good_is_undone_by_a_companion(world: World) -> None:
    gate = Gate(Answer(500))
    run_id, handler = await begun(world, gate, max_attempts=1)
    await keep(handler, run_id, record("reserve", undo=True), record("look"))
    world.handlers.script = lambda call: ok({"undone": ["reserve"]})
    gate.open()
    await world.until(run_id, "dead_letter")
    (companion,) = await companions(world, run_id)
    call: Received = (await world.handlers.wait(1, companion["id"]))[0]
    assert call.headers["x-strait-undo-of"] == run_id
    assert call.headers["x-strait-undo"] == "server"
    assert call.json == (await world.run(run_id)).get("payload", {})
    await world.until(companion["id"], "completed")
    assert len(await companions(world, run_id)) == 1
    # It has what the run had on record, and what it undoes is seen at the run.
    rows = (await steps_of(world, companion["id"]))["data"]
    assert [row["name"] for row in rows] == ["reserve", "look"]


@pytest.mark.parametrize("ends", ["completed", "no undo", "undone already"])
async def test_nothing_is_undone_that_need_not_be(world: World, ends: str) -> None:
    gate = Gate(ok(1) if ends == "completed" else Answer(500))
    run_id, handler = await begun(world, gate, max_attempts=1)
    await keep(handler, run_id, record("reserve", undo=ends != "no undo"))
    if ends == "undone already":
        await keep(handler, run_id, record("undo:reserve"))
    gate.open()
    await world.until(run_id, "completed" if ends == "completed" else "dead_letter")
    assert await companions(world, run_id) == []


async def test_a_companion_that_fails_has_no_companion(world: World) -> None:
    gate = Gate(Answer(500))
    run_id, handler = await begun(world, gate, max_attempts=1)
    await keep(handler, run_id, record("reserve", undo=True))
    world.handlers.script = lambda call: Answer(500)
    gate.open()
    await world.until(run_id, "dead_letter")
    (companion,) = await companions(world, run_id)
    await world.until(companion["id"], "dead_letter")
    assert await companions(world, companion["id"]) == []


async def test_a_canceled_run_is_undone_and_its_companion_is_not_canceled(world: World) -> None:
    run_id, handler = await begun(world, Gate(ok(1)))
    await keep(handler, run_id, record("reserve", undo=True))
    world.handlers.script = lambda call: ok({"undone": ["reserve"]})
    assert (await world.api.delete(f"/v1/runs/{run_id}")).is_success
    (companion,) = await companions(world, run_id)
    await world.until(companion["id"], "completed")
