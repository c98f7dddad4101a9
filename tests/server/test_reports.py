"""The report that the page's button gives: what the API shows of a run, as one file."""

from __future__ import annotations

from typing import Any

import httpx

from support.handlers import Answer, Gate, ok
from support.workflows import Flows, sleep
from support.world import PROJECT, World


async def report(api: httpx.AsyncClient, run_id: str, kind: str = "runs", **query: Any) -> str:
    answer = await api.get(f"/v1/{kind}/{run_id}/report", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


async def test_a_run_is_given_out_as_one_file(world: World) -> None:
    world.handlers.script = Gate()
    job = await world.job(name="Ship <it>")
    run_id, handler = await world.executing(job, {"n": 4711, "password": "hunter2hunter2"})
    sdk = f"/sdk/v1/runs/{run_id}"
    await handler.post(f"{sdk}/log", json={"message": "using hunter2hunter2"})
    await handler.post(f"{sdk}/checkpoint", json={"state": {"at": 7}})
    await handler.post(f"{sdk}/output", json={"output_key": "total", "value": "eleven"})
    await handler.post(f"{sdk}/state", json={"key": "seen", "value": {"own": 1}})
    usage = {"provider": "openai", "model": "gpt", "prompt_tokens": 3, "cost_microusd": 1_500_000}
    await handler.post(f"{sdk}/usage", json=usage)
    await handler.post(f"{sdk}/fail", json={"error": "broken <b>"})

    page = await report(world.api, run_id)
    for said in ("Ship &lt;it&gt;", "4711", "broken &lt;b&gt;", "eleven", "seen", "$1.5"):
        assert said in page
    assert "hunter2" not in page
    assert "<script" not in page


async def test_it_is_saved_under_the_name_of_its_run(world: World) -> None:
    run_id = await world.trigger(await world.job())
    answer = await world.api.get(f"/v1/runs/{run_id}/report")
    assert answer.headers["content-disposition"] == f'attachment; filename="run-{run_id}.html"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


async def test_paths_that_are_asked_for_are_hidden(world: World) -> None:
    payload = {"card": {"number": "4242 4242"}, "who": {"mail": "ada@example.com"}}
    run_id = await world.trigger(await world.job(), payload)
    await world.until(run_id, "completed")
    assert "4242 4242" in await report(world.api, run_id)
    page = await report(world.api, run_id, redact=["card.number", "mail"])
    assert "4242" not in page
    assert "ada@example.com" not in page


async def test_children_are_in_the_report_of_their_parent(world: World) -> None:
    world.handlers.script = Gate()
    await world.job(slug="packer")
    run_id, handler = await world.executing(await world.job())
    world.handlers.script = lambda call: ok({"packed": 31337})
    body = {"job_slug": "packer", "project_id": PROJECT}
    spawned = await handler.post(f"/sdk/v1/runs/{run_id}/spawn", json=body)
    await world.until(spawned.json()["id"], "completed")
    page = await report(world.api, run_id)
    assert "packer" in page
    assert "31337" in page


async def test_a_workflow_run_has_its_graph_and_the_logs_of_its_steps(flows: Flows) -> None:
    first = await flows.job("load", returns={"n": 31337})
    broken = await flows.job("charge", "load", script=lambda call: Answer(500, b"no <money>"))
    run_id = await flows.start(first, broken, sleep("later", 60, "charge"), payload={"order": 4711})
    await flows.until(run_id, "failed")
    page = await report(flows.api, run_id, "workflow-runs")
    assert page.count('class="box"') == 3
    for said in ("load", "charge", "later", "31337", "4711", "endpoint returned 500"):
        assert said in page
    answer = await flows.api.get("/v1/workflow-runs/nobody/report")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


async def test_a_run_of_another_project_is_not_there(world: World) -> None:
    run_id = await world.trigger(await world.job())
    stranger = await world.key_for("runs:read", project="elsewhere")
    answer = await world.client(stranger).get(f"/v1/runs/{run_id}/report")
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "run not found"


async def test_what_its_caller_may_not_read_is_left_out(world: World) -> None:
    job = await world.job(name="Name of the job")
    run_id = await world.trigger(job, {"n": 4711})
    key = await world.key_for("runs:read")
    page = await report(world.client(key), run_id)
    assert "4711" in page
    assert "Name of the job" not in page
    answer = await world.client(await world.key_for("jobs:read")).get(f"/v1/runs/{run_id}/report")
    assert answer.status_code == 403
