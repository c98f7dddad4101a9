"""What a finished run hands to the job or workflow that its job names next (`runs.md` §6.9)."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET, UnsetType

from strait.engine.model import Json, Run

# A run that was canceled, or that nobody came to start, triggers nothing.
FAILED = frozenset({"dead_letter", "timed_out", "crashed", "system_failed"})


def on_complete_payload(result: Json | UnsetType, mapping: Json) -> Json:
    """Return the payload after a success: the result, or the parts of it that a mapping names.

    A mapping is `{name: "dot.path"}`; what a path does not find, or finds null, is left out, and
    a result that is no object goes through as it is.
    """
    if not isinstance(mapping, dict) or not isinstance(result, dict):
        return {} if result is UNSET else result
    return _picked(result, mapping)


def on_failure_payload(run: Run, original_input: Json, mapping: Json) -> Json:
    """Return the payload after a failure: what happened, or the parts of it that are named."""
    facts: dict[str, Json] = {
        "source_job_id": run.job_id,
        "source_run_id": run.id,
        "error": run.error,
        "error_class": run.error_class,
        "status": run.status,
        "attempt": run.attempt,
        "original_input": original_input,
    }
    return _picked(facts, mapping) if isinstance(mapping, dict) else facts


def _picked(source: Mapping[str, Json], mapping: Mapping[str, Json]) -> dict[str, Json]:
    found = {name: _at(source, str(path)) for name, path in mapping.items()}
    return {name: value for name, value in found.items() if value is not None}


def _at(value: Json, path: str) -> Json:
    for part in path.split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value
