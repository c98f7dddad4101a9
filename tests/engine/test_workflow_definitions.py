"""What definitions may be, in the words of the platform, and what can be told of them."""

from __future__ import annotations

import pytest
from msgspec import UNSET, Raw, json

from strait.engine.refusal import Refused
from strait.engine.workflows import graphs
from strait.engine.workflows.definitions import (
    check_kept_refs,
    check_references,
    check_settings,
    check_steps,
    dag_fault,
    step_definition,
)
from strait.engine.workflows.policies import Policy, policy_violation
from strait.server._generated.bodies import WorkflowStepRequest

from .workflow_support import STAMP, step


def asked(ref="a", **fields):
    """Return a step as a request has it."""
    raw = {"step_ref": ref, "job_id": "j", **fields}
    return json.decode(json.encode(raw), type=WorkflowStepRequest)


def refusal(check, *arguments):
    with pytest.raises(Refused) as caught:
        check(*arguments)
    assert caught.value.status == 400
    return caught.value.message


def allow(url):
    if not url.startswith("https://"):
        raise ValueError("only https is allowed")


# ------------------------------------------------------------------------------------- validation


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([asked("")], "each step requires step_ref"),
        ([asked("a"), asked("a")], "duplicate step_ref: a"),
        ([asked(step_type="cron")], 'step a has invalid step_type "cron"'),
        ([asked(job_id="")], "job steps require job_id"),
        ([asked(step_type="approval")], "approval steps require approval_approvers"),
        (
            [asked(step_type="approval", approval_approvers=["x"], approval_timeout_secs=-1)],
            "approval_timeout_secs must be >= 0",
        ),
        ([asked(step_type="sub_workflow")], "sub_workflow steps require sub_workflow_id"),
        (
            [asked(step_type="sub_workflow", sub_workflow_id="w")],
            "sub_workflow steps must not have job_id",
        ),
        (
            [asked(step_type="sub_workflow", sub_workflow_id="w", job_id="", max_nesting_depth=-1)],
            "max_nesting_depth must be >= 0",
        ),
        ([asked(step_type="wait_for_event")], "wait_for_event steps require event_key"),
        (
            [asked(step_type="wait_for_event", event_key="x" * 513)],
            "event_key must be at most 512 characters",
        ),
        ([asked(step_type="sleep")], "sleep steps require sleep_duration_secs > 0"),
        (
            [asked(step_type="sleep", sleep_duration_secs=2_592_001)],
            "sleep_duration_secs must be <= 2592000",
        ),
        (
            [asked(event_notify_url="ftp://x")],
            "step a has invalid event_notify_url: only https is allowed",
        ),
        ([asked(timeout_secs_override=-1)], "timeout_secs_override must be >= 0"),
        ([asked(concurrency_key="k" * 129)], "concurrency_key must be at most 128 characters"),
        ([asked(resource_class="huge")], "resource_class must be one of small, medium, large"),
        ([asked(depends_on=[""])], "depends_on cannot contain empty values"),
        ([asked(depends_on=["a"])], "step cannot depend on itself"),
        ([asked(depends_on=["b"])], 'step "a" depends on unknown step "b"'),
        (
            [asked("a", depends_on=["b"]), asked("b", depends_on=["a"])],
            "workflow has circular dependencies",
        ),
        ([asked(f"s{i}") for i in range(1001)], "workflow cannot have more than 1000 steps"),
    ],
)
def test_a_wrong_step_is_refused_in_the_words_of_the_platform(steps, message):
    assert refusal(check_steps, steps, allow) == message


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [asked("a"), asked("b", depends_on=["a", "a"])],
        [asked(type="approval", approvers=["x"])],
        [asked(step_type="approval", approval_approvers=[])],
        [asked(event_notify_url="https://x/")],
        [asked(step_type="sleep", sleep_duration_secs=2_592_000)],
        [asked(output_transform="((", condition={"type": "nope"})],
    ],
)
def test_what_the_platform_takes_is_taken(steps):
    assert check_steps(steps, allow) is None


def test_a_step_is_kept_with_the_defaults_of_the_platform():
    kept = step_definition(asked(depends_on=["x"]), "id", "wf", STAMP)
    assert json.decode(json.encode(kept)) == {
        "id": "id",
        "workflow_id": "wf",
        "step_ref": "a",
        "created_at": STAMP,
        "depends_on": ["x"],
        "on_failure": "fail_workflow",
        "step_type": "job",
        "retry_backoff": "exponential",
        "resource_class": "small",
        "job_id": "j",
    }


