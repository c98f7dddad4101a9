"""What the engine knows of a workflow run, and what it answers."""

from __future__ import annotations

from functools import cached_property

from msgspec import Struct, field

from strait import dag
from strait.engine.entries import Entry
from strait.engine.model import Approval, StepDefinition, StepRun, WorkflowRun
from strait.engine.workflows.effects import Effect
from strait.fsm import is_terminal_workflow_run_status


class Steps(tuple[StepDefinition, ...]):
    """The definitions that a run follows, in their order, and what every event looks up in them.

    All runs of a version share one, so that this is worked out once and not for each event.
    """

    @classmethod
    def of(cls, definitions: tuple[StepDefinition, ...]) -> Steps:
        """Return definitions as `Steps`, the same ones if they are already."""
        return definitions if isinstance(definitions, Steps) else cls(definitions)

    @cached_property
    def by_ref(self) -> dict[str, StepDefinition]:
        """The definitions by ref."""
        return {step.step_ref: step for step in self}

    @cached_property
    def dependents(self) -> dict[str, list[str]]:
        """The steps that depend on each step directly."""
        return dag.dependents((step.step_ref, step.depends_on) for step in self)

    @cached_property
    def notifying(self) -> tuple[StepDefinition, ...]:
        """The steps that ask for news of them to be sent."""
        return tuple(step for step in self if step.stage_notifications)


class State(Struct, frozen=True):
    """A workflow run with all that belongs to it.

    Attributes:
        run: the run.
        steps: the definitions that it follows, after step overrides, in their order.
        step_runs: its steps by ref, in the order of the definitions.
        approvals: the newest approval of each approval step by ref.
    """

    run: WorkflowRun
    steps: tuple[StepDefinition, ...]
    step_runs: dict[str, StepRun]
    approvals: dict[str, Approval] = field(default_factory=dict)


class Transition(Struct, frozen=True):
    """What a workflow run becomes, and what follows.

    Attributes:
        state: the next state.
        steps: the steps that changed, to be written.
        approvals: the approvals that changed, with the refs of their steps.
        entries: lines for the ledger of the run.
        effects: what the shell does in the same transaction, in this order.
        reset: refs of the steps that were opened again.
    """

    state: State
    steps: tuple[StepRun, ...]
    approvals: tuple[tuple[str, Approval], ...]
    entries: tuple[Entry, ...]
    effects: tuple[Effect, ...]
    reset: tuple[str, ...] = ()

    @property
    def run(self) -> WorkflowRun:
        """The next record of the run."""
        return self.state.run

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return is_terminal_workflow_run_status(self.state.run.status)
