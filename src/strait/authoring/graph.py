"""The order of the steps of a workflow, and what is wrong with it in the words of workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strait.authoring.steps import edges
from strait.dag import DagError, topological_order
from strait.errors import DagValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from strait.authoring.steps import Step


def validate_dag(steps: Sequence[Step]) -> list[str]:
    """Return the names of the steps, each after all that it depends on.

    Steps that are given in a valid order keep it.

    Raises:
        DagValidationError: two steps have one name, a step depends on one that is not there, or
            steps depend on each other in a circle; the text names them.
    """
    try:
        return topological_order(edges(steps))
    except DagError as fault:
        raise _explain(fault) from None


def _explain(fault: DagError) -> DagValidationError:
    cycles = [*((ref, ref) for ref in fault.self_dependent), *fault.cycles]
    faults = [
        *(f"more than one step is called `{ref}`" for ref in fault.duplicates),
        *(f"step `{ref}` depends on unknown step `{dep}`" for ref, dep in fault.missing),
        *(f"steps depend on each other in a circle: {' -> '.join(cycle)}" for cycle in cycles),
    ]
    return DagValidationError(
        "; ".join(faults),
        cycles=[ref for cycle in cycles for ref in cycle[:-1]],
        missing_refs=list(dict.fromkeys(dep for _, dep in fault.missing)),
        duplicate_refs=list(fault.duplicates),
    )
