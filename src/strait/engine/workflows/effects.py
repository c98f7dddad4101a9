"""What a decision over a workflow run asks the shell to do, in the same transaction.

An effect that the shell cannot carry out (a job that is gone, an event key in use) comes back as
the event `StartFailed`.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import UNSET, Struct, UnsetType

from strait.engine.model import EventTrigger, Json, StepDefinition


class StartJob(Struct, frozen=True):
    """Enqueue the job run of a step, under an id that the step holds already.

    Attributes:
        definition: has the retry fields and the timeout that replace those of the job.
    """

    ref: str
    step_run_id: str
    job_run_id: str
    job_id: str
    payload: Json | UnsetType
    definition: StepDefinition


class StartChild(Struct, frozen=True):
    """Trigger the workflow of a sub-workflow step.

    Attributes:
        max_nesting_depth: how many ancestors the child's parent must stay below.
    """

    ref: str
    step_run_id: str
    workflow_id: str
    payload: Json | UnsetType
    max_nesting_depth: int


class OpenTrigger(Struct, frozen=True):
    """Begin to wait: for an event, for the end of a sleep, or beside an approval."""

    ref: str
    trigger: EventTrigger


class SettleTriggers(Struct, frozen=True):
    """End whatever a step still waits for.

    Attributes:
        status: `received`, `timed_out` or `canceled`.
        payload: what was received instead of an event, if anything.
    """

    step_run_id: str
    status: str
    error: str = ""
    payload: Json | UnsetType = UNSET


class CancelJob(Struct, frozen=True):
    """Cancel the job run of a step."""

    job_run_id: str
    error: str


class CancelChild(Struct, frozen=True):
    """Cancel the workflow run that a sub-workflow step has started."""

    step_run_id: str
    error: str


class PauseJob(Struct, frozen=True):
    """Hold a job run if it is executing."""

    job_run_id: str


class ResumeJob(Struct, frozen=True):
    """Let a job run go on that is held."""

    job_run_id: str


class EmitEvent(Struct, frozen=True):
    """Send an event to whoever waits for it in the same project; nobody may."""

    event_key: str
    payload: Json | UnsetType


class ParentStepEnded(Struct, frozen=True):
    """Tell the parent's step, as `ChildEnded`, that this run is over.

    Attributes:
        outputs: `{step_ref: output}` of all steps that have one.
    """

    workflow_run_id: str
    parent_workflow_run_id: str
    parent_step_run_id: str
    workflow_id: str
    status: str
    outputs: dict[str, Json]
    error: str


class StatusChanged(Struct, frozen=True):
    """Publish a change of the run's status to streams, webhooks and channels."""

    from_status: str
    to_status: str
    reason: str


class StartCompensation(Struct, frozen=True):
    """Enqueue the job run that undoes a step; its end comes back as `CompensationEnded`."""

    ref: str
    step_run_id: str
    job_id: str
    payload: dict[str, Json]
    timeout_secs: int


class CancelCompensation(Struct, frozen=True):
    """Cancel the job run that undoes a step just now."""

    error: str


Effect: TypeAlias = (
    StartJob
    | StartChild
    | OpenTrigger
    | SettleTriggers
    | CancelJob
    | CancelChild
    | PauseJob
    | ResumeJob
    | EmitEvent
    | ParentStepEnded
    | StatusChanged
    | StartCompensation
    | CancelCompensation
)
