"""What steps are given, what they give, and what their failures do (`contract/workflows.md` §3)."""

from __future__ import annotations

from typing import Any

import pytest

from strait.store import jobs
from support.handlers import Answer, Gate, ok
from support.workflows import Flows, approval, event, sleep, told


def failing(status: int = 400) -> Any:
    """A handler that fails; 400 is never tried again."""
    return lambda call: Answer(status, b"boom")


# ---------------------------------------------------------------------------------------- payloads


async def test_a_steps_own_payload_wins_over_that_of_the_trigger(flows: Flows) -> None:
    run_id = await flows.start(
        await flows.job("a", payload={"b": 2, "c": {"y": 1}}), payload={"a": 1, "b": 1}
    )
    await flows.until(run_id, "completed")
    assert flows.inputs("a") == [{"a": 1, "b": 2, "c": {"y": 1}}]


async def test_templates_are_filled_from_the_payload_of_the_trigger(flows: Flows) -> None:
    payload = {
        "typed": "{{order.lines}}",
        "text": "order {{order.id}} of {{who}}",
        "deep": [{"x": "{{order.id}}"}],
        "null": "<{{nothing}}>",
        "unknown": "{{nope}} {{ order.id }}",
        "{{order.id}}": "keys stay",
    }
    run_id = await flows.start(
        await flows.job("a", payload=payload),
        payload={"order": {"id": 7, "lines": [1, 2]}, "who": "bob", "nothing": None},
    )
    await flows.until(run_id, "completed")
    (given,) = flows.inputs("a")
    assert {name: given[name] for name in payload} == {
        "typed": [1, 2],
        "text": "order 7 of bob",
        "deep": [{"x": 7}],
        "null": "<>",
        "unknown": "{{nope}} {{ order.id }}",
        "{{order.id}}": "keys stay",
    }


async def test_only_direct_dependencies_hand_their_outputs_over(flows: Flows) -> None:
    run_id = await flows.start(
        await flows.job("a", returns=1),
        await flows.job("b", "a", returns=2),
        await flows.job("c", "b"),
        payload={"parent_outputs": "mine"},
    )
    await flows.until(run_id, "completed")
    assert flows.inputs("c") == [{"parent_outputs": {"b": 2}}]


@pytest.mark.parametrize(
    ("trigger", "own", "given"),
    [([1], ..., [1]), ([1], {"a": 1}, {"a": 1}), ({"a": 1}, "text", "text")],
)
async def test_payloads_that_are_no_objects_are_not_merged(
    flows: Flows, trigger: object, own: object, given: object
) -> None:
    fields = {} if own is ... else {"payload": own}
    run_id = await flows.start(
        await flows.job("a"), await flows.job("b", "a", **fields), payload=trigger
    )
    await flows.until(run_id, "completed")
    assert flows.inputs("b") == [given]


async def test_the_tags_of_the_run_are_on_its_job_runs(flows: Flows) -> None:
    run_id = await flows.start(await flows.job("a"), tags={"team": "x"})
    await flows.until(run_id, "completed")
    job_run = await flows.world.run((await flows.steps(run_id))["a"]["job_run_id"])
    shown = [job_run[name] for name in ("triggered_by", "created_by", "tags")]
    assert shown == ["workflow", "system:workflow", {"team": "x"}]


# ----------------------------------------------------------------------------------------- outputs


async def test_d2_the_output_of_a_step_is_the_result_of_its_job(flows: Flows) -> None:
    run_id = await flows.start(await flows.job("a", returns={"x": [1, None, 1.5]}))
    await flows.until(run_id, "completed")
    step = (await flows.steps(run_id))["a"]
    assert (step["status"], step["output"]) == ("completed", {"x": [1, None, 1.5]})
    assert step["finished_at"] >= step["started_at"]


async def test_d2_the_error_of_a_step_is_that_of_its_job(flows: Flows) -> None:
    run_id = await flows.start(await flows.job("a", script=failing()))
    run = await flows.until(run_id, "failed")
    step = (await flows.steps(run_id))["a"]
    job_run = await flows.world.run(step["job_run_id"])
    assert run["error"] == step["error"] == job_run["error"] != ""


@pytest.mark.parametrize(
    ("path", "output"),
    [
        ("a.b.1.c", 2),
        ("a.b.#.c", [1, 2]),
        ("{x:a,y:n}", {"x": {"b": [{"c": 1}, {"c": 2}]}, "y": 5}),
    ],
)
async def test_an_output_is_transformed(flows: Flows, path: str, output: object) -> None:
    result = {"a": {"b": [{"c": 1}, {"c": 2}]}, "n": 5}
    run_id = await flows.start(
        await flows.job("a", returns=result, output_transform=path), await flows.job("b", "a")
    )
    await flows.until(run_id, "completed")
    assert flows.inputs("b") == [{"parent_outputs": {"a": output}}]


