"""Steps: the platform's names on the wire, and refusals when they are made."""

from __future__ import annotations

import re

import pytest

from strait.authoring import (
    ApprovalStep,
    BaseStepOptions,
    CostGateAction,
    DefinitionError,
    JobOptions,
    OnFailureAction,
    ResourceClass,
    RetryBackoff,
    StepType,
    ai_step,
    approval_step,
    define_job,
    job_step,
    sleep_step,
    step_to_api,
    sub_workflow_step,
    validate_dag,
    wait_for_event_step,
)
from strait.errors import DagValidationError, ValidationError


def test_a_job_step_is_sent_in_the_platforms_names():
    step = job_step(
        "charge",
        "charge-job",
        depends_on=["validate"],
        on_failure="skip_dependents",
        payload={"amount": 0},
        condition={"type": "step_status", "step_ref": "validate", "status": "completed"},
        retry_max_attempts=0,
        retry_backoff="fixed",
        resource_class="large",
        compensation_job_id="refund-job",
    )
    assert step_to_api(step) == {
        "step_ref": "charge",
        "step_type": "job",
        "depends_on": ["validate"],
        "condition": {"type": "step_status", "step_ref": "validate", "status": "completed"},
        "on_failure": "skip_dependents",
        "payload": {"amount": 0},
        "retry_max_attempts": 0,
        "retry_backoff": "fixed",
        "resource_class": "large",
        "compensation_job_id": "refund-job",
        "job_id": "charge-job",
    }


def test_what_was_not_given_is_not_sent():
    assert step_to_api(job_step("a", "b")) == {
        "step_ref": "a",
        "step_type": "job",
        "job_id": "b",
    }


@pytest.mark.parametrize("make", [job_step, ai_step])
def test_a_cost_gate_is_sent_with_its_step(make):
    step = make(
        "a",
        "b",
        cost_gate_threshold_microusd=50_000,
        cost_gate_timeout_secs=60,
        cost_gate_default_action="approve",
    )
    gate = {name: said for name, said in step_to_api(step).items() if name.startswith("cost_gate")}
    assert gate == {
        "cost_gate_threshold_microusd": 50_000,
        "cost_gate_timeout_secs": 60,
        "cost_gate_default_action": "approve",
    }
    assert step.cost_gate_default_action is CostGateAction.APPROVE


@pytest.mark.parametrize(
    ("gate", "told"),
    [
        ({"threshold_microusd": 0}, "`cost_gate_threshold_microusd` must be at least 1, not 0"),
        ({"threshold_microusd": 0.5}, "`cost_gate_threshold_microusd` must be a whole number"),
        (
            {"threshold_microusd": 1, "timeout_secs": 2_592_001},
            "`cost_gate_timeout_secs` must be between 1 and 2592000, not 2592001",
        ),
        (
            {"threshold_microusd": 1, "default_action": "skip"},
            "`cost_gate_default_action` must be one of `fail`, `approve`, not 'skip'",
        ),
        ({"timeout_secs": 60}, "`cost_gate_timeout_secs` needs `cost_gate_threshold_microusd`"),
        (
            {"default_action": "fail"},
            "`cost_gate_default_action` needs `cost_gate_threshold_microusd`",
        ),
    ],
)
def test_a_cost_gate_that_cannot_work_is_refused(gate, told):
    with pytest.raises(DefinitionError, match=re.escape(told)):
        job_step("a", "b", **{f"cost_gate_{name}": value for name, value in gate.items()})


@pytest.mark.parametrize(
    ("step", "wire"),
    [
        (approval_step("a"), {"step_type": "approval", "approval_approvers": []}),
        (
            approval_step("a", approval_timeout_secs=60, approvers=["apikey:1"]),
            {
                "step_type": "approval",
                "approval_timeout_secs": 60,
                "approval_approvers": ["apikey:1"],
            },
        ),
        (
            sub_workflow_step("a", "other", max_nesting_depth=2, payload={"x": 1}),
            {
                "step_type": "sub_workflow",
                "sub_workflow_id": "other",
                "max_nesting_depth": 2,
                "payload": {"x": 1},
            },
        ),
        (
            wait_for_event_step("a", "paid:{{order}}", event_timeout_secs=5),
            {
                "step_type": "wait_for_event",
                "event_key": "paid:{{order}}",
                "event_timeout_secs": 5,
            },
        ),
        (sleep_step("a", 30), {"step_type": "sleep", "sleep_duration_secs": 30}),
    ],
)
def test_the_other_types_are_sent_in_the_platforms_names(step, wire):
    assert step_to_api(step) == {"step_ref": "a", **wire}


def test_an_ai_step_has_the_documented_defaults_and_keeps_what_is_given():
    options = ai_step("s", "job", depends_on=["x"]).base_options()
    assert options.depends_on == ["x"]
    assert (options.retry_max_attempts, options.retry_backoff) == (5, RetryBackoff.EXPONENTIAL)
    assert (options.retry_initial_delay_secs, options.retry_max_delay_secs) == (2, 120)
    assert (options.timeout_secs_override, options.resource_class) == (600, ResourceClass.LARGE)
    own = ai_step("s", "job", retry_max_attempts=0, timeout_secs_override=1).base_options()
    assert (own.retry_max_attempts, own.timeout_secs_override) == (0, 1)


