"""The steps of a workflow: one class for each step type of the platform, and their wire form.

Steps are checked when they are made. The functions that make them with keywords (`job_step`,
`approval_step`, ...) are in `builders`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from strait.authoring.definitions import Definition
from strait.authoring.validation import MAX_WAIT_SECS, Checks, DefinitionError
from strait.errors import DagValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from strait.errors import Json


class StepType(StrEnum):
    """The kinds of step that the platform knows."""

    JOB = "job"
    APPROVAL = "approval"
    SUB_WORKFLOW = "sub_workflow"
    WAIT_FOR_EVENT = "wait_for_event"
    SLEEP = "sleep"


class OnFailureAction(StrEnum):
    """What becomes of the workflow when a step fails."""

    FAIL_WORKFLOW = "fail_workflow"
    SKIP_DEPENDENTS = "skip_dependents"
    CONTINUE = "continue"


class RetryBackoff(StrEnum):
    """How the delay between the attempts of a step grows."""

    EXPONENTIAL = "exponential"
    FIXED = "fixed"


class ResourceClass(StrEnum):
    """How many steps of a kind may run at once in one workflow run: 50, 20 or 5."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class CostGateAction(StrEnum):
    """What becomes of a step whose cost gate nobody answered in time."""

    FAIL = "fail"
    APPROVE = "approve"


@dataclass(frozen=True, slots=True)
class BaseStepOptions:
    """What any step may say; what is None is left to the platform.

    Attributes:
        depends_on: the steps that must have ended first.
        condition: a condition of the platform over the statuses of other steps; a step whose
            condition is false is skipped.
        on_failure: what a failure does to the workflow; the platform's default is
            `fail_workflow`.
        payload: laid over the payload of the run, for the step's job or sub-workflow.
        retry_max_attempts: attempts in all, instead of the job's `max_attempts`.
        retry_backoff: how the delay between attempts grows.
        retry_initial_delay_secs: delay after the first attempt.
        retry_max_delay_secs: the longest delay.
        timeout_secs_override: seconds for one attempt, instead of the job's `timeout_secs`.
        output_transform: a path into the job's result, which becomes the step's output.
        concurrency_key: steps of one run with the same key run one after the other.
        resource_class: how heavy the step is.
        event_emit_key: an event that is sent when the step completes, with its output.
        expected_duration_secs: how long the step normally takes.
        stage_notifications: `{"on_complete": bool, "on_failure": bool, "on_skipped": bool}`.
        compensation_job_id: the job that undoes this step: its slug, its id or its definition.
        compensation_timeout_secs: seconds for that job.
    """

    depends_on: list[str] = field(default_factory=list)
    condition: Mapping[str, Json] | None = None
    on_failure: OnFailureAction | str | None = None
    payload: Json | None = None
    retry_max_attempts: int | None = None
    retry_backoff: RetryBackoff | str | None = None
    retry_initial_delay_secs: int | None = None
    retry_max_delay_secs: int | None = None
    timeout_secs_override: int | None = None
    output_transform: str | None = None
    concurrency_key: str | None = None
    resource_class: ResourceClass | str | None = None
    event_emit_key: str | None = None
    expected_duration_secs: int | None = None
    stage_notifications: Mapping[str, bool] | None = None
    compensation_job_id: str | Definition | None = None
    compensation_timeout_secs: int | None = None

    def check(self, checks: Checks) -> None:
        """Check every option and turn words into enum members; a step does so when it is made.

        Raises:
            DefinitionError: an option cannot work.
        """
        settle = object.__setattr__
        settle(self, "depends_on", checks.names("depends_on", self.depends_on))
        settle(self, "on_failure", checks.member("on_failure", self.on_failure, OnFailureAction))
        settle(
            self, "retry_backoff", checks.member("retry_backoff", self.retry_backoff, RetryBackoff)
        )
        settle(
            self,
            "resource_class",
            checks.member("resource_class", self.resource_class, ResourceClass),
        )
        for name in _NUMBERS:
            checks.number(name, getattr(self, name))
        for name, longest in _TEXTS.items():
            if getattr(self, name) is not None:
                checks.text(name, getattr(self, name), longest=longest)
        if self.condition is not None and not hasattr(self.condition, "keys"):
            raise checks.refuse(f"`condition` must be an object, not {self.condition!r}")
        for name in ("condition", "payload", "stage_notifications"):
            checks.json(name, getattr(self, name))
        if self.compensation_job_id is not None:
            check_target(checks, "compensation_job_id", self.compensation_job_id, "job")

    def to_api(self) -> dict[str, Json]:
        """Return the options that were given, in the platform's names."""
        given = ((name, getattr(self, name)) for name in _WIRE_OPTIONS)
        body = {name: value for name, value in given if value is not None}
        if self.depends_on:
            body = {"depends_on": list(self.depends_on), **body}
        if self.compensation_job_id is not None:
            body["compensation_job_id"] = target_name(self.compensation_job_id)
        return body