async def test_an_output_that_cannot_be_transformed_is_kept_whole(flows: Flows) -> None:
    run_id = await flows.start(await flows.job("a", returns={"x": 1}, output_transform="y.z"))
    await flows.until(run_id, "completed")
    assert (await flows.steps(run_id))["a"]["output"] == {"x": 1}


# -------------------------------------------------------------------------------------- conditions


def status_is(ref: str, status: str) -> dict[str, str]:
    return {"type": "step_status", "step_ref": ref, "status": status}


async def test_d5_a_step_whose_condition_is_false_is_skipped_and_the_rest_goes_on(
    flows: Flows,
) -> None:
    run_id = await flows.start(
        await flows.job("a"),
        await flows.job("b", "a", condition=status_is("a", "failed")),
        await flows.job("c", "b"),
        await flows.job("d", "a", condition={"type": "not", "condition": status_is("a", "failed")}),
    )
    await flows.until(run_id, "completed")
    assert await flows.statuses(run_id) == {
        "a": "completed",
        "b": "skipped",
        "c": "completed",
        "d": "completed",
    }
    assert flows.inputs("c") == [{"parent_outputs": {}}]
    assert flows.calls("b") == []


async def test_d26_the_condition_of_a_first_step_counts(flows: Flows) -> None:
    run_id = await flows.start(
        await flows.job("a", condition={"type": "eq", "left": 1, "right": 2}), approval("b")
    )
    assert (await flows.statuses(run_id))["a"] == "skipped"
    assert flows.calls("a") == []


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (status_is("zz", "completed"), 'step "zz" not found in statuses'),
        ({"type": "sometimes"}, 'unknown condition type: "sometimes"'),
        (
            {"type": "gt", "left": "5", "right": 3},
            "numeric comparison requires numeric left/right",
        ),
    ],
)
async def test_d13_a_condition_that_means_nothing_fails_its_step(
    flows: Flows, condition: dict[str, Any], text: str
) -> None:
    run_id = await flows.start(await flows.job("a"), await flows.job("b", "a", condition=condition))
    run = await flows.until(run_id, "failed")
    assert text in run["error"]
    assert await flows.statuses(run_id) == {"a": "completed", "b": "failed"}


# ---------------------------------------------------------------------------------------- failures


async def test_a_failed_step_ends_the_run_with_all_that_is_under_way(flows: Flows) -> None:
    bad = Gate(Answer(400))
    run_id = await flows.start(
        await flows.job("bad", script=bad),
        await flows.job("slow", script=Gate()),
        await flows.job("next", "bad"),
        event("e", "go"),
    )
    await flows.until_called("slow")
    slow = (await flows.steps(run_id))["slow"]
    bad.open()
    await flows.until(run_id, "failed")
    assert await flows.statuses(run_id) == {
        "bad": "failed",
        "slow": "canceled",
        "next": "canceled",
        "e": "canceled",
    }
    assert (await flows.world.run(slow["job_run_id"]))["status"] == "canceled"
    assert (await flows.api.get("/v1/events/go")).json()["status"] == "canceled"


async def test_skip_dependents_skips_one_branch_and_fails_the_run_in_the_end(flows: Flows) -> None:
    run_id = await flows.start(
        await flows.job("bad", script=failing(), on_failure="skip_dependents"),
        await flows.job("b", "bad"),
        await flows.job("c", "b"),
        await flows.job("other"),
        await flows.job("after", "other"),
    )
    await flows.until(run_id, "failed")
    assert await flows.statuses(run_id) == {
        "bad": "failed",
        "b": "skipped",
        "c": "skipped",
        "other": "completed",
        "after": "completed",
    }


async def test_d6_continue_counts_a_failed_step_as_done_wherever_it_joins(flows: Flows) -> None:
    gate = flows.hold("slow")
    run_id = await flows.start(
        await flows.job("bad", script=failing(), on_failure="continue"),
        await flows.job("slow", script=gate),
        await flows.job("join", "bad", "slow"),
    )
    await flows.until_step(run_id, "bad", "failed")
    gate.open()
    await flows.until(run_id, "completed")
    assert flows.inputs("join") == [{"parent_outputs": {"slow": {"ok": True}}}]


async def test_d12_a_dependency_that_is_named_twice_counts_once(flows: Flows) -> None:
    run_id = await flows.start(await flows.job("a", returns=1), await flows.job("b", "a", "a"))
    await flows.until(run_id, "completed")
    assert (await flows.steps(run_id))["b"]["deps_required"] == 1


