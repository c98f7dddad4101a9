"""What a step is given: its own payload, the run's, and the outputs of what it depends on."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET, UnsetType

from strait.engine.model import Json

PARENT_OUTPUTS = "parent_outputs"


def merge_payload(
    trigger: Json | UnsetType,
    step: Json | UnsetType,
    parent_outputs: Mapping[str, Json] | None,
) -> Json | UnsetType:
    """Return the payload of a job or of a sub-workflow (`contract/workflows.md` §3.4).

    Args:
        trigger: what the workflow run was triggered with.
        step: the payload of the step, rendered.
        parent_outputs: `{dep_ref: output}`; None for a step that depends on nothing.

    Returns:
        Objects are merged one level deep, and the step's members win. Where one of the two is no
        object the step's payload stands alone, or the trigger's if it has none.
    """
    if parent_outputs is None:
        return _merged(trigger, step)
    # With outputs to add, a payload that is absent counts as an empty object.
    both = [{} if part is UNSET else part for part in (trigger, step)]
    if all(isinstance(part, dict) for part in both):
        return {**both[0], **both[1], PARENT_OUTPUTS: dict(parent_outputs)}
    return trigger if step is UNSET else step


def _merged(trigger: Json | UnsetType, step: Json | UnsetType) -> Json | UnsetType:
    if step is UNSET:
        return trigger
    if isinstance(trigger, dict) and isinstance(step, dict):
        return {**trigger, **step}
    return step
