"""What is shown of a run."""

from __future__ import annotations

import random

import pytest
from msgspec import json, structs

from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.engine.workflows import events, views
from strait.engine.workflows.effects import StartJob

from .workflow_support import EPOCH, begin, begin_retry, step


def wire(view):
    return json.decode(json.encode(view))


def at(run, second):
    """Let the next event come at a second after the trigger."""
    run.now = EPOCH + (second - 1) * SECOND


@pytest.fixture
def diamond():
    """`a` takes 2 s, then `b` 3 s beside `c` 5 s, then `d` 1 s; `later` was not reached."""
    run = begin(
        step("a"),
        step("b", "job", "a"),
        step("c", "job", "a"),
        step("d", "job", "b", "c"),
        step("ok", "approval", "d"),
        step("later", "job", "ok", timeout_secs_override=30),
        payload={"x": 1},
    )
    for ref, second in [("a", 2), ("b", 5), ("c", 7), ("d", 8)]:
        at(run, second)
        run.job_ended(ref, output={"of": ref})
    return run


def test_the_graph_shows_what_happened_and_the_slowest_chain(diamond):
    graph = wire(views.graph(diamond.state))
    assert graph["workflow_run_id"] == diamond.run.id
    assert (graph["workflow_id"], graph["version"]) == ("wf", 3)
    assert graph["nodes"][1] == {
        "step_ref": "b",
        "type": "job",
        "status": "completed",
        "attempt": 1,
        "depends_on": ["a"],
        "started_at": diamond["b"].started_at,
        "finished_at": diamond["b"].finished_at,
        "duration_ms": 3000,
    }
    assert {"from": "b", "to": "d"} in graph["edges"]
    assert (graph["roots"], graph["runnable"]) == (["a"], [])
    assert graph["critical_path"] == ["a", "c", "d", "ok", "later"]
    assert graph["critical_path_estimate_ms"] == 38_000
    assert graph["critical_path_remaining_ms"] == 30_000


def test_nothing_remains_of_a_run_that_is_over(diamond):
    diamond.send(events.Cancel())
    assert views.graph(diamond.state).critical_path_remaining_ms == 0


def test_a_step_that_is_held_can_run(diamond):
    diamond.send(events.Pause())
    diamond.send(events.Approved("ok", "alice"))
    assert views.graph(diamond.state).runnable == ["later"]


def test_the_timeline_tells_who_ran_beside_whom_and_who_waited(diamond):
    timeline = wire(views.timeline(diamond.state, EPOCH + 10 * SECOND))
    assert timeline["total_ms"] == 10_000
    assert timeline["status"] == "running"
    assert "finished_at" not in timeline
    steps = {s["step_ref"]: s for s in timeline["steps"]}
    assert list(steps) == ["a", "b", "c", "d", "ok", "later"]
    assert steps["b"]["parallel_with"] == ["c"]
    assert (steps["b"]["on_critical_path"], steps["c"]["on_critical_path"]) == (False, True)
    assert "parallel_with" not in steps["a"]
    assert (steps["d"]["wait_ms"], steps["d"]["duration_ms"]) == (0, 1000)
    assert (steps["ok"]["duration_ms"], steps["ok"]["status"]) == (2000, "waiting")
    assert steps["later"] == {
        "step_run_id": diamond["later"].id,
        "step_ref": "later",
        "status": "waiting",
        "duration_ms": 0,
        "on_critical_path": False,
        "wait_ms": 0,
    }


def test_a_step_that_was_held_back_shows_how_long(diamond):
    diamond.send(events.Pause())
    at(diamond, 10)
    diamond.send(events.Approved("ok", "alice"))
    at(diamond, 15)
    diamond.send(events.Resume())
    timeline = views.timeline(diamond.state, diamond.now)
    assert timeline.steps[-1].step_ref == "later"
    assert timeline.steps[-1].wait_ms == 5000