async def test_d1_the_retries_of_a_step_are_one_budget_and_then_its_failure_counts(
    still: Flows,
) -> None:
    run_id = await still.start(
        await still.job(
            "a",
            script=failing(500),
            job={"max_attempts": 9},
            retry_max_attempts=2,
            retry_backoff="fixed",
            retry_initial_delay_secs=10,
        ),
        await still.job("b", "a"),
    )
    step = await still.until_step(run_id, "a", "running")
    await still.world.until(step["job_run_id"], "queued", attempt=2)
    await still.world.pass_time(13)
    await still.until(run_id, "failed")
    assert [call.attempt for call in still.calls("a")] == [1, 2]
    assert (await still.statuses(run_id))["b"] == "canceled"
    assert (await still.steps(run_id))["a"]["attempt"] == 1


async def test_a_step_that_succeeds_at_its_second_attempt_goes_on(still: Flows) -> None:
    answers = iter([Answer(500), ok("second")])
    run_id = await still.start(
        await still.job("a", script=lambda call: next(answers), retry_max_attempts=3),
        await still.job("b", "a"),
    )
    step = await still.until_step(run_id, "a", "running")
    await still.world.until(step["job_run_id"], "queued", attempt=2)
    await still.world.pass_time(2)
    await still.until(run_id, "completed")
    assert still.inputs("b") == [{"parent_outputs": {"a": "second"}}]


async def test_the_retries_of_the_job_hold_where_the_step_has_none(still: Flows) -> None:
    answers = iter([Answer(500), ok()])
    job = {"max_attempts": 2}
    run_id = await still.start(
        await still.job("a", script=lambda call: next(answers), job=job),
    )
    step = await still.until_step(run_id, "a", "running")
    await still.world.until(step["job_run_id"], "queued", attempt=2)
    await still.world.pass_time(2)
    await still.until(run_id, "completed")


async def test_the_time_limit_of_a_step_replaces_that_of_its_job(still: Flows) -> None:
    run_id = await still.start(
        await still.job("a", script=still.hold("a"), timeout_secs_override=5),
    )
    await still.until_called("a")
    step = await still.until_step(run_id, "a", "running")
    await still.world.until(step["job_run_id"], "executing")
    await still.world.pass_time(6)
    run = await still.until(run_id, "failed")
    assert "timed out" in run["error"]


async def test_d13_a_job_that_is_gone_fails_its_step(flows: Flows) -> None:
    first, second = await flows.job("a", script=flows.hold("a")), await flows.job("b", "a")
    gate = flows.hold("a")
    run_id = await flows.start(first, second)
    await flows.until_called("a")
    # No request deletes a job that a workflow needs, but a database may have been purged by hand.
    platform = flows.world.platform
    await platform.write(lambda unit: jobs.delete(unit.db, second["job_id"]))
    platform.jobs.clear()
    gate.open()
    run = await flows.until(run_id, "failed")
    assert run["error"] == f"job {second['job_id']} not found"


# ----------------------------------------------------------------------------------- steps by hand


async def test_a_step_is_skipped_by_hand(flows: Flows) -> None:
    run_id = await flows.start(event("e", "go"), await flows.job("a", "e"), approval("ok"))
    skipped = await flows.did(run_id, "steps/e/skip", reason="not today")
    assert (skipped["step_run"]["status"], skipped["step_run"]["error"]) == ("skipped", "not today")
    await flows.until_step(run_id, "a", "completed")
    # D8: nobody waits for the event any more
    assert (await flows.api.get("/v1/events/go")).json()["status"] == "canceled"
    assert (await flows.send("go")).status_code == 409


async def test_a_step_that_has_not_been_reached_can_be_skipped(flows: Flows) -> None:
    run_id = await flows.start(
        approval("ok"), await flows.job("a", "ok"), await flows.job("b", "a")
    )
    await flows.did(run_id, "steps/a/skip")
    await flows.did(run_id, "steps/ok/approve")
    await flows.until(run_id, "completed")
    assert flows.calls("a") == []
    assert len(flows.calls("b")) == 1


async def test_a_step_is_completed_by_hand_with_an_output(flows: Flows) -> None:
    run_id = await flows.start(event("e", "go"), await flows.job("a", "e"))
    done = await flows.did(run_id, "steps/e/force-complete", result={"n": 1})
    assert (done["step_run"]["status"], done["step_run"]["output"]) == ("completed", {"n": 1})
    await flows.until(run_id, "completed")
    assert flows.inputs("a") == [{"parent_outputs": {"e": {"n": 1}}}]
    wait = (await flows.api.get("/v1/events/go")).json()
    assert (wait["status"], wait["response_payload"]) == ("received", {"n": 1})


