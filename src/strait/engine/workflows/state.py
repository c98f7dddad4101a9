"""What the engine knows of a workflow run, and what it answers."""

from __future__ import annotations

from msgspec import Struct, field

from strait.engine.entries import Entry
from strait.engine.model import Approval, StepDefinition, StepRun, WorkflowRun
from strait.engine.workflows.effects import Effect
from strait.fsm import is_terminal_workflow_run_status


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
