"""What is shown of workflow runs (`contract/workflows.md` §4.3-4.4)."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from support.handlers import Answer, Gate, ok
from support.workflows import Flows, approval, event, sleep, told


async def paged(flows: Flows, path: str, limit: int = 1, **params: Any) -> list[dict[str, Any]]:
    """All rows of a list, read page by page."""
    rows: list[dict[str, Any]] = []
    while True:
        answer = await flows.api.get(path, params={"limit": limit, **params})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["data"]) <= limit
        rows += page["data"]
        if not page["has_more"]:
            assert "next_cursor" not in page
            return rows
        params["cursor"] = page["next_cursor"]


# ------------------------------------------------------------------------------------------- lists


async def test_d15_no_step_is_lost_or_repeated_between_pages(flows: Flows) -> None:
    refs = [f"s{n}" for n in range(7)]
    run_id = await flows.start(*(sleep(ref, 60) for ref in refs))
    for limit in (1, 2, 3, 7, 100):
        rows = await paged(flows, f"/v1/workflow-runs/{run_id}/steps", limit)
        assert [row["step_ref"] for row in rows] == refs


async def test_d15_no_wait_is_lost_or_repeated_between_pages(flows: Flows) -> None:
    run_id = await flows.start(*(event(f"e{n}", f"key-{n}") for n in range(5)))
    for limit in (1, 2, 3):
        rows = await paged(flows, "/v1/events", limit, workflow_run_id=run_id)
        assert [row["event_key"] for row in rows] == [f"key-{n}" for n in (4, 3, 2, 1, 0)]


async def test_runs_are_listed_newest_first_of_the_project_and_of_a_workflow(flows: Flows) -> None:
    one, two = await flows.create(approval("a")), await flows.create(approval("a"))
    ids = [await flows.trigger(made) for made in (one, two, one)]
    rows = await paged(flows, "/v1/workflow-runs")
    assert [row["id"] for row in rows] == ids[::-1]
    of_one = await paged(flows, f"/v1/workflows/{one['id']}/runs")
    assert [row["id"] for row in of_one] == [ids[2], ids[0]]


async def test_runs_are_found_by_status_or_by_tag(flows: Flows) -> None:
    made = await flows.create(approval("a"))
    over = await flows.trigger(made, tags={"color": "red"})
    await flows.did(over, "steps/a/approve")
    under_way = await flows.trigger(made, tags={"color": "blue"})

    async def found(**params: str) -> list[str]:
        return [row["id"] for row in (await flows.get("", **params))["data"]]

    assert await found(status="completed") == [over]
    assert await found(status="running") == [under_way]
    assert await found(tag_key="color") == [under_way, over]
    assert await found(tag_key="color", tag_value="red") == [over]


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"status": "sleepy"}, "status is invalid"),
        ({"tag_value": "x"}, "tag_key is required when tag_value is provided"),
        (
            {"status": "running", "tag_key": "k"},
            "status filter cannot be combined with tag_key; use one or the other",
        ),
        ({"limit": "0"}, "limit must be a positive integer"),
        ({"cursor": "yesterday"}, "invalid cursor format"),
    ],
)
async def test_wrong_filters_are_refused(flows: Flows, params: dict[str, str], text: str) -> None:
    assert told(await flows.api.get("/v1/workflow-runs", params=params)) == (400, text)


async def test_d27_a_run_is_read_as_it_is_now(flows: Flows) -> None:
    undo = await flows.job("undo")
    run_id = await flows.start(
        await flows.job("a", compensation_job_id=undo["job_id"]),
        await flows.job("b", "a", script=lambda call: Answer(400)),
    )
    assert (await flows.until(run_id, "failed"))["status"] == "failed"
    await flows.did(run_id, "compensate")
    await flows.until(run_id, "compensated")
    assert (await flows.run(run_id))["status"] == "compensated"


# ----------------------------------------------------------------------------------------- explain


async def explained(flows: Flows, run_id: str, **params: Any) -> list[tuple[str, str, str]]:
    rows = await paged(flows, f"/v1/workflow-runs/{run_id}/explain", **params)
    return [(row["step_ref"], row["decision_type"], row["explanation"]) for row in rows]


async def test_a_run_explains_why_steps_wait_or_were_skipped(flows: Flows) -> None:
    gate = Gate()
    never = {"type": "eq", "left": 1, "right": 2}
    run_id = await flows.start(
        sleep("s", 60, condition=never),
        await flows.job("a", script=gate, concurrency_key="k"),
        await flows.job("b", concurrency_key="k"),
        await flows.job("c"),
        max_parallel_steps=1,
    )
    rows = [
        ("c", "scheduler", "blocked by max_parallel_steps"),
        ("b", "scheduler", "blocked by max_parallel_steps"),
        ("s", "condition", "condition evaluated to false"),
    ]
    assert await explained(flows, run_id) == rows
    assert await explained(flows, run_id, step_ref="b") == rows[1:2]
    assert await explained(flows, run_id, decision_type="condition") == rows[2:]
    (skipped,) = await paged(flows, f"/v1/workflow-runs/{run_id}/explain", step_ref="s")
    assert (skipped["decision"], skipped["details"]) == ("skip", never)
    assert skipped["step_run_id"] == (await flows.steps(run_id))["s"]["id"]
    gate.open()
    await flows.until(run_id, "completed")


async def test_a_step_that_another_holds_back_by_its_key_says_so(flows: Flows) -> None:
    run_id = await flows.start(
        await flows.job("a", script=Gate(), concurrency_key="k"),
        await flows.job("b", concurrency_key="k"),
    )
    assert await explained(flows, run_id) == [("b", "concurrency", "blocked by concurrency_key")]


# ------------------------------------------------------------------------------- graph and timeline


async def test_the_graph_of_a_run_shows_where_it_is(flows: Flows) -> None:
    run_id = await flows.start(
        await flows.job("a"), approval("b", "a"), sleep("c", 60, "a"), approval("d", "b", "c")
    )
    await flows.until_step(run_id, "b", "waiting")
    graph = await flows.get(f"/{run_id}/graph")
    statuses = {node["step_ref"]: node["status"] for node in graph["nodes"]}
    assert statuses == {"a": "completed", "b": "waiting", "c": "waiting", "d": "waiting"}
    assert {node["step_ref"]: node["type"] for node in graph["nodes"]}["c"] == "sleep"
    edges = {(edge["from"], edge["to"]) for edge in graph["edges"]}
    assert edges == {("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")}
    assert (graph["roots"], graph["runnable"], graph["version"]) == (["a"], [], 1)


async def test_the_critical_path_is_the_slowest_chain(still: Flows) -> None:
    run_id = await still.start(sleep("a", 10), sleep("b", 30), sleep("c", 5, "a"))
    await still.world.pass_time(31)
    await still.until(run_id, "completed")
    graph = await still.get(f"/{run_id}/graph")
    assert (graph["critical_path"], graph["critical_path_remaining_ms"]) == (["b"], 0)
    assert graph["critical_path_estimate_ms"] == 30_000
    nodes = {node["step_ref"]: node["duration_ms"] for node in graph["nodes"]}
    assert nodes == {"a": 10_000, "b": 30_000, "c": 5_000}


async def test_the_timeline_tells_when_what_ran(still: Flows) -> None:
    run_id = await still.start(
        sleep("a", 10), sleep("b", 30), sleep("c", 5, "a"), approval("later", "b", "c")
    )
    await still.world.pass_time(20.5)
    timeline = await still.get(f"/{run_id}/timeline")
    assert (timeline["status"], timeline["total_ms"] // 1000) == ("running", 20)
    steps = timeline["steps"]
    assert [step["step_ref"] for step in steps] == ["a", "b", "c", "later"]
    assert [step["duration_ms"] // 1000 for step in steps] == [10, 20, 5, 0]
    assert steps[0]["parallel_with"] == ["b"]
    assert steps[1]["parallel_with"] == ["a", "c"]
    assert [step["on_critical_path"] for step in steps] == [False, True, False, False]
    assert "started_at" not in steps[3]


# ---------------------------------------------------------------------------------- debug, compare


async def test_debug_shows_what_went_into_each_step_and_came_out(flows: Flows) -> None:
    run_id = await flows.start(
        await flows.job("a", returns={"n": 1}),
        await flows.job("b", "a", script=lambda call: Answer(400), on_failure="continue"),
        approval("ok"),
        payload={"id": 7},
    )
    await flows.until_step(run_id, "b", "failed")
    debug = await flows.get(f"/{run_id}/debug")
    assert (debug["status"], debug["payload"]) == ("running", {"id": 7})
    a, b, waiting = debug["steps"]
    assert (a["input"], a["output"]) == ({"id": 7}, {"n": 1})
    assert b["input"] == {"id": 7, "parent_outputs": {"a": {"n": 1}}}
    assert b["error"] == (await flows.steps(run_id))["b"]["error"]
    assert (waiting["status"], "input" in waiting) == ("waiting", False)
    assert debug["data_flow"] == [
        {"from_step_ref": "a", "to_step_ref": "b", "data_size_bytes": len(b'{"n":1}')}
    ]


async def test_two_runs_are_compared(flows: Flows) -> None:
    answers = iter([Answer(400), ok()])
    made = await flows.create(
        await flows.job("a", script=lambda call: next(answers), on_failure="skip_dependents"),
        await flows.job("b", "a"),
    )
    first = await flows.trigger(made)
    await flows.until(first, "failed")
    second = await flows.trigger(made)
    await flows.until(second, "completed")
    compared = await flows.get(f"/{first}/compare/{second}")
    assert (compared["run_a"], compared["run_b"]) == (first, second)
    assert compared["status_diff"] == {"a": "failed", "b": "completed"}
    diffs = {row["step_ref"]: row["status_diff"] for row in compared["step_diffs"]}
    assert diffs == {
        "a": {"a": "failed", "b": "completed"},
        "b": {"a": "skipped", "b": "completed"},
    }
    for path, name in ((f"/nope/compare/{first}", "A"), (f"/{first}/compare/nope", "B")):
        answer = await flows.api.get(f"/v1/workflow-runs{path}")
        assert told(answer) == (404, f"workflow run {name} not found")


async def test_comparing_needs_the_scope_for_runs_too(flows: Flows) -> None:
    run_id = await flows.start(approval("a"))
    client = flows.world.client(await flows.world.key_for("workflows:read"))
    answer = await client.get(f"/v1/workflow-runs/{run_id}/compare/{run_id}")
    assert told(answer) == (403, "insufficient permissions: requires runs:read")


async def test_steps_without_anything_to_show_leave_it_out(flows: Flows) -> None:
    run_id = await flows.start(approval("a"), sleep("b", 60, "a"))
    b = (await flows.steps(run_id))["b"]
    absent = {"output", "error", "started_at", "finished_at", "job_run_id"}
    assert not absent & b.keys()
    assert json.dumps(b).count("null") == 0


@pytest.mark.parametrize("view", ["graph", "timeline", "debug", "compare"])
async def test_what_is_drawn_of_a_run_is_drawn_beside_the_loop(flows: Flows, view: str) -> None:
    run_id = await flows.start(approval("a"))
    path = f"/v1/workflow-runs/{run_id}"
    release = threading.Event()
    analyst = flows.world.platform.analyst
    threads = [asyncio.create_task(analyst.ask(lambda _: release.wait(60))) for _ in range(2)]
    try:
        # Both threads are taken, so that what needs one waits, and nothing else does.
        suffix = f"/{run_id}" if view == "compare" else ""
        drawn = asyncio.create_task(flows.api.get(f"{path}/{view}{suffix}"))
        for _ in range(3):
            assert (await flows.api.get(path)).status_code == 200
        assert not drawn.done()
    finally:
        release.set()
    assert (await drawn).status_code == 200
    await asyncio.gather(*threads)
