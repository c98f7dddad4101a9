"""What registering would do: found out without doing it.

print(job.plan(client))

create job `greet`
change workflow `order`
  timeout_secs: 60 -> 90
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from strait.authoring.flow import Flow, as_json
from strait.authoring.registration import (
    SECRETS,
    Names,
    Platform,
    find_job,
    find_whole_workflow,
    job_changes,
    normal_steps,
    shown,
    workflow_changes,
)
from strait.authoring.steps import held_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from strait.authoring.steps import Step
    from strait.errors import Json

_LONGEST = 60


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field that registering would change.

    Attributes:
        field: the platform's name of it; of a step, with the step's name: `steps.charge.payload`.
        before: what the platform has; None for nothing.
        after: what the definition says; None for nothing.
    """

    field: str
    before: Json
    after: Json

    def __str__(self) -> str:
        if self.field in SECRETS:
            return f"{self.field}: sent again, because the platform does not show which it has"
        return f"{self.field}: {_text(self.before)} -> {_text(self.after)}"


@dataclass(frozen=True, slots=True)
class DefinitionPlan:
    """What registering would do with one definition.

    Attributes:
        kind: `job` or `workflow`.
        slug: which one.
        action: `create`, `change` or `keep`.
        changes: the fields, for a change.
        id: the platform's id of it; None for what would be created.
    """

    kind: str
    slug: str
    action: Literal["create", "change", "keep"]
    changes: tuple[FieldChange, ...] = ()
    id: str | None = None

    def __str__(self) -> str:
        return "\n  ".join([f"{self.action} {self.kind} `{self.slug}`", *map(str, self.changes)])


@dataclass(frozen=True, slots=True)
class Plan:
    """What registering a definition would do, in the order in which it would be done.

    It is true (`if plan:`) if anything would be done.

    Attributes:
        definitions: the definition, after those that its steps hold.
    """

    definitions: tuple[DefinitionPlan, ...]

    def __bool__(self) -> bool:
        return any(one.action != "keep" for one in self.definitions)

    def __iter__(self) -> Iterator[DefinitionPlan]:
        return iter(self.definitions)

    def __str__(self) -> str:
        return "\n".join(str(one) for one in self.definitions)


def plan_job(client: Platform, body: Mapping[str, Json]) -> Flow[DefinitionPlan]:
    """Say what `register_job` would do."""
    found = yield from find_job(client, body["slug"])
    if found is None:
        return DefinitionPlan("job", body["slug"], "create")
    existing = as_json(found)
    changes = tuple(
        FieldChange(name, None if name in SECRETS else shown(existing, name), _safe(name, value))
        for name, value in job_changes(existing, body).items()
    )
    action: Literal["change", "keep"] = "change" if changes else "keep"
    return DefinitionPlan("job", body["slug"], action, changes, existing["id"])


def plan_workflow(client: Platform, body: Mapping[str, Json]) -> Flow[DefinitionPlan]:
    """Say what `register_workflow` would do with a body whose steps have ids."""
    found = yield from find_whole_workflow(client, body["slug"])
    if found is None:
        return DefinitionPlan("workflow", body["slug"], "create")
    existing = as_json(found)
    changed = workflow_changes(existing, body)
    steps = changed.pop("steps", None)
    changes = [FieldChange(name, existing.get(name), value) for name, value in changed.items()]
    if steps is not None:
        changes += _step_changes(existing.get("steps") or (), steps)
    action: Literal["change", "keep"] = "change" if changes else "keep"
    return DefinitionPlan("workflow", body["slug"], action, tuple(changes), existing["id"])


def plan_held(names: Names, steps: Sequence[Step]) -> Flow[list[DefinitionPlan]]:
    """Plan the jobs and workflows that steps hold; those to be created get a name for an id."""
    plans: list[DefinitionPlan] = []
    for definition in held_by(steps):
        known = names.job_ids if definition.kind == "job" else names.workflow_ids
        if definition.slug not in known:
            plans += yield from definition.planning(names)
            known[definition.slug] = plans[-1].id or f"(id of new {definition.kind})"
    return plans


def _step_changes(before: Sequence[Json], after: Sequence[Json]) -> list[FieldChange]:
    old, new = normal_steps(before), normal_steps(after)
    changes = []
    for ref in dict.fromkeys((*old, *new)):
        if ref not in old or ref not in new:
            changes.append(FieldChange(f"steps.{ref}", old.get(ref), new.get(ref)))
            continue
        fields = dict.fromkeys((*old[ref], *new[ref]))
        changes += [
            FieldChange(f"steps.{ref}.{name}", old[ref].get(name), new[ref].get(name))
            for name in fields
            if old[ref].get(name) != new[ref].get(name)
        ]
    return changes


def _safe(name: str, value: Json) -> Json:
    """Return a value as it may be shown."""
    return None if name in SECRETS else value


def _text(value: Json) -> str:
    if value is None:
        return "(nothing)"
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