async def test_a_step_that_runs_or_is_over_is_not_skipped_or_completed(flows: Flows) -> None:
    gate = flows.hold("a")
    run_id = await flows.start(await flows.job("a", script=gate), approval("b"))
    await flows.until_step(run_id, "a", "running")
    for what, word in (("skip", "skip"), ("force-complete", "force-complete")):
        answer = await flows.do(run_id, f"steps/a/{what}")
        assert told(answer) == (400, f"cannot {word} step in running status")
    gate.open()
    await flows.until_step(run_id, "a", "completed")
    answer = await flows.do(run_id, "steps/a/skip")
    assert told(answer) == (400, "cannot skip step in completed status")


async def test_an_unknown_step_is_not_found(flows: Flows) -> None:
    run_id = await flows.start(approval("a"))
    for what in ("approve", "skip", "force-complete", "retry"):
        answer = await flows.do(run_id, f"steps/zz/{what}")
        assert told(answer) == (404, "workflow step run not found")
    answer = await flows.do(run_id, "steps/zz/replay-subtree")
    assert told(answer) == (404, "step not found in workflow version")


async def test_d3_a_failed_step_is_done_again_and_the_run_goes_on(flows: Flows) -> None:
    run_id = await flows.start(
        await flows.job("a", returns=1),
        await flows.job("b", "a", script=failing()),
        await flows.job("c", "b"),
    )
    await flows.until(run_id, "failed")
    flows.world.handlers.scripts["/b"] = lambda call: ok("mended")
    again = (await flows.did(run_id, "steps/b/retry"))["step_run"]
    assert (again["step_ref"], again["attempt"], again.get("error")) == ("b", 2, None)
    run = await flows.until(run_id, "completed")
    assert "error" not in run
    assert [len(flows.calls(ref)) for ref in "abc"] == [1, 2, 1]
    assert flows.inputs("c") == [{"parent_outputs": {"b": "mended"}}]


async def test_d3_a_step_is_replayed_with_all_that_depends_on_it(flows: Flows) -> None:
    run_id = await flows.start(
        await flows.job("a", returns=1),
        await flows.job("b", "a", returns=2),
        await flows.job("other"),
        await flows.job("c", "b", "other", script=failing()),
    )
    await flows.until(run_id, "failed")
    flows.world.handlers.scripts["/c"] = lambda call: ok()
    assert await flows.did(run_id, "steps/b/replay-subtree") == {"reset_steps": 2}
    await flows.until(run_id, "completed")
    assert [len(flows.calls(ref)) for ref in ("a", "b", "c", "other")] == [1, 2, 2, 1]


async def test_d3_a_completed_run_is_opened_again_for_a_replay(flows: Flows) -> None:
    results = iter([1, 2])
    run_id = await flows.start(
        await flows.job("a", script=lambda call: ok(next(results))), await flows.job("b", "a")
    )
    await flows.until(run_id, "completed")
    assert await flows.did(run_id, "steps/a/replay-subtree") == {"reset_steps": 2}
    run = await flows.until(run_id, "completed")
    assert "error" not in run
    assert flows.inputs("b") == [{"parent_outputs": {"a": 1}}, {"parent_outputs": {"a": 2}}]


async def test_a_wait_is_opened_anew_when_its_step_is_done_again(still: Flows) -> None:
    run_id = await still.start(
        event("e", "go", event_timeout_secs=60), await still.job("a", "e"), sleep("s", 30)
    )
    await still.world.pass_time(61)
    await still.until(run_id, "failed")
    await still.did(run_id, "steps/e/retry")
    assert (await still.send("go", 5)).status_code == 200
    await still.until(run_id, "completed")
    assert still.inputs("a") == [{"parent_outputs": {"e": 5}}]


async def test_a_step_that_has_not_ended_is_not_done_again(flows: Flows) -> None:
    run_id = await flows.start(approval("a"))
    for what in ("retry", "replay-subtree"):
        answer = await flows.do(run_id, f"steps/a/{what}")
        assert told(answer) == (400, "step run must be terminal to retry")


async def test_a_run_that_is_opened_again_and_again_has_its_time_limit_each_time(
    still: Flows,
) -> None:
    run_id = await still.start(sleep("nap", 1_000), timeout_secs=60)
    for what in ("retry", "replay-subtree", "retry"):
        await still.world.pass_time(61)
        assert (await still.run(run_id))["status"] == "timed_out"
        await still.world.pass_time(5_000)
        await still.did(run_id, f"steps/nap/{what}")
        await still.world.pass_time(58)
        assert (await still.run(run_id))["status"] == "running"
    await still.world.pass_time(3)
    assert (await still.run(run_id))["status"] == "timed_out"
    again = (await still.did(run_id, "retry"))["id"]
    await still.world.pass_time(58)
    assert (await still.run(again))["status"] == "running"
    await still.world.pass_time(3)
    assert (await still.run(again))["status"] == "timed_out"
