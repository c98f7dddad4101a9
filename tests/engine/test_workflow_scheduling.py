"""Which steps start when, with what, and how a run ends by itself."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from strait.clock import SECOND, to_timestamp
from strait.engine.refusal import Refused
from strait.engine.workflows import effects, events
from strait.engine.workflows.start import admitted_steps

from .workflow_support import EPOCH, begin, begin_retry, step, workflow

# -------------------------------------------------------------------------------------- triggers


def test_a_trigger_starts_the_roots_and_lets_the_rest_wait():
    run = begin(step("a"), step("b"), step("c", "job", "a", "b"), payload={"x": 1})
    assert run.status == "running"
    assert run.steps() == {"a": "running", "b": "running", "c": "waiting"}
    assert [e.job_id for e in run.of(effects.StartJob)] == ["job-a", "job-b"]
    assert run["a"].job_run_id == run.of(effects.StartJob)[0].job_run_id
    assert run["c"].deps_required == 2
    assert run.of(effects.StatusChanged) == [effects.StatusChanged("pending", "running", "trigger")]


def test_a_run_holds_what_its_workflow_and_its_trigger_say():
    flow = workflow(
        tags={"a": "w", "b": "w"}, timeout_secs=90, max_parallel_steps=4, version_id="ver_x"
    )
    run = begin(
        step("a", expected_duration_secs=10),
        step("b", "job", "a", expected_duration_secs=5),
        step("c", "job", "a", expected_duration_secs=20),
        flow=flow,
        tags={"b": "t"},
        created_by="apikey:1",
        snapshot_id="snap",
    ).run
    assert run.tags == {"a": "w", "b": "t"}
    assert run.expires_at == to_timestamp(EPOCH + 90 * SECOND)
    assert run.expected_completion_at == to_timestamp(EPOCH + 30 * SECOND)
    assert (run.max_parallel_steps, run.workflow_version, run.workflow_version_id) == (
        4,
        3,
        "ver_x",
    )
    assert (run.created_by, run.triggered_by, run.workflow_snapshot_id) == (
        "apikey:1", "manual", "snap",
    )  # fmt: skip


def test_the_rows_of_a_run_have_instants_of_their_own():
    run = begin(*(step(f"s{i}") for i in range(20)))
    stamps = [row.created_at for row in run.state.step_runs.values()]
    assert stamps == sorted(set(stamps))
    assert len(stamps) == 20


@pytest.mark.parametrize(
    ("flow", "steps", "status", "message"),
    [
        (workflow(enabled=False), [step("a")], 409, "workflow is disabled"),
        (workflow(), [], 409, "workflow must have at least one step"),
        (workflow(), [step("a", "job", "a")], 409, 'step "a" depends on itself'),
        (workflow(), [step("a", "job", "z")], 409, 'step "a" depends on unknown step "z"'),
        (workflow(), [step("a"), step("a")], 409, 'duplicate step_ref: "a"'),
        (
            workflow(),
            [step("b", "job", "a"), step("a", "job", "b")],
            409,
            "cycle detected involving steps: [a b]",
        ),
        (
            workflow(max_concurrent_runs=2),
            [step("a")],
            409,
            "workflow wf: max concurrent runs (2) reached",
        ),
    ],
)
def test_a_run_that_cannot_begin_is_refused_with_the_reason(flow, steps, status, message):
    with pytest.raises(Refused) as caught:
        admitted_steps(flow, tuple(steps), running=2)
    assert (caught.value.status, caught.value.message) == (status, message)


def test_overrides_take_steps_out_and_dependents_become_roots():
    run = begin(
        step("a"),
        step("b", "job", "a"),
        step("c", "job", "a", "b"),
        overrides={"a": False, "b": True},
    )
    assert run.steps() == {"b": "running", "c": "waiting"}
    assert run["c"].deps_required == 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"z": False}, 'step override references unknown step_ref "z"'),
        ({"z": True}, 'step override references unknown step_ref "z"'),
        ({"a": False, "b": False}, "all steps disabled by overrides"),
    ],
)
def test_wrong_overrides_are_refused(overrides, message):
    with pytest.raises(Refused) as caught:
        begin(step("a"), step("b"), overrides=overrides)
    assert (caught.value.status, caught.value.message) == (400, message)


# ------------------------------------------------------------------------------------ scheduling


def test_a_join_starts_after_its_last_dependency():
    run = begin(step("a"), step("b"), step("c", "job", "a", "b"))
    run.job_ended("a")
    assert run.steps()["c"] == "waiting"
    assert run["c"].deps_completed == 1
    run.job_ended("b")
    assert run.steps()["c"] == "running"
    run.job_ended("c")
    assert run.status == "completed"
    assert run.of(effects.StatusChanged)[-1].reason == "workflow_completion"


def test_a_dependency_that_is_named_twice_counts_once():
    run = begin(step("a"), step("b", "job", "a", "a"))
    run.job_ended("a")
    assert run.steps()["b"] == "running"


def test_no_more_steps_run_at_once_than_the_workflow_allows():
    run = begin(*(step(r) for r in "abc"), flow=workflow(max_parallel_steps=2))
    assert run.steps() == {"a": "running", "b": "running", "c": "waiting"}
    decisions = [e.data for e in run.entries if e.type == "decision"]
    assert [
        (d["step_ref"], d["decision_type"], d["decision"], d["explanation"]) for d in decisions
    ] == [("c", "scheduler", "wait", "blocked by max_parallel_steps")]
    run.job_ended("b")
    assert run.steps()["c"] == "running"


def test_a_step_that_stays_held_is_explained_once():
    run = begin(
        step("a"), step("b"), step("x", "job", "a"), step("y"), flow=workflow(max_parallel_steps=1)
    )
    for _ in range(3):
        run.send(events.Recheck())
    held = [e.data["step_ref"] for e in run.entries if e.type == "decision"]
    assert held == ["b", "y"]
    run.job_ended("a")
    assert [e.data["step_ref"] for e in run.entries if e.type == "decision"] == ["b", "y", "x"]


def test_waits_take_no_place_among_the_steps_that_run():
    run = begin(
        step("w", "wait_for_event"),
        step("s", "sleep"),
        step("p", "approval"),
        step("a"),
        step("b"),
        flow=workflow(max_parallel_steps=1),
    )
    assert run.steps()["a"] == "running"
    assert not run["b"].started_at
    assert all(run[ref].started_at for ref in "wsp")


def test_steps_with_one_concurrency_key_run_one_by_one():
    run = begin(step("a", concurrency_key="k"), step("b", concurrency_key="k"), step("c"))
    assert run.steps() == {"a": "running", "b": "waiting", "c": "running"}
    run.job_ended("a")
    assert run.steps()["b"] == "running"


@pytest.mark.parametrize(
    ("resource_class", "capacity"), [("small", 50), ("medium", 20), ("large", 5)]
)
def test_a_resource_class_has_so_many_places_in_a_run(resource_class, capacity):
    run = begin(*(step(f"s{i:02d}", resource_class=resource_class) for i in range(capacity + 1)))
    assert list(run.steps().values()).count("running") == capacity
    assert run.entries[-1].data["explanation"] == "blocked by resource_class quota"


def test_steps_start_in_the_order_of_their_definition():
    run = begin(step("z"), step("a"), flow=workflow(max_parallel_steps=1))
    assert run.steps() == {"z": "running", "a": "waiting"}


def test_two_waits_side_by_side_do_not_disturb_each_other():
    run = begin(step("e1", "wait_for_event"), step("e2", "wait_for_event"), step("a", "job", "e1"))
    run.send(events.EventReceived("e1", {"n": 1}))
    assert run.steps() == {"e1": "completed", "e2": "waiting", "a": "running"}
    assert len(run.of(effects.OpenTrigger)) == 2
    run.send(events.EventReceived("e2"))
    run.job_ended("a")
    assert run.status == "completed"


# ------------------------------------------------------------------------------------ conditions


def status_is(ref, status):
    return {"type": "step_status", "step_ref": ref, "status": status}


def test_a_false_condition_skips_a_step_and_releases_those_behind_it():
    run = begin(
        step("a"),
        step("b", "job", "a", condition=status_is("a", "failed")),
        step("c", "job", "b"),
        step("d", "job", "c"),
    )
    run.job_ended("a")
    assert run.steps() == {"a": "completed", "b": "skipped", "c": "running", "d": "waiting"}
    decision = next(e.data for e in run.entries if e.type == "decision")
    assert decision == {
        "step_run_id": run["b"].id,
        "step_ref": "b",
        "decision_type": "condition",
        "decision": "skip",
        "explanation": "condition evaluated to false",
        "details": status_is("a", "failed"),
    }


def test_a_condition_on_a_root_is_evaluated():
    run = begin(step("a", condition={"type": "any_of"}), step("b", "job", "a"))
    assert run.steps() == {"a": "skipped", "b": "running"}


def test_a_run_of_skipped_steps_is_completed_at_once():
    run = begin(
        step("a", condition={"type": "any_of"}), step("b", "job", "a", condition={"type": "any_of"})
    )
    assert run.steps() == {"a": "skipped", "b": "skipped"}
    assert run.status == "completed"


def test_an_unusable_condition_fails_its_step_and_the_policy_decides():
    bad = {"type": "nope"}
    run = begin(step("a"), step("b", "job", "a", condition=bad))
    run.job_ended("a")
    assert run["b"].error == 'unknown condition type: "nope"'
    assert (run.status, run.run.error) == ("failed", 'unknown condition type: "nope"')

    run = begin(step("a", condition=None, on_failure="continue"), step("b", "job", "a"))
    assert run.steps() == {"a": "failed", "b": "running"}


# -------------------------------------------------------------------------------------- payloads


def test_a_step_is_given_the_trigger_its_own_payload_and_what_came_before():
    run = begin(
        step("a", payload={"who": "{{user.name}}", "k": 1}),
        step("b", "job", "a", payload={"k": 2}),
        step("c", "job", "b"),
        payload={"user": {"name": "Ann"}, "k": 0},
    )
    assert run.payload("a") == {"user": {"name": "Ann"}, "k": 1, "who": "Ann"}
    run.job_ended("a", output={"n": 5})
    assert run.payload("b") == {"user": {"name": "Ann"}, "k": 2, "parent_outputs": {"a": {"n": 5}}}
    run.job_ended("b")
    assert run.payload("c") == {"user": {"name": "Ann"}, "k": 0, "parent_outputs": {}}


@pytest.mark.parametrize(
    ("trigger", "own", "given"),
    [
        (UNSET, UNSET, UNSET),
        ([1], UNSET, [1]),
        (UNSET, {"a": 1}, {"a": 1}),
        ([1], {"a": 1}, {"a": 1}),
        ({"a": 1}, [2], [2]),
        ({"a": 1}, None, None),
    ],
)
def test_a_root_without_two_objects_gets_one_of_the_payloads(trigger, own, given):
    assert begin(step("a", payload=own), payload=trigger).payload("a") == given


@pytest.mark.parametrize(
    ("trigger", "own", "given"),
    [
        (UNSET, UNSET, {"parent_outputs": {"a": 1}}),
        ({"parent_outputs": 0}, {"b": 2}, {"parent_outputs": {"a": 1}, "b": 2}),
        ([1], UNSET, [1]),
        ([1], {"b": 2}, {"b": 2}),
        ({"b": 2}, "text", "text"),
        (UNSET, "text", "text"),
    ],
)
def test_outputs_are_added_to_objects_and_dropped_beside_anything_else(trigger, own, given):
    run = begin(step("a"), step("b", "job", "a", payload=own), payload=trigger)
    run.job_ended("a", output=1)
    assert run.payload("b") == given


def test_a_template_that_explodes_fails_its_step():
    run = begin(step("a", payload=["{{x}}"] * 10), payload={"x": "y" * 1_000_000})
    assert run.status == "failed"
    assert "expands to more than" in run["a"].error


def test_an_output_is_transformed_or_kept_with_a_warning():
    run = begin(step("a", output_transform="items.#.n"), step("b", output_transform="nowhere"))
    run.job_ended("a", output={"items": [{"n": 1}, {"n": 2}]})
    run.job_ended("b", output={"x": 1})
    assert run["a"].output == [1, 2]
    assert run["b"].output == {"x": 1}
    warning = next(e for e in run.entries if e.level == "warn")
    assert 'output transform: path "nowhere" not found in output' in warning.message


# ----------------------------------------------------------------------------------------- retry


def test_a_retry_keeps_what_was_completed_and_does_the_rest():
    flow = workflow(tags={"t": "1"}, timeout_secs=60, version_id="ver_x")
    first = begin(
        step("a"), step("b", "job", "a"), step("c", "job", "b"), flow=flow, payload={"x": 1},
        snapshot_id="snap",
    )  # fmt: skip
    first.job_ended("a", output={"n": 1})
    first.job_ended("b", "dead_letter", error="boom")
    again = begin_retry(first, timeout_secs=60)
    assert again.steps() == {"a": "completed", "b": "running", "c": "waiting"}
    assert again["a"].output == {"n": 1}
    assert again.payload("b") == {"x": 1, "parent_outputs": {"a": {"n": 1}}}
    run = again.run
    assert (run.triggered_by, run.retry_of_run_id) == ("retry", first.run.id)
    assert (run.tags, run.workflow_snapshot_id, run.workflow_version_id) == (
        {"t": "1"}, "snap", "ver_x",
    )  # fmt: skip
    assert run.expires_at == to_timestamp(again.now + 60 * SECOND)
    assert [e.ref for e in again.of(effects.StartJob)] == ["b"]


def test_a_retry_with_nothing_left_to_do_is_completed_at_once():
    first = begin(step("a"))
    first.job_ended("a", output=1)
    again = begin_retry(first)
    assert (again.status, again["a"].output) == ("completed", 1)
    assert again.of(effects.StartJob) == []


def test_a_run_that_goes_on_cannot_be_retried():
    with pytest.raises(Refused) as caught:
        begin_retry(begin(step("a")))
    assert (caught.value.status, caught.value.message) == (
        400,
        "can only retry a workflow run in terminal state",
    )
