"""`check`: what of a workflow cannot work, as far as its types and its own names tell.

    for finding in check(order):
        print(finding)

    workflow `order`, step `ship`: the payload of job `ship`: `parent_outputs.pay.total` is a
    string, not an integer

What steps give each other is known where jobs are given as definitions whose handlers have types,
and what templates find is known where the workflow has a `payload_type`. Only what is certain is
told: what is not known is taken to fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from strait import dag
from strait.authoring.definitions import Definition
from strait.authoring.jobs import JobDefinition
from strait.authoring.schemas import ANYTHING, Schema, item, member, misfits
from strait.authoring.steps import JobStep, Step, SubWorkflowStep, WaitForEventStep, edges, held_by
from strait.authoring.typed import data_type
from strait.authoring.validation import Checks
from strait.authoring.workflows import WorkflowDefinition
from strait.conditions import ConditionError
from strait.conditions import parse as parse_condition
from strait.fsm import StepRunStatus

if TYPE_CHECKING:
    from strait.errors import Json

_PARENT_OUTPUTS = "parent_outputs"
_BRACES = re.compile(r"\{\{.*?\}\}")
_PLACEHOLDER = re.compile(r"\{\{([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)\}\}", re.ASCII)
# Paths that are just names and indexes; of the others only the platform knows what they find.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_STATUSES = frozenset(StepRunStatus)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that cannot work.

    Attributes:
        workflow: the slug of the workflow.
        step: the name of the step.
        text: what is wrong, and where that is not clear, what would be right.
    """

    workflow: str
    step: str
    text: str

    def __str__(self) -> str:
        return f"workflow `{self.workflow}`, step `{self.step}`: {self.text}"


def check(*definitions: Definition | Iterable[Definition]) -> list[Finding]:
    """Return what cannot work in workflows; nothing if all seems well.

    Args:
        *definitions: workflows, and the jobs that their steps name by slug. Workflows that are
            steps of others are looked at, too.
    """
    given = [
        one
        for entry in definitions
        for one in ([entry] if isinstance(entry, Definition) else entry)
    ]
    everything = list(dict.fromkeys(found for one in given for found in _with_held(one)))
    jobs = {one.slug: one for one in everything if isinstance(one, JobDefinition)}
    workflows = [one for one in everything if isinstance(one, WorkflowDefinition)]
    inner = {id(held) for one in workflows for held in held_by(one.steps)}
    return [
        Finding(workflow.slug, step.step_ref(), text)
        for workflow in workflows
        for facts in [_Facts(workflow, jobs, is_inner=id(workflow) in inner)]
        for step in workflow.steps
        for text in _step_faults(facts, step)
    ]


class _Facts:
    """What is known of a workflow before it runs."""

    def __init__(
        self,
        workflow: WorkflowDefinition[Any],
        jobs: Mapping[str, JobDefinition[Any]],
        *,
        is_inner: bool,
    ) -> None:
        graph = edges(workflow.steps)
        self.is_inner = is_inner
        self.refs = {step.step_ref() for step in workflow.steps}
        self.after = {ref: set(dag.descendants(graph, ref)) for ref in self.refs}
        self.payload = _workflow_payload(workflow)
        self._jobs = jobs
        self._outputs = {step.step_ref(): self._output(step) for step in workflow.steps}

    def target(self, step: Step) -> JobDefinition[Any] | WorkflowDefinition[Any] | None:
        """Return the definition of what a step runs, if it is known."""
        if isinstance(step, SubWorkflowStep):
            held = step.sub_workflow_id
            return held if isinstance(held, WorkflowDefinition) else None
        if not isinstance(step, JobStep):
            return None
        job = step.job_id if isinstance(step.job_id, Definition) else self._jobs.get(step.job_id)
        return job if isinstance(job, JobDefinition) else None

    def given(self, step: Step) -> Schema:
        """Return what the job or the workflow of a step gets as its payload."""
        options = step.base_options()
        own = ANYTHING if options.payload is None else self._rendered(options.payload)
        if own is not ANYTHING and own.get("type", "object") != "object":
            return own
        trigger = self.payload
        if trigger.get("type", "object") != "object":
            return ANYTHING
        properties = {**trigger.get("properties", {}), **own.get("properties", {})}
        if options.depends_on:
            outputs = {ref: self._outputs[ref] for ref in options.depends_on}
            properties[_PARENT_OUTPUTS] = _object(outputs)
        return {
            "type": "object",
            "properties": properties,
            "additionalProperties": trigger.get("additionalProperties", trigger is ANYTHING),
        }

    def result(self, step: Step) -> Schema:
        """Return what the job of a step returns."""
        job = self.target(step)
        if not isinstance(job, JobDefinition):
            return ANYTHING
        if job.options.result_schema is not None:
            said: Schema = job.options.result_schema
            return said
        return ANYTHING if job.result_type is None else job.result_type.result_schema()

    def _output(self, step: Step) -> Schema:
        path = step.base_options().output_transform
        if not path:
            return self.result(step)
        found = _walk(self.result(step), path) if _PLAIN_PATH.fullmatch(path) else ANYTHING
        return ANYTHING if found is None else found

    def _rendered(self, value: Json) -> Schema:
        """Return the schema of a step's payload when its placeholders are replaced."""
        if isinstance(value, dict):
            return _object({name: self._rendered(inner) for name, inner in value.items()})
        if isinstance(value, list | tuple):
            return {"type": "array"}
        if isinstance(value, str):
            whole = _PLACEHOLDER.fullmatch(value)
            found = _walk(self.payload, whole[1], indexes=False) if whole else {"type": "string"}
            return ANYTHING if found is None else found
        return next(({"type": name} for kind, name in _TYPES if isinstance(value, kind)), ANYTHING)


