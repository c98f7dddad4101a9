"""Things of the platform, made up for tests: `make_job(name="Remind")`.

A made thing has every field that a platform always sends, and those that the test names; a field
that the model does not know is refused, so that a test cannot misspell one.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

from strait.errors import ValidationError
from strait.models import Job, JobRun, TriggerResult, WorkflowResponse, WorkflowRun
from strait.models.base import StraitModel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from strait.errors import Json

M = TypeVar("M", bound=StraitModel)

_MOMENT = "2026-01-01T00:00:00Z"
# What a plain text or number would not be good enough for.
_USUAL: dict[str, Json] = {
    "attempt": 1,
    "enabled": True,
    "endpoint_url": "https://worker.test/run",
    "max_attempts": 3,
    "project_id": "proj_mock",
    "timeout_secs": 300,
    "triggered_by": "manual",
    "version": 1,
    "workflow_version": 1,
}
_BY_TYPE: dict[object, Json] = {str: "", int: 0, float: 0.0, bool: False, datetime: _MOMENT}


def make(model: type[M], **fields: Json) -> M:
    """Return a model with these fields, and whatever else it always has.

    Args:
        model: any class of `strait.models`.
        **fields: by their names in Python or in the API.

    Raises:
        ValidationError: the model has no such field, or the value does not fit.
    """
    known = set(model.model_fields)
    known |= {field.alias for field in model.model_fields.values() if field.alias}
    if unknown := fields.keys() - known:
        names = ", ".join(f"`{name}`" for name in sorted(unknown))
        raise ValidationError(f"`{model.__name__}` has no field {names}")
    given: dict[str, Json] = {}
    for name, field in model.model_fields.items():
        wire = field.alias or name
        if name in fields or wire in fields:
            given[wire] = fields.get(name, fields.get(wire))
        elif field.is_required():
            given[wire] = _usual(model, name, field.annotation)
    try:
        return model.model_validate(given)
    except ValueError as error:
        raise ValidationError(f"no `{model.__name__}` can be made: {error}") from error


def make_job(**fields: Json) -> Job:
    """Return a job; `fields` are those of `strait.models.Job`."""
    return make(Job, **{"id": "job_1", "name": "A job", "slug": "a-job", **fields})


def make_run(**fields: Json) -> JobRun:
    """Return a run, completed unless `status` says otherwise."""
    return make(JobRun, **{"id": "run_1", "job_id": "job_1", "status": "completed", **fields})


def make_triggered(**fields: Json) -> TriggerResult:
    """Return what triggering a job answers."""
    return make(TriggerResult, **{"id": "run_1", "status": "queued", **fields})


def make_workflow(**fields: Json) -> WorkflowResponse:
    """Return a workflow with its steps."""
    usual = {"id": "wf_1", "name": "A workflow", "slug": "a-workflow"}
    return make(WorkflowResponse, **{**usual, **fields})


def make_workflow_run(**fields: Json) -> WorkflowRun:
    """Return a run of a workflow, completed unless `status` says otherwise."""
    usual = {"id": "wfrun_1", "workflow_id": "wf_1", "status": "completed"}
    return make(WorkflowRun, **{**usual, **fields})


def make_page(items: Iterable[StraitModel] = (), *, next_cursor: str = "") -> dict[str, Json]:
    """Return a page of these items, the last one unless there is a cursor."""
    page: dict[str, Json] = {"data": [item.to_dict() for item in items]}
    return {**page, "has_more": bool(next_cursor), "next_cursor": next_cursor or None}


def _usual(model: type[StraitModel], name: str, annotation: object) -> Json:
    """Return a value for a field that the platform always sends."""
    kinds = _kinds(annotation)
    if name in _USUAL and type(_USUAL[name]) in kinds:
        return _USUAL[name]
    if str in kinds:
        return f"{name}_1" if name == "id" or name.endswith("_id") else name
    for kind in kinds:
        if kind in _BY_TYPE:
            return _BY_TYPE[kind]
        if get_origin(kind) is Literal:
            return get_args(kind)[0]
        if isinstance(kind, type) and issubclass(kind, StraitModel):
            return make(kind).to_dict()
        if (get_origin(kind) or kind) in {list, dict}:
            return (get_origin(kind) or kind)()
    return None


def _kinds(annotation: object) -> list[Any]:
    """Return the alternatives of an annotation; a text that an enum may be stands for no enum."""
    found = get_args(annotation) if get_origin(annotation) not in {list, dict, Literal} else ()
    kinds = list(found or (annotation,))
    literals = [kind for kind in kinds if get_origin(kind) is Literal]
    return literals or kinds
