"""What can be told of a definition without running it (`contract/workflows.md` §4.1)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from strait import dag
from strait.engine.model import StepDefinition


class Plan(Struct, frozen=True):
    """In which order the steps of a workflow would run (`POST /v1/workflows/{id}/plan`)."""

    workflow_id: str
    workflow_version: int
    step_count: int
    roots: list[str]
    topological_order: list[str]


class Simulation(Struct, frozen=True):
    """The same as `Plan`, as `POST /v1/workflows/{id}/simulate` says it."""

    workflow_id: str
    version: int
    predicted_order: list[str]
    step_count: int


class DefinitionGraph(Struct, frozen=True):
    """The steps that depend on each step (`GET /v1/workflows/{id}/graph`)."""

    workflow_id: str
    roots: list[str]
    adjacency: dict[str, list[str]]


class DefinitionDot(Struct, frozen=True):
    """The same in the language of Graphviz (`?format=dot`)."""

    workflow_id: str
    roots: list[str]
    dot: str


class VersionDiff(Struct, frozen=True):
    """Which steps one version of a workflow has and the other does not."""

    from_version_id: str
    to_version_id: str
    added_steps: list[str]
    removed_steps: list[str]


def plan(workflow_id: str, version: int, steps: Sequence[StepDefinition]) -> Plan:
    """Return the plan of steps that have passed `dag_fault`; equals are ordered by their refs."""
    return Plan(workflow_id, version, len(steps), _roots(steps), _order(steps))


def simulate(workflow_id: str, version: int, steps: Sequence[StepDefinition]) -> Simulation:
    """Return the order in which steps that have passed `dag_fault` would run."""
    return Simulation(workflow_id, version, _order(steps), len(steps))


def graph(workflow_id: str, steps: Sequence[StepDefinition]) -> DefinitionGraph:
    """Return the graph of a definition."""
    return DefinitionGraph(workflow_id, _roots(steps), _adjacency(steps))


def dot(workflow_id: str, steps: Sequence[StepDefinition]) -> DefinitionDot:
    """Return the graph of a definition for Graphviz."""
    lines: list[str] = []
    for ref, dependents in sorted(_adjacency(steps).items()):
        lines += [f"  {_quoted(ref)} -> {_quoted(dependent)};" for dependent in dependents]
        if not dependents:
            lines.append(f"  {_quoted(ref)};")
    text = "\n".join(["digraph workflow {", *lines, "}", ""])
    return DefinitionDot(workflow_id, _roots(steps), text)


def diff(
    from_version_id: str,
    from_steps: Sequence[StepDefinition],
    to_version_id: str,
    to_steps: Sequence[StepDefinition],
) -> VersionDiff:
    """Return which refs came and went between two versions."""
    before = [step.step_ref for step in from_steps]
    after = [step.step_ref for step in to_steps]
    return VersionDiff(
        from_version_id,
        to_version_id,
        [ref for ref in after if ref not in set(before)],
        [ref for ref in before if ref not in set(after)],
    )


def _quoted(ref: str) -> str:
    escaped = ref.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _order(steps: Sequence[StepDefinition]) -> list[str]:
    return dag.topological_order([(s.step_ref, s.depends_on) for s in _by_ref(steps)])


def _roots(steps: Sequence[StepDefinition]) -> list[str]:
    return [step.step_ref for step in _by_ref(steps) if not step.depends_on]


def _adjacency(steps: Sequence[StepDefinition]) -> dict[str, list[str]]:
    return dag.dependents([(step.step_ref, step.depends_on) for step in _by_ref(steps)])


def _by_ref(steps: Sequence[StepDefinition]) -> list[StepDefinition]:
    return sorted(steps, key=lambda step: step.step_ref)