def test_debug_shows_what_went_in_and_came_out(diamond):
    inputs = {e.ref: e.payload for e in diamond.of(StartJob)}
    debug = wire(views.debug(diamond.state, diamond.now, inputs, {"a": 5, "b": 7}))
    assert debug["total_duration_ms"] == 8000
    assert debug["total_cost_microusd"] == 12
    assert debug["payload"] == {"x": 1}
    b = debug["steps"][1]
    assert b["input"] == {"x": 1, "parent_outputs": {"a": {"of": "a"}}}
    assert (b["output"], b["cost_microusd"], b["depends_on"]) == ({"of": "b"}, 7, ["a"])
    assert "error" not in b
    flow = {"from_step_ref": "a", "to_step_ref": "b", "data_size_bytes": len('{"of":"a"}')}
    assert flow in debug["data_flow"]
    assert {"from_step_ref": "d", "to_step_ref": "ok", "data_size_bytes": 10} in debug["data_flow"]


def test_compare_shows_only_what_differs():
    a = begin(step("same"), step("slow"), step("bad", on_failure="continue"), step("gone"))
    for ref, second in [("same", 1), ("slow", 2), ("bad", 3)]:
        at(a, second)
        a.job_ended(ref)
    a.send(events.Cancel())
    b = begin(step("same"), step("slow"), step("bad", on_failure="continue"), step("new"))
    for ref, second, status in [
        ("same", 1, "completed"),
        ("slow", 5, "completed"),
        ("bad", 6, "failed"),
    ]:
        at(b, second)
        b.job_ended(ref, status)
    b.job_ended("new")
    compared = wire(views.compare(a.state, b.state))
    assert (compared["run_a"], compared["run_b"]) == (a.run.id, b.run.id)
    assert compared["status_diff"] == {"a": "canceled", "b": "completed"}
    diffs = {d.pop("step_ref"): d for d in compared["step_diffs"]}
    assert set(diffs) == {"slow", "bad", "gone", "new"}
    assert diffs["slow"] == {"duration_ms_a": 2000, "duration_ms_b": 5000}
    assert diffs["bad"]["status_diff"] == {"a": "completed", "b": "failed"}
    assert diffs["gone"]["only_in_a"] is True
    assert diffs["new"] == {"duration_ms_a": 0, "duration_ms_b": 7000, "only_in_b": True}


def test_two_equal_runs_do_not_differ():
    a = begin(step("x"))
    a.job_ended("x")
    assert wire(views.compare(a.state, a.state)) == {
        "run_a": a.run.id,
        "run_b": a.run.id,
        "step_diffs": [],
    }
    assert views.graph(begin_retry(a).state).critical_path == ["x"]


def test_the_timeline_of_many_steps_compares_each_with_every_other():
    run = begin(*[step(f"s{n:02}", "sleep", sleep_duration_secs=1) for n in range(40)])
    chance = random.Random(7)
    moved = {}
    for ref, one in run.state.step_runs.items():
        began = EPOCH + chance.randrange(12) * SECOND
        ended = chance.choice(["", to_timestamp(began + chance.randrange(5) * SECOND)])
        moved[ref] = structs.replace(one, started_at=to_timestamp(began), finished_at=ended)
    state = structs.replace(run.state, step_runs=moved)
    for shown in views.timeline(state, EPOCH + 30 * SECOND).steps:
        one = moved[shown.step_ref]
        others = [each for each in moved.values() if each is not one]
        beside = [each for each in others if _ran_beside(one, each)]
        ends = [each.finished_at for each in others if each.finished_at]
        last = max((end for end in ends if end <= one.started_at), default=one.started_at)
        wait_us = from_timestamp(one.started_at) - from_timestamp(last)
        assert list(shown.parallel_with) == sorted(each.step_ref for each in beside)
        assert shown.on_critical_path == all(_end(each) <= _end(one) for each in beside)
        assert shown.wait_ms == wait_us // 1_000


def _end(one):
    return one.finished_at or "~"


def _ran_beside(one, other):
    return one.started_at < _end(other) and other.started_at < _end(one)
