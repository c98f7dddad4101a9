"""How a workflow run begins: by a trigger, or as the retry of an earlier one.

`contract/workflows.md` §3.1 and §3.15.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import UNSET, Struct, UnsetType, field
from msgspec.structs import replace

from strait import dag
from strait.clock import to_timestamp
from strait.engine.model import Json, StepDefinition, StepRun, Tags, Workflow, WorkflowRun
from strait.engine.refusal import Refused
from strait.engine.workflows.advance import advance
from strait.engine.workflows.definitions import dag_fault
from strait.engine.workflows.draft import Draft, costs_nothing
from strait.engine.workflows.instants import in_secs
from strait.engine.workflows.policies import Policy, policy_violation
from strait.engine.workflows.state import State, Transition
from strait.fsm import is_terminal_workflow_run_status


class StartRequest(Struct, frozen=True, kw_only=True):
    """What a run is started with.

    Attributes:
        workflow: the workflow as it is now, or its version that was chosen.
        steps: what `admitted_steps` returned.
        tags: they win over those of the workflow.
        snapshot_id: where the store keeps `steps`.
    """

    workflow: Workflow
    steps: tuple[StepDefinition, ...]
    triggered_by: str = "manual"
    payload: Json | UnsetType = UNSET
    tags: Tags = field(default_factory=dict)
    created_by: str = ""
    snapshot_id: str = ""
    parent_workflow_run_id: str = ""
    parent_step_run_id: str = ""
    trace_context: Tags = field(default_factory=dict)


def admitted_steps(
    workflow: Workflow,
    steps: tuple[StepDefinition, ...],
    *,
    overrides: Mapping[str, bool] | None = None,
    running: int = 0,
    policy: Policy | None = None,
) -> tuple[StepDefinition, ...]:
    """Return the steps that a new run of a workflow follows.

    Args:
        workflow: the workflow.
        steps: its steps.
        overrides: `{step_ref: enabled}` of the trigger.
        running: how many runs of the workflow have the status `running`.
        policy: the policy of the project, if it has one.

    Raises:
        Refused: 409, the workflow is disabled, breaks the policy, has no steps or a cycle, or has
            as many runs as it may; 400, the overrides are wrong.
    """
    if not workflow.enabled:
        raise Refused(409, "workflow is disabled")
    if policy is not None and (violation := policy_violation(policy, steps)):
        raise Refused(409, violation)
    steps = apply_overrides(steps, overrides or {})
    if fault := dag_fault(steps):
        raise Refused(409, fault)
    require_room(workflow, running)
    return steps


def require_room(workflow: Workflow, running: int) -> None:
    """Check that a workflow may have one more run.

    Args:
        workflow: the workflow.
        running: how many runs of it have the status `running`.

    Raises:
        Refused: 409, the workflow is disabled, or has as many runs as it may.
    """
    if not workflow.enabled:
        raise Refused(409, "workflow is disabled")
    limit = workflow.max_concurrent_runs
    if 0 < limit <= running:
        raise Refused(409, f"workflow {workflow.id}: max concurrent runs ({limit}) reached")


def apply_overrides(
    steps: tuple[StepDefinition, ...], overrides: Mapping[str, bool]
) -> tuple[StepDefinition, ...]:
    """Return the steps without those that are disabled, which nobody depends on any more.

    Raises:
        Refused: 400, a ref is unknown, or nothing is left.
    """
    known = {step.step_ref for step in steps}
    for ref in overrides:
        if ref not in known:
            raise Refused(400, f'step override references unknown step_ref "{ref}"')
    disabled = {ref for ref, enabled in overrides.items() if not enabled}
    if not disabled:
        return steps
    if disabled == known:
        raise Refused(400, "all steps disabled by overrides")
    return tuple(
        replace(step, depends_on=tuple(dep for dep in step.depends_on if dep not in disabled))
        for step in steps
        if step.step_ref not in disabled
    )


def start(
    request: StartRequest,
    now: int,
    new_id: Callable[[], str],
    mean_cost: Callable[[str], int] = costs_nothing,
) -> Transition:
    """Return a new run of a workflow with its first steps started.

    Args:
        request: what it is started with.
        now: the instant in microseconds since the epoch.
        new_id: makes the ids of the run, its steps and their job runs.
        mean_cost: says what a run of a job costs on average, in microusd, where a step asks.
    """
    workflow = request.workflow
    stamp = to_timestamp(now)
    run = WorkflowRun(
        id=new_id(),
        workflow_id=workflow.id,
        project_id=workflow.project_id,
        status="pending",
        triggered_by=request.triggered_by or "manual",
        workflow_version=workflow.version,
        created_at=stamp,
        tags={**workflow.tags, **request.tags},
        max_parallel_steps=workflow.max_parallel_steps,
        payload=request.payload,
        expires_at=in_secs(now, workflow.timeout_secs),
        parent_workflow_run_id=request.parent_workflow_run_id,
        parent_step_run_id=request.parent_step_run_id,
        workflow_version_id=workflow.version_id,
        workflow_snapshot_id=request.snapshot_id,
        created_by=request.created_by,
        expected_completion_at=in_secs(now, longest_path_secs(request.steps)),
        trace_context=request.trace_context,
    )
    draft = Draft(State(run, request.steps, {}), now, new_id, mean_cost)
    return _begin(draft, {}, "trigger")


def retry(
    original: State,
    now: int,
    new_id: Callable[[], str],
    mean_cost: Callable[[str], int] = costs_nothing,
    *,
    created_by: str = "",
    timeout_secs: int = 0,
    undone: Collection[str] = (),
) -> Transition:
    """Return a new run that does again what the original has not completed.

    Completed steps keep their outputs. If all are, the new run is completed at once. What was
    undone since, and whatever depends on it, is done again.

    Args:
        original: the run that is over.
        now: the instant in microseconds since the epoch.
        new_id: makes the ids of the run, its steps and their job runs.
        mean_cost: says what a run of a job costs on average, in microusd, where a step asks.
        created_by: who asked; "" for who created the original.
        timeout_secs: how long the new run may take; 0 is without limit.
        undone: refs of the steps that a compensation of the original has undone.

    Raises:
        Refused: 400, the original has not ended.
    """
    old = original.run
    if not is_terminal_workflow_run_status(old.status):
        raise Refused(400, "can only retry a workflow run in terminal state")
    run = WorkflowRun(
        id=new_id(),
        workflow_id=old.workflow_id,
        project_id=old.project_id,
        status="pending",
        triggered_by="retry",
        workflow_version=old.workflow_version,
        created_at=to_timestamp(now),
        tags=old.tags,
        max_parallel_steps=old.max_parallel_steps,
        payload=old.payload,
        expires_at=in_secs(now, timeout_secs),
        retry_of_run_id=old.id,
        workflow_version_id=old.workflow_version_id,
        workflow_snapshot_id=old.workflow_snapshot_id,
        created_by=created_by or old.created_by,
        expected_completion_at=in_secs(now, longest_path_secs(original.steps)),
        trace_context=old.trace_context,
    )
    draft = Draft(State(run, original.steps, {}), now, new_id, mean_cost)
    again = {*undone, *(below for ref in undone for below in draft.descendants(ref))}
    done = {
        ref: step
        for ref, step in original.step_runs.items()
        if step.status == "completed" and ref not in again
    }
    return _begin(draft, done, "retry")


def longest_path_secs(steps: Sequence[StepDefinition]) -> int:
    """Return how long the slowest chain of steps is expected to take; 0 if nobody said."""
    durations = {step.step_ref: step.expected_duration_secs for step in steps}
    depends_on = {step.step_ref: step.depends_on for step in steps}
    ends: dict[str, int] = {}
    for ref in dag.topological_order(depends_on):
        ends[ref] = durations[ref] + max((ends[dep] for dep in depends_on[ref]), default=0)
    return max(ends.values(), default=0)


def _begin(draft: Draft, done: Mapping[str, StepRun], reason: str) -> Transition:
    draft.move_run("running", reason, started_at=draft.stamp)
    for place, step in enumerate(draft.steps.values()):
        before = done.get(step.step_ref)
        draft.add_step(_step_run(draft.run.id, step, draft.new_id(), draft.now + place, before))
    draft.recount(list(draft.step_runs))
    advance(draft)
    return draft.transition()


def _step_run(
    run_id: str, step: StepDefinition, step_run_id: str, now: int, done: StepRun | None
) -> StepRun:
    # Each row has an instant of its own, so that pages of them can be told apart.
    stamp = to_timestamp(now)
    # A dependency that is named twice counts once.
    required = len(set(step.depends_on))
    fresh = StepRun(
        id=step_run_id,
        workflow_run_id=run_id,
        workflow_step_id=step.id,
        step_ref=step.step_ref,
        status="waiting" if required else "pending",
        attempt=1,
        deps_completed=0,
        deps_required=required,
        created_at=stamp,
    )
    if done is None:
        return fresh
    return replace(
        fresh,
        status="completed",
        deps_completed=required,
        output=done.output,
        started_at=stamp,
        finished_at=stamp,
    )
