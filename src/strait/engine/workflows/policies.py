"""What a project allows its workflows to be (`contract/workflows.md` §1.5)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from strait import dag
from strait.engine.model import StepDefinition

_DEPLOY_WORDS = ("deploy", "release")


class Policy(Struct, frozen=True, kw_only=True):
    """The limits of a project; 0 is no limit.

    Attributes:
        max_fan_out: how many steps may depend on one.
        max_depth: how many steps a chain may have; a root alone has one.
        forbidden_step_types: compared without regard to case and outer spaces.
        require_approval_for_deploy: a job step whose ref says "deploy" or "release" needs an
            approval step somewhere in its workflow.
    """

    max_fan_out: int = 0
    max_depth: int = 0
    forbidden_step_types: tuple[str, ...] = ()
    require_approval_for_deploy: bool = False


def policy_violation(policy: Policy, steps: Sequence[StepDefinition]) -> str:
    """Return what is wrong with the steps of a workflow, or "".

    Args:
        policy: the policy of the workflow's project.
        steps: steps that passed `check_steps`; they have no cycle.
    """
    fault = (
        _fan_out(policy, steps)
        or _depth(policy, steps)
        or _forbidden_type(policy, steps)
        or _missing_approval(policy, steps)
    )
    return f"workflow policy violation: {fault}" if fault else ""


def _fan_out(policy: Policy, steps: Sequence[StepDefinition]) -> str:
    limit = policy.max_fan_out
    if limit <= 0:
        return ""
    dependents = dag.dependents([(step.step_ref, step.depends_on) for step in steps])
    for ref, those in dependents.items():
        if len(those) > limit:
            return f"step {ref} fan-out {len(those)} exceeds max_fan_out {limit}"
    return ""


def _depth(policy: Policy, steps: Sequence[StepDefinition]) -> str:
    limit = policy.max_depth
    if limit <= 0 or not steps:
        return ""
    depends_on = {step.step_ref: step.depends_on for step in steps}
    depths: dict[str, int] = {}
    for ref in dag.topological_order(depends_on):
        depths[ref] = 1 + max((depths[dep] for dep in depends_on[ref]), default=0)
    depth = max(depths.values())
    return f"workflow depth {depth} exceeds max_depth {limit}" if depth > limit else ""


def _forbidden_type(policy: Policy, steps: Sequence[StepDefinition]) -> str:
    forbidden = {name.strip().lower() for name in policy.forbidden_step_types}
    for step in steps:
        if step.step_type.strip().lower() in forbidden:
            return f"step {step.step_ref} uses forbidden step_type {step.step_type}"
    return ""


def _missing_approval(policy: Policy, steps: Sequence[StepDefinition]) -> str:
    if not policy.require_approval_for_deploy:
        return ""
    deploys = any(
        step.step_type == "job" and any(word in step.step_ref.lower() for word in _DEPLOY_WORDS)
        for step in steps
    )
    approves = any(step.step_type == "approval" for step in steps)
    if deploys and not approves:
        return "approval step is required for deploy-like workflows"
    return ""
