"""Shapes of steps that some platform cannot run: `uses = ["shape.X"]` of `compatibility.toml`.

Each function yields the names of the steps that have the shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

from strait import dag
from strait.authoring.steps import (
    ApprovalStep,
    OnFailureAction,
    Step,
    WaitForEventStep,
    edges,
)

Shape = Callable[[Sequence[Step]], Iterator[str]]


def _condition_on_root(steps: Sequence[Step]) -> Iterator[str]:
    for step in steps:
        options = step.base_options()
        if options.condition is not None and not options.depends_on:
            yield step.step_ref()


def _behind_condition(steps: Sequence[Step]) -> Iterator[str]:
    conditional = {
        step.step_ref()
        for step in steps
        if step.base_options().condition is not None and step.base_options().depends_on
    }
    for step in steps:
        parents = set(step.base_options().depends_on)
        if parents and parents <= conditional:
            yield step.step_ref()


def _join_after_continue(steps: Sequence[Step]) -> Iterator[str]:
    going_on = {
        step.step_ref()
        for step in steps
        if step.base_options().on_failure == OnFailureAction.CONTINUE
    }
    for step in steps:
        parents = set(step.base_options().depends_on)
        if len(parents) > 1 and parents & going_on:
            yield step.step_ref()


def _side_by_side_waits(steps: Sequence[Step]) -> Iterator[str]:
    graph = edges(steps)
    waits = [step.step_ref() for step in steps if isinstance(step, ApprovalStep | WaitForEventStep)]
    for one, other in combinations(waits, 2):
        if other not in dag.descendants(graph, one) and one not in dag.descendants(graph, other):
            yield other


def _approval_without_timeout(steps: Sequence[Step]) -> Iterator[str]:
    for step in steps:
        if isinstance(step, ApprovalStep) and not step.approval_timeout_secs:
            yield step.ref


def _constant_event_key(steps: Sequence[Step]) -> Iterator[str]:
    for step in steps:
        if isinstance(step, WaitForEventStep) and "{{" not in step.event_key:
            yield step.ref


SHAPES: dict[str, Shape] = {
    "approval_without_timeout": _approval_without_timeout,
    "behind_condition": _behind_condition,
    "condition_on_root": _condition_on_root,
    "constant_event_key": _constant_event_key,
    "join_after_continue": _join_after_continue,
    "side_by_side_waits": _side_by_side_waits,
}