def test_words_become_members():
    options = job_step("a", "b", on_failure="continue", retry_backoff="fixed").base_options()
    assert options.on_failure is OnFailureAction.CONTINUE
    assert options.retry_backoff is RetryBackoff.FIXED
    assert approval_step("a").type() is StepType.APPROVAL


def test_a_step_can_be_made_from_its_class_too():
    step = ApprovalStep("ok", approvers=["apikey:1"], options=BaseStepOptions(depends_on=["a"]))
    assert step.step_ref() == "ok"
    assert step.base_options().depends_on == ["a"]


def test_a_step_that_depends_on_itself_is_a_cycle_of_one():
    with pytest.raises(DagValidationError, match="must not name the step itself") as refusal:
        job_step("x", "j", depends_on=["x"])
    assert refusal.value.cycles == ["x"]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: job_step("", "j"), "a step must have a name"),
        (lambda: job_step("x", ""), "step `x`: `job_id` must not be empty"),
        (lambda: job_step("x", None), "step `x`: `job_id` must be a string, not None"),
        (lambda: job_step("x", "j", depends_on="ab"), "`depends_on` must be a list of names"),
        (lambda: job_step("x", "j", depends_on=[""]), "`depends_on` must not be empty"),
        (lambda: job_step("x", "j", on_failure="bogus"), "must be one of `fail_workflow`"),
        (lambda: job_step("x", "j", retry_backoff="linear"), "`retry_backoff` must be one of"),
        (lambda: job_step("x", "j", resource_class="huge"), "`resource_class` must be one of"),
        (lambda: job_step("x", "j", retry_max_attempts=-1), "must be at least 0, not -1"),
        (lambda: job_step("x", "j", retry_max_attempts=True), "must be a whole number, not True"),
        (lambda: job_step("x", "j", timeout_secs_override=1.5), "must be a whole number, not 1.5"),
        (lambda: job_step("x", "j", concurrency_key="k" * 129), "at most 128 may be"),
        (lambda: job_step("x", "j", condition="a == b"), "`condition` must be an object"),
        (lambda: job_step("x", "j", payload={"a": object()}), "`payload` cannot be sent as JSON"),
        (lambda: job_step("x", "j", payload={"a": float("nan")}), "cannot be sent as JSON"),
        (lambda: approval_step("x", approvers="me"), "`approvers` must be a list of names"),
        (lambda: approval_step("x", approval_timeout_secs=-1), "must be at least 0"),
        (lambda: sub_workflow_step("x", ""), "`sub_workflow_id` must not be empty"),
        (lambda: wait_for_event_step("x", ""), "`event_key` must not be empty"),
        (lambda: wait_for_event_step("x", "k" * 513), "`event_key` has 513 characters"),
        (lambda: wait_for_event_step("x", "a\nb"), "must not have control characters"),
        (lambda: wait_for_event_step("x", "k", event_notify_url="ftp://x"), "http or https URL"),
        (lambda: sleep_step("x", -5), "must be between 1 and 2592000, not -5"),
        (lambda: sleep_step("x", 0), "must be between 1 and 2592000, not 0"),
        (lambda: sleep_step("x", 2_592_001), "must be between 1 and 2592000"),
        (lambda: sleep_step("x", None), "`sleep_duration_secs` is missing"),
    ],
)
def test_a_step_that_cannot_work_is_refused_when_it_is_made(make, reason):
    with pytest.raises(DefinitionError) as refusal:
        make()
    assert reason in str(refusal.value)
    assert isinstance(refusal.value, (ValidationError, ValueError))


def test_a_job_step_does_not_take_a_workflow_and_the_other_way_round():
    job = define_job(JobOptions(name="J", slug="j"))
    assert step_to_api(job_step("a", job))["job_id"] == "j"
    with pytest.raises(
        DefinitionError, match="`sub_workflow_id` must be a workflow, not <job 'j'>"
    ):
        sub_workflow_step("a", job)


def test_steps_are_ordered_by_what_they_depend_on():
    steps = [
        job_step("ship", "j", depends_on=["pack", "pay"]),
        job_step("pay", "j"),
        job_step("pack", "j", depends_on=["pay"]),
    ]
    assert validate_dag(steps) == ["pay", "pack", "ship"]
    assert validate_dag([]) == []


def test_a_cycle_is_told_without_what_hangs_on_it():
    steps = [
        job_step("c", "j", depends_on=["b"]),
        job_step("a", "j", depends_on=["b"]),
        job_step("b", "j", depends_on=["a"]),
    ]
    with pytest.raises(DagValidationError, match="in a circle: a -> b -> a") as refusal:
        validate_dag(steps)
    assert refusal.value.cycles == ["a", "b"]


def test_missing_and_repeated_names_are_told():
    steps = [job_step("a", "j", depends_on=["nope"]), job_step("b", "j"), job_step("b", "j")]
    with pytest.raises(DagValidationError) as refusal:
        validate_dag(steps)
    assert refusal.value.missing_refs == ["nope"]
    assert refusal.value.duplicate_refs == ["b"]
    assert "more than one step is called `b`" in str(refusal.value)
    assert "step `a` depends on unknown step `nope`" in str(refusal.value)