_NUMBERS = (
    "retry_max_attempts",
    "retry_initial_delay_secs",
    "retry_max_delay_secs",
    "timeout_secs_override",
    "expected_duration_secs",
    "compensation_timeout_secs",
)
_TEXTS = {"output_transform": 4096, "concurrency_key": 128, "event_emit_key": 512}
_WIRE_OPTIONS = (
    "condition",
    "on_failure",
    "payload",
    "retry_max_attempts",
    "retry_backoff",
    "retry_initial_delay_secs",
    "retry_max_delay_secs",
    "timeout_secs_override",
    "output_transform",
    "concurrency_key",
    "resource_class",
    "event_emit_key",
    "expected_duration_secs",
    "stage_notifications",
    "compensation_timeout_secs",
)


@runtime_checkable
class Step(Protocol):
    """A step of any type."""

    def step_ref(self) -> str:
        """Return the name of the step in its workflow."""
        ...

    def type(self) -> StepType:
        """Return the platform's type of the step."""
        ...

    def base_options(self) -> BaseStepOptions:
        """Return the options that every type has."""
        ...


@dataclass(frozen=True, slots=True)
class _StepBase:
    """The name and the options, which every type has."""

    ref: str

    def step_ref(self) -> str:
        """Return the name of the step in its workflow."""
        return self.ref

    def _checks(self, options: BaseStepOptions) -> Checks:
        """Check what all steps have and return the checks for what one type has."""
        if not isinstance(self.ref, str) or not self.ref:
            raise DefinitionError(f"a step must have a name, not {self.ref!r}")
        checks = Checks(f"step `{self.ref}`")
        checks.text("step_ref", self.ref)
        options.check(checks)
        if self.ref in options.depends_on:
            # A cycle of one, told where it is written.
            text = f"step `{self.ref}`: `depends_on` must not name the step itself"
            raise DagValidationError(text, cycles=[self.ref])
        return checks


@dataclass(frozen=True, slots=True)
class JobStep(_StepBase):
    """Runs a job; its output is the job's result.

    Attributes:
        ref: the name of the step.
        job_id: the job: its slug, its id or its definition; registration finds the id.
        options: what every step has.
        cost_gate_threshold_microusd: the step waits for an approval, by anybody, before it runs a
            job whose runs have cost more than this in the mean, in millionths of a US dollar. The
            embedded platform only.
        cost_gate_timeout_secs: seconds until nobody has answered; the platform's default is an
            hour.
        cost_gate_default_action: what then becomes of the step; the platform's default is `fail`.
    """

    job_id: str | Definition
    options: BaseStepOptions = field(default_factory=BaseStepOptions)
    cost_gate_threshold_microusd: int | None = None
    cost_gate_timeout_secs: int | None = None
    cost_gate_default_action: CostGateAction | str | None = None

    def __post_init__(self) -> None:
        checks = self._checks(self.options)
        check_target(checks, "job_id", self.job_id, "job")
        checks.number("cost_gate_threshold_microusd", self.cost_gate_threshold_microusd, least=1)
        checks.number(
            "cost_gate_timeout_secs", self.cost_gate_timeout_secs, least=1, most=MAX_WAIT_SECS
        )
        action = checks.member(
            "cost_gate_default_action", self.cost_gate_default_action, CostGateAction
        )
        object.__setattr__(self, "cost_gate_default_action", action)
        if self.cost_gate_threshold_microusd is None:
            for name in ("cost_gate_timeout_secs", "cost_gate_default_action"):
                if getattr(self, name) is not None:
                    raise checks.refuse(f"`{name}` needs `cost_gate_threshold_microusd`")

    def type(self) -> StepType:
        """Return the platform's type of the step."""
        return StepType.JOB

    def base_options(self) -> BaseStepOptions:
        """Return the options that every type has."""
        return self.options


@dataclass(frozen=True, slots=True)
class ApprovalStep(_StepBase):
    """Waits until somebody approves.

    Attributes:
        ref: the name of the step.
        approval_timeout_secs: seconds until the step fails; None waits as long as the run may.
        approvers: who may approve, as the platform names actors (`apikey:<id>`, a user's id);
            with none, anybody who may trigger the workflow.
        options: what every step has.
    """

    approval_timeout_secs: int | None = None
    approvers: list[str] = field(default_factory=list)
    options: BaseStepOptions = field(default_factory=BaseStepOptions)

    def __post_init__(self) -> None:
        checks = self._checks(self.options)
        checks.number("approval_timeout_secs", self.approval_timeout_secs)
        object.__setattr__(self, "approvers", checks.names("approvers", self.approvers))

    def type(self) -> StepType:
        """Return the platform's type of the step."""
        return StepType.APPROVAL

    def base_options(self) -> BaseStepOptions:
        """Return the options that every type has."""
        return self.options


@dataclass(frozen=True, slots=True)
class SubWorkflowStep(_StepBase):
    """Runs another workflow and waits for it; its output holds the outputs of that one's steps.

    Attributes:
        ref: the name of the step.
        sub_workflow_id: the workflow: its slug, its id or its definition.
        max_nesting_depth: how deep workflows may be in one another; the platform's default is 10.
        options: what every step has.
    """

    sub_workflow_id: str | Definition
    max_nesting_depth: int | None = None
    options: BaseStepOptions = field(default_factory=BaseStepOptions)

    def __post_init__(self) -> None:
        checks = self._checks(self.options)
        check_target(checks, "sub_workflow_id", self.sub_workflow_id, "workflow")
        checks.number("max_nesting_depth", self.max_nesting_depth)

    def type(self) -> StepType:
        """Return the platform's type of the step."""
        return StepType.SUB_WORKFLOW

    def base_options(self) -> BaseStepOptions:
        """Return the options that every type has."""
        return self.options