# In this order, because a bool is an int.
_TYPES = ((bool, "boolean"), (int, "integer"), (float, "number"), (type(None), "null"))


def _step_faults(facts: _Facts, step: Step) -> Iterator[str]:
    yield from _condition_faults(facts, step)
    yield from _template_faults(facts, step)
    yield from _transform_faults(facts, step)
    yield from _payload_faults(facts, step)


# ------------------------------------------------------------------------------------ conditions


def _condition_faults(facts: _Facts, step: Step) -> Iterator[str]:
    condition = step.base_options().condition
    if condition is None:
        return
    nodes = list(_objects(condition))
    named = list(
        dict.fromkeys(ref for node in nodes if isinstance(ref := node.get("step_ref"), str))
    )
    for ref in named:
        if ref not in facts.refs:
            yield f"`condition` names step `{ref}`, which the workflow does not have"
        elif step.step_ref() not in facts.after[ref]:
            yield (
                f"`condition` names step `{ref}`, which may not have ended then; "
                f"a step that asks for it must depend on it"
            )
    for node in nodes:
        for status in _wanted_statuses(node):
            if status not in _STATUSES:
                yield f"`condition` asks for status {status!r}, which no step ever has"
    if _BRACES.search(str(condition)):
        yield "`condition` has a placeholder; conditions see the statuses of steps and nothing else"
    try:
        parse_condition(condition).evaluate(dict.fromkeys((*facts.refs, *named), "completed"))
    except ConditionError as error:
        yield f"`condition` cannot be evaluated: {error}"


def _objects(value: Json) -> Iterator[Mapping[str, Json]]:
    if isinstance(value, Mapping):
        yield value
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


def _wanted_statuses(node: Mapping[str, Json]) -> list[str]:
    match node.get("type"):
        case "step_status":
            found = [node.get("status")]
        case "step_status_in":
            statuses = node.get("statuses")
            found = statuses if isinstance(statuses, list) else []
        case _:
            found = []
    return [status for status in found if isinstance(status, str)]


# ------------------------------------------------------------------------------------- templates


def _template_faults(facts: _Facts, step: Step) -> Iterator[str]:
    options = step.base_options()
    for text in _texts(options.payload):
        yield from _placeholder_faults(facts, "payload", text, indexes=False)
    keys = {"event_emit_key": options.event_emit_key or ""}
    if isinstance(step, WaitForEventStep):
        keys["event_key"] = step.event_key
    for field, text in keys.items():
        yield from _placeholder_faults(facts, field, text, indexes=True)


def _placeholder_faults(facts: _Facts, field: str, text: str, *, indexes: bool) -> Iterator[str]:
    for braces in dict.fromkeys(_BRACES.findall(text)):
        match = _PLACEHOLDER.fullmatch(braces)
        if match is None:
            yield (
                f"`{field}` has `{braces}`, which is no placeholder and stays as it stands; "
                "one is `{{name}}` or `{{a.b}}`, without spaces"
            )
            continue
        first = match[1].partition(".")[0]
        is_output = facts.payload is ANYTHING and first == _PARENT_OUTPUTS and not facts.is_inner
        if is_output or _walk(facts.payload, match[1], indexes=indexes) is None:
            yield f"`{field}` has `{braces}`, which the payload of the run does not have" + (
                "; outputs of steps are not seen by templates, jobs get those of the steps that "
                "theirs depends on as `parent_outputs`"
                if first == _PARENT_OUTPUTS or first in facts.refs
                else ""
            )


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


# -------------------------------------------------------------------------- outputs and payloads


def _transform_faults(facts: _Facts, step: Step) -> Iterator[str]:
    path = step.base_options().output_transform
    if path and _PLAIN_PATH.fullmatch(path) and _walk(facts.result(step), path) is None:
        yield f"`output_transform` is `{path}`, which finds nothing in what its job returns"


def _payload_faults(facts: _Facts, step: Step) -> Iterator[str]:
    target = facts.target(step)
    if target is None:
        return
    wanted = _wanted(target)
    what = f"the payload of {target.kind} `{target.slug}`"
    for fault in misfits(facts.given(step), wanted):
        yield f"{what}: {fault}"
    outputs = member(wanted, _PARENT_OUTPUTS) or ANYTHING
    for ref in outputs.get("properties", {}):
        if ref not in step.base_options().depends_on and ref not in outputs.get("required", ()):
            yield (
                f"{what}: `{_PARENT_OUTPUTS}.{ref}` is never there, the step does not depend on it"
            )


def _wanted(target: JobDefinition[Any] | WorkflowDefinition[Any]) -> Schema:
    if isinstance(target, WorkflowDefinition):
        return _workflow_payload(target)
    schema: Schema = target.settings().get("payload_schema", ANYTHING)
    return schema


def _workflow_payload(workflow: WorkflowDefinition[Any]) -> Schema:
    checks = Checks(f"define_workflow({workflow.slug})")
    found = data_type(workflow.options.payload_type, checks, "`payload_type`")
    return ANYTHING if found is None else found.payload_schema()


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _walk(schema: Schema, path: str, *, indexes: bool = True) -> Schema | None:
    """Follow names and indexes into a schema; None if there is surely nothing."""
    found: Schema | None = schema
    for name in path.split("."):
        if found is None or found is ANYTHING:
            return found
        is_index = indexes and name.isdecimal() and item(found) is not None
        found = item(found) if is_index else member(found, name)
    return found


def _with_held(definition: Definition) -> list[Definition]:
    if not isinstance(definition, WorkflowDefinition):
        return [definition]
    held = [found for one in held_by(definition.steps) for found in _with_held(one)]
    return [definition, *held]
