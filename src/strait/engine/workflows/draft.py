"""A transition in the making.

A decision moves runs and steps through a `Draft`, which checks each move against the state
machines, remembers what changed, and writes the history. Nothing outside of one decision sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from strait import dag
from strait.clock import to_timestamp
from strait.engine.entries import Entry, moved
from strait.engine.model import Approval, Json, StepDefinition, StepRun
from strait.engine.refusal import Refused
from strait.engine.workflows.effects import Effect, ParentStepEnded, StatusChanged
from strait.engine.workflows.state import State, Steps, Transition
from strait.fsm import (
    TERMINAL_STEP_RUN_STATUSES,
    is_terminal_step_run_status,
    is_terminal_workflow_run_status,
    step_run_can_move,
    workflow_run_can_move,
)

UNSTARTED = frozenset({"pending", "waiting"})
RESOLVED = frozenset({"completed", "skipped"})


def costs_nothing(job_id: str) -> int:
    """Say of any job that its runs cost nothing."""
    return 0


class Draft:
    """The next state of a workflow run, and what follows, while they are worked out.

    Attributes:
        run: the run as it is by now.
        steps: the definitions by ref.
        dependents: the refs of the steps that depend on each step directly.
        step_runs: the steps by ref as they are by now; change them through the methods only.
        approvals: the approvals by ref.
        effects: what the shell will do.
        ready: refs of the steps whose last dependency was resolved in this decision.
        now: the instant in microseconds, `stamp` is the same as a timestamp.
        new_id: makes ids.
        mean_cost: says what a run of a job, by its id, costs on average, in microusd.
    """

    def __init__(
        self,
        state: State,
        now: int,
        new_id: Callable[[], str],
        mean_cost: Callable[[str], int] = costs_nothing,
    ) -> None:
        self.run = state.run
        definitions = Steps.of(state.steps)
        self.steps: dict[str, StepDefinition] = definitions.by_ref
        self.dependents: dict[str, list[str]] = definitions.dependents
        self.step_runs = dict(state.step_runs)
        self.approvals = dict(state.approvals)
        self.effects: list[Effect] = []
        self.ready: list[str] = []
        self.now = now
        self.stamp = to_timestamp(now)
        self.new_id = new_id
        self.mean_cost = mean_cost
        self._definitions = definitions
        self._entries: list[Entry] = []
        self._changed: dict[str, None] = {}
        self._changed_approvals: dict[str, None] = {}
        self._reset: dict[str, None] = {}

    def transition(self) -> Transition:
        """Return what was worked out."""
        return Transition(
            self.state(),
            tuple(self.step_runs[ref] for ref in self._changed),
            tuple((ref, self.approvals[ref]) for ref in self._changed_approvals),
            tuple(self._entries),
            tuple(self.effects),
            tuple(self._reset),
        )

    def state(self) -> State:
        """Return the state as it is by now."""
        return State(self.run, self._definitions, self.step_runs, self.approvals)

    def descendants(self, ref: str) -> list[str]:
        """Return all steps that depend on a step, directly or not."""
        return dag.descendants([(s.step_ref, s.depends_on) for s in self._definitions], ref)

    def outputs(self) -> dict[str, Json]:
        """Return the outputs of all steps that have one."""
        return {
            ref: step.output for ref, step in self.step_runs.items() if step.output is not UNSET
        }

    # ------------------------------------------------------------------------------------- asking

    def step_run(self, ref: str) -> StepRun:
        """Return a step by its ref.

        Raises:
            Refused: 404, the run has no such step.
        """
        try:
            return self.step_runs[ref]
        except KeyError:
            raise Refused(404, "workflow step run not found") from None

    def is_over(self, ref: str) -> bool:
        """Say whether a step has ended."""
        return is_terminal_step_run_status(self.step_runs[ref].status)

    def is_waited_for(self, ref: str) -> bool:
        """Say whether a step has begun to wait for an approval, an event or a sleep."""
        step = self.step_runs[ref]
        return step.status == "waiting" and bool(step.started_at)

    def is_resolved(self, ref: str) -> bool:
        """Say whether those that depend on a step may start as far as it is concerned."""
        status = self.step_runs[ref].status
        if status in RESOLVED:
            return True
        return status in {"failed", "canceled"} and self.steps[ref].on_failure == "continue"

    def can_start(self, ref: str) -> bool:
        """Say whether a step has not begun and waits for no other step any more."""
        step = self.step_runs[ref]
        unstarted = step.status in UNSTARTED and not step.started_at
        return unstarted and step.deps_completed >= step.deps_required

    # The next two look at every step for each event of the run, and so ask for no method of it.

    def startable(self) -> list[str]:
        """Return the refs of the steps that `can_start`."""
        return [
            ref
            for ref, step in self.step_runs.items()
            if step.status in UNSTARTED
            and not step.started_at
            and step.deps_completed >= step.deps_required
        ]

    def all_over(self) -> bool:
        """Say whether all steps have ended."""
        return all(step.status in TERMINAL_STEP_RUN_STATUSES for step in self.step_runs.values())

    # ------------------------------------------------------------------------------------- moving

    def note(self, entry: Entry) -> None:
        """Add a line to the history."""
        self._entries.append(entry)

    def move_run(self, to: str, reason: str, **changes: Any) -> None:
        """Change the status of the run, tell everybody, and tell the parent if it is the end."""
        before = self.run.status
        if not workflow_run_can_move(before, to):
            raise Refused(409, f"workflow run status conflict: {before} cannot become {to}")
        self.run = replace(self.run, status=to, **changes)
        level = "error" if to in {"failed", "timed_out", "compensation_failed"} else "info"
        message = self.run.error if is_terminal_workflow_run_status(to) else ""
        facts = {"reason": reason} | ({"error": self.run.error} if self.run.error else {})
        self.note(moved(before, to, message, level=level, **facts))
        self.effects.append(StatusChanged(before, to, reason))
        if to in _ENDS_FOR_PARENT and self.run.parent_step_run_id:
            self.effects.append(self._parent_step_ended())

    def _parent_step_ended(self) -> ParentStepEnded:
        run = self.run
        return ParentStepEnded(
            run.id,
            run.parent_workflow_run_id,
            run.parent_step_run_id,
            run.workflow_id,
            run.status,
            self.outputs(),
            run.error,
        )

    def add_step(self, step: StepRun) -> None:
        """Add a step to a new run."""
        self.step_runs[step.step_ref] = step
        self._changed[step.step_ref] = None

    def change_step(self, ref: str, **changes: Any) -> StepRun:
        """Change a step without a word in the history."""
        step = self.step_runs[ref] = replace(self.step_runs[ref], **changes)
        self._changed[ref] = None
        return step

    def move_step(
        self, ref: str, to: str, message: str, *, level: str = "info", **changes: Any
    ) -> StepRun:
        """Change the status of a step; a step that ends counts for those that depend on it."""
        before = self.step_runs[ref]
        if not step_run_can_move(before.status, to):
            raise Refused(409, f"step `{ref}` status conflict: {before.status} cannot become {to}")
        step = self.change_step(ref, status=to, **changes)
        self.note_step(ref, message, level=level, before=before.status)
        if is_terminal_step_run_status(to):
            self.recount(self.dependents[ref])
        return step

    def note_step(self, ref: str, message: str, *, level: str = "info", before: str = "") -> None:
        """Add a line about a step to the history."""
        step = self.step_runs[ref]
        data: dict[str, Json] = {
            "step_ref": ref,
            "step_run_id": step.id,
            "from": before or step.status,
            "to": step.status,
            "attempt": step.attempt,
        }
        if step.job_run_id:
            data["job_run_id"] = step.job_run_id
        if step.error:
            data["error"] = step.error
        self.note(Entry("step", message, level, data))

    def reset_step(self, ref: str) -> None:
        """Open a step again that has ended, as if it had never begun."""
        attempt = self.step_runs[ref].attempt + 1
        self._reset[ref] = None
        self.move_step(
            ref,
            "pending",
            f"step `{ref}` is done again",
            attempt=attempt,
            job_run_id="",
            output=UNSET,
            error="",
            started_at="",
            finished_at="",
        )

    def put_approval(self, ref: str, approval: Approval) -> None:
        """Add or change the approval of a step."""
        self.approvals[ref] = approval
        self._changed_approvals[ref] = None

    def recount(self, refs: list[str]) -> None:
        """Count anew how many dependencies of steps that have not begun are resolved."""
        for ref in refs:
            step = self.step_runs[ref]
            if step.status not in UNSTARTED or step.started_at:
                continue
            deps = dict.fromkeys(self.steps[ref].depends_on)
            count = sum(self.is_resolved(dep) for dep in deps)
            if count != step.deps_completed:
                self.change_step(ref, deps_completed=count)
                if count == len(deps):
                    self.ready.append(ref)


_ENDS_FOR_PARENT = frozenset({"completed", "failed", "timed_out", "canceled"})