@dataclass(frozen=True, slots=True)
class WaitForEventStep(_StepBase):
    """Waits until an event is sent; its output is the event's payload.

    Attributes:
        ref: the name of the step.
        event_key: the event's key, in which `{{name}}` stands for values of the run's payload.
        event_timeout_secs: seconds until the step fails; the platform's default is an hour.
        event_notify_url: a URL that is told that the step waits.
        options: what every step has.
    """

    event_key: str
    event_timeout_secs: int | None = None
    event_notify_url: str | None = None
    options: BaseStepOptions = field(default_factory=BaseStepOptions)

    def __post_init__(self) -> None:
        checks = self._checks(self.options)
        checks.text("event_key", self.event_key, longest=512)
        checks.number("event_timeout_secs", self.event_timeout_secs, most=MAX_WAIT_SECS)
        if self.event_notify_url is not None:
            checks.url("event_notify_url", self.event_notify_url)

    def type(self) -> StepType:
        """Return the platform's type of the step."""
        return StepType.WAIT_FOR_EVENT

    def base_options(self) -> BaseStepOptions:
        """Return the options that every type has."""
        return self.options


@dataclass(frozen=True, slots=True)
class SleepStep(_StepBase):
    """Waits for a time.

    Attributes:
        ref: the name of the step.
        sleep_duration_secs: seconds, from 1 to 2,592,000 (30 days).
        options: what every step has.
    """

    sleep_duration_secs: int
    options: BaseStepOptions = field(default_factory=BaseStepOptions)

    def __post_init__(self) -> None:
        checks = self._checks(self.options)
        if self.sleep_duration_secs is None:
            raise checks.refuse("`sleep_duration_secs` is missing")
        checks.number("sleep_duration_secs", self.sleep_duration_secs, least=1, most=MAX_WAIT_SECS)

    def type(self) -> StepType:
        """Return the platform's type of the step."""
        return StepType.SLEEP

    def base_options(self) -> BaseStepOptions:
        """Return the options that every type has."""
        return self.options


def step_to_api(step: Step) -> dict[str, Json]:
    """Return a step as the platform's API takes it, in the platform's names.

    Jobs and workflows stay named as the step names them; registration puts their ids.
    """
    body: dict[str, Json] = {"step_ref": step.step_ref(), "step_type": step.type().value}
    body |= step.base_options().to_api()
    match step:
        case JobStep():
            body["job_id"] = target_name(step.job_id)
            body |= _given(step, *_COST_GATE)
        case ApprovalStep():
            body |= _given(step, "approval_timeout_secs")
            # An empty list says "anybody"; leaving it out would say the same less clearly.
            body["approval_approvers"] = list(step.approvers)
        case SubWorkflowStep():
            body["sub_workflow_id"] = target_name(step.sub_workflow_id)
            body |= _given(step, "max_nesting_depth")
        case WaitForEventStep():
            body |= _given(step, "event_key", "event_timeout_secs", "event_notify_url")
        case SleepStep():
            body["sleep_duration_secs"] = step.sleep_duration_secs
        case _:
            raise DefinitionError(f"{step!r} is no step that can be sent to the platform")
    return body


_COST_GATE = (
    "cost_gate_threshold_microusd",
    "cost_gate_timeout_secs",
    "cost_gate_default_action",
)


def target_name(target: str | Definition) -> str:
    """Return the slug or the id that a step names its job or workflow by."""
    return target.slug if isinstance(target, Definition) else target


def check_target(checks: Checks, name: str, target: object, kind: str) -> None:
    """Check that a step names a job (or a workflow), or holds the definition of one."""
    if isinstance(target, Definition):
        if target.kind != kind:
            raise checks.refuse(f"`{name}` must be a {kind}, not {target!r}")
        return
    checks.text(name, target)


def _given(step: Step, *names: str) -> dict[str, Json]:
    return {name: getattr(step, name) for name in names if getattr(step, name) is not None}


def edges(steps: Sequence[Step]) -> list[tuple[str, list[str]]]:
    """Return the steps with what each depends on, for `strait.dag`."""
    return [(step.step_ref(), step.base_options().depends_on) for step in steps]


def held_by(steps: Sequence[Step]) -> list[Definition]:
    """Return the jobs and workflows that steps hold as definitions, each once."""
    found: dict[int, Definition] = {}
    for step in steps:
        targets: list[object] = []
        if isinstance(step, JobStep):
            targets.append(step.job_id)
        elif isinstance(step, SubWorkflowStep):
            targets.append(step.sub_workflow_id)
        targets.append(step.base_options().compensation_job_id)
        found |= {id(target): target for target in targets if isinstance(target, Definition)}
    return list(found.values())
