"""What starts next (`contract/workflows.md` §3.2).

Every step whose dependencies are resolved is looked at once, in the order of their making, against
the limits of the run and its condition. A step that is skipped or cannot start may release
others, so the pass goes on until nothing is left that could begin; then the run may be over.
"""

from __future__ import annotations

import heapq
from collections import Counter

from msgspec import UNSET

from strait.conditions import ConditionError, parse
from strait.engine.entries import Entry
from strait.engine.model import Json, StepDefinition
from strait.engine.workflows.draft import Draft
from strait.engine.workflows.failure import fail_step
from strait.engine.workflows.starting import StepStartError, start_step

CLASS_CAPACITY = {"small": 50, "medium": 20, "large": 5}
"""How many steps of each resource class may run at once in one run."""


def advance(draft: Draft) -> None:
    """Start all steps that may start, and end the run if nothing is left; unless it is paused."""
    if draft.run.status != "running":
        return
    load = _Load(draft)
    queue = [_place(draft, ref) for ref in draft.startable()]
    heapq.heapify(queue)
    newly_ready = set(draft.ready)
    draft.ready.clear()
    while queue:
        _, ref = heapq.heappop(queue)
        if not draft.can_start(ref):
            continue  # it was skipped on account of another one meanwhile
        held_by = load.holds(draft.steps[ref])
        if held_by is None:
            _try(draft, load, ref)
        else:
            _hold(draft, ref, held_by, is_new=ref in newly_ready)
        if draft.run.status != "running":
            return
        newly_ready.update(draft.ready)
        for released in draft.ready:
            heapq.heappush(queue, _place(draft, released))
        draft.ready.clear()
    _complete_if_done(draft)


def _place(draft: Draft, ref: str) -> tuple[str, str]:
    return draft.step_runs[ref].created_at, ref


class _Load:
    """What runs at present, as far as limits go. Steps that wait take no place."""

    def __init__(self, draft: Draft) -> None:
        self._limit = draft.run.max_parallel_steps
        self._running = 0
        self._keys: set[str] = set()
        self._classes: Counter[str] = Counter()
        for ref, step in draft.step_runs.items():
            if step.status == "running":
                self.add(draft.steps[ref])

    def add(self, step: StepDefinition) -> None:
        """Count a step that runs."""
        self._running += 1
        self._keys.add(step.concurrency_key)
        self._classes[step.resource_class] += 1

    def holds(self, step: StepDefinition) -> tuple[str, str] | None:
        """Return which limit a step has to wait for, as type and explanation of a decision."""
        if 0 < self._limit <= self._running:
            return "scheduler", "blocked by max_parallel_steps"
        if step.concurrency_key and step.concurrency_key in self._keys:
            return "concurrency", "blocked by concurrency_key"
        capacity = CLASS_CAPACITY.get(step.resource_class, self._running + 1)
        if self._classes[step.resource_class] >= capacity:
            return "resource", "blocked by resource_class quota"
        return None


def _try(draft: Draft, load: _Load, ref: str) -> None:
    """Start a step, or skip it by its condition, or let it fail where it cannot start."""
    try:
        if not _condition_holds(draft, ref):
            _skip(draft, ref)
            return
        start_step(draft, ref)
    except (ConditionError, StepStartError) as error:
        fail_step(draft, ref, str(error))
        return
    if draft.step_runs[ref].status == "running":
        load.add(draft.steps[ref])


def _condition_holds(draft: Draft, ref: str) -> bool:
    condition = draft.steps[ref].condition
    if condition is UNSET:
        return True
    statuses = {other: step.status for other, step in draft.step_runs.items()}
    return parse(condition).evaluate(statuses)


def _skip(draft: Draft, ref: str) -> None:
    explanation = "condition evaluated to false"
    _decision(draft, ref, "condition", "skip", explanation, draft.steps[ref].condition)
    message = f"step `{ref}` skipped: {explanation}"
    draft.move_step(ref, "skipped", message, finished_at=draft.stamp)


def _hold(draft: Draft, ref: str, held_by: tuple[str, str], *, is_new: bool) -> None:
    # Said once when the step becomes ready, not at every pass that finds it still held.
    unseen = draft.step_runs[ref].status == "pending"
    if unseen or is_new:
        decision_type, explanation = held_by
        _decision(draft, ref, decision_type, "wait", explanation, None)
    if unseen:
        draft.change_step(ref, status="waiting")


def _decision(
    draft: Draft, ref: str, decision_type: str, decision: str, explanation: str, details: Json
) -> None:
    data: dict[str, Json] = {
        "step_run_id": draft.step_runs[ref].id,
        "step_ref": ref,
        "decision_type": decision_type,
        "decision": decision,
        "explanation": explanation,
    }
    if details is not None:
        data["details"] = details
    draft.note(Entry("decision", f"step `{ref}`: {explanation}", "info", data))


def _complete_if_done(draft: Draft) -> None:
    if not draft.all_over():
        return
    failed = any(
        step.status == "failed" and draft.steps[ref].on_failure != "continue"
        for ref, step in draft.step_runs.items()
    )
    status = "failed" if failed else "completed"
    draft.move_run(status, "workflow_completion", finished_at=draft.stamp)
