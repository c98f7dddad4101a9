"""Dead letters for administrators: masked, run again, deleted (`contract/runs.md` §6.7)."""

from __future__ import annotations

from typing import Any

from support.handlers import Answer, ok
from support.workflows import told
from support.world import World

PATH = "/v1/admin/dlq"


async def dead(world: World, payload: object) -> dict[str, Any]:
    world.handlers.script = lambda call: Answer(500)
    job = await world.job(max_attempts=1)
    return await world.until(await world.trigger(job, payload), "dead_letter")


async def listed(world: World, **params: Any) -> list[dict[str, Any]]:
    answer = await world.api.get(PATH, params=params)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


async def test_what_a_dead_letter_carries_is_hidden_until_it_is_unmasked(world: World) -> None:
    first, second = await dead(world, {"card": 1}), await dead(world, {"card": 2})
    assert [run["payload"] for run in await listed(world)] == ["***", "***"]
    assert (await world.api.post(f"{PATH}/{first['id']}/unmask")).json() == {
        "run_id": first["id"], "ok": True,
    }  # fmt: skip
    assert [run["payload"] for run in await listed(world)] == ["***", {"card": 1}]
    assert [run["payload"] for run in await listed(world, masked="false")] == [
        {"card": 2}, {"card": 1},
    ]  # fmt: skip
    (of_job,) = await listed(world, job_id=second["job_id"])
    assert of_job["id"] == second["id"]
    reader = world.client(await world.key_for("dlq:read"))
    assert (await reader.get(PATH)).status_code == 200
    assert (await reader.get(PATH, params={"masked": "false"})).status_code == 403


async def test_a_dead_letter_is_run_again(world: World) -> None:
    run = await dead(world, None)
    world.handlers.script = lambda call: ok(1)
    answer = await world.api.post(f"{PATH}/{run['id']}/replay")
    assert (answer.status_code, answer.json()["id"]) == (200, run["id"])
    await world.until(run["id"], "completed")
    again = await world.api.post(f"{PATH}/{run['id']}/replay")
    assert told(again) == (409, "run is not in dead_letter status")


async def test_a_dead_letter_is_deleted_with_its_history(world: World) -> None:
    run = await dead(world, None)
    answer = await world.api.post(f"{PATH}/{run['id']}/purge")
    assert answer.json() == {"run_id": run["id"], "ok": True}
    assert (await world.api.get(f"/v1/runs/{run['id']}")).status_code == 404
    assert await listed(world) == []
    left = world.platform.reader.execute(
        "SELECT count(*) FROM ledger WHERE subject = ?", (run["id"],)
    ).fetchone()
    assert left == (0,)
    events = (await world.api.get("/v1/audit-events")).json()["data"]
    assert events[0]["action"] == "run.purged"


async def test_another_projects_dead_letters_are_not_there(world: World) -> None:
    run = await dead(world, None)
    stranger = world.client(await world.key_for("*", project="proj-2"))
    assert (await stranger.get(PATH)).json()["data"] == []
    reader = world.client(await world.key_for("dlq:read"))
    for what in ("replay", "unmask", "purge"):
        assert (await stranger.post(f"{PATH}/{run['id']}/{what}")).status_code == 404
        assert (await reader.post(f"{PATH}/{run['id']}/{what}")).status_code == 403