def test_null_and_absent_are_two_things():
    assert step_definition(asked(), "id", "wf", STAMP).payload is UNSET
    kept = step_definition(asked(payload=None, condition={"type": "x"}), "id", "wf", STAMP)
    assert kept.payload is None
    assert kept.condition == {"type": "x"}
    request = asked()
    request.payload = Raw(b'{"n":1}')
    assert step_definition(request, "id", "wf", STAMP).payload == {"n": 1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((-1, "", ""), "max_parallel_steps must be >= 0"),
        ((0, "0 0 * * *", "Mars/Base"), "invalid cron_timezone"),
        ((0, "0 0 * *", ""), "invalid cron expression"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    assert refusal(check_settings, *settings) == message
    assert check_settings(0, "@every 5m", "Europe/Berlin") is None
    assert check_settings(2, "", "") is None


def test_what_a_step_refers_to_must_be_in_its_project():
    steps = [asked("a"), asked("b", compensation_job_id="undo")]
    sub = [asked("s", job_id="", step_type="sub_workflow", sub_workflow_id="w")]
    jobs, flows = {"j": "p1", "undo": "p1"}, {"w": "p1"}
    assert check_references([*steps, *sub], "p1", jobs, flows) is None
    assert refusal(check_references, steps, "p1", {}, {}) == "step a references unknown job j"
    assert (
        refusal(check_references, steps, "p1", {"j": "p1", "undo": "p2"}, {})
        == "step b references job outside workflow project"
    )
    assert (
        refusal(check_references, sub, "p1", jobs, {}) == "step s references unknown sub_workflow w"
    )
    assert (
        refusal(check_references, sub, "p1", jobs, {"w": "p2"})
        == "step s references sub_workflow outside workflow project"
    )


def test_a_change_keeps_all_refs():
    old = [step("a"), step("b")]
    assert check_kept_refs(old, [asked("b"), asked("a"), asked("c")]) is None
    assert refusal(check_kept_refs, old, [asked("a")]) == (
        'removing step_ref "b" is not supported; disable it with step overrides instead'
    )


# --------------------------------------------------------------------------------------- policies


@pytest.mark.parametrize(
    ("policy", "violation"),
    [
        (Policy(), ""),
        (Policy(max_fan_out=2, max_depth=3), ""),
        (Policy(max_fan_out=1), "step a fan-out 2 exceeds max_fan_out 1"),
        (Policy(max_depth=2), "workflow depth 3 exceeds max_depth 2"),
        (Policy(forbidden_step_types=(" SLEEP ",)), "step nap uses forbidden step_type sleep"),
        (
            Policy(require_approval_for_deploy=True),
            "approval step is required for deploy-like workflows",
        ),
    ],
)
def test_a_policy_says_what_is_wrong(policy, violation):
    steps = [
        step("a"),
        step("Deploy", "job", "a"),
        step("nap", "sleep", "a"),
        step("z", "job", "nap"),
    ]
    told = policy_violation(policy, steps)
    assert told == (f"workflow policy violation: {violation}" if violation else "")


def test_an_approval_anywhere_satisfies_the_policy():
    policy = Policy(require_approval_for_deploy=True)
    assert policy_violation(policy, [step("release"), step("ok", "approval")]) == ""
    assert policy_violation(policy, [step("deploy", "sleep")]) == ""
    assert policy_violation(Policy(max_depth=1), []) == ""


# ----------------------------------------------------------------------------------------- graphs

DIAMOND = [
    step("b", "job", "a"),
    step("c", "job", "a"),
    step("a"),
    step("d", "job", "c", "b"),
    step("x"),
]


def test_a_plan_orders_equals_by_their_refs():
    plan = graphs.plan("wf", 3, DIAMOND)
    assert plan == graphs.Plan("wf", 3, 5, ["a", "x"], ["a", "b", "c", "d", "x"])
    simulation = graphs.simulate("wf", 3, DIAMOND)
    assert simulation.predicted_order == plan.topological_order


def test_a_graph_lists_the_dependents_of_every_step():
    graph = graphs.graph("wf", DIAMOND)
    assert graph.roots == ["a", "x"]
    assert graph.adjacency == {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": [], "x": []}


def test_a_graph_can_be_drawn():
    assert graphs.dot("wf", [step("a"), step("b", "job", "a"), step('x"')]).dot == (
        'digraph workflow {\n  "a" -> "b";\n  "b";\n  "x\\"";\n}\n'
    )


def test_a_diff_tells_which_refs_came_and_went():
    diff = graphs.diff("v1", [step("a"), step("b")], "v2", [step("b"), step("c")])
    assert (diff.added_steps, diff.removed_steps) == (["c"], ["a"])


def test_steps_that_cannot_run_are_told_as_the_trigger_does():
    assert dag_fault([]) == "workflow must have at least one step"
    assert dag_fault(DIAMOND) == ""
    assert dag_fault([asked("a", depends_on=["b"])]) == 'step "a" depends on unknown step "b"'
