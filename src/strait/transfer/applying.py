"""Doing what a plan says, in its order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from strait.transfer import kinds, shelves
from strait.transfer.kinds import KINDS, STEP_REFS, Kind
from strait.transfer.planning import Change, ImportPlan

if TYPE_CHECKING:
    from strait.client import Client
    from strait.errors import Json

_BY_SECTION = {kind.section: kind for kind in KINDS}
# Requests of these have no project: it is the key's.
_WITHOUT_PROJECT = frozenset({"throttles", "notification_channels", "roles"})


def apply_import(client: Client, plan: ImportPlan) -> list[Change]:
    """Do what a plan says, and return what was done; what is blocked is passed over.

    It can be repeated: a plan that was made anew after a failure does what is left.
    """
    writer = _Writer(client, plan)
    done = [change for change in plan.changes if change.action in {"create", "change", "delete"}]
    for change in done:
        writer.write(change)
    # Jobs may depend on each other in any order.
    for change in done:
        writer.relate(change)
    return done


class _Writer:
    def __init__(self, client: Client, plan: ImportPlan) -> None:
        self._client = client
        self._project = plan.project.id
        self._ids = {section: dict(ids) for section, ids in plan.project.ids.items()}
        self._has = plan.project.items

    def write(self, change: Change) -> None:
        """Create, change or delete one thing."""
        kind = _BY_SECTION[change.section]
        shelf = shelves.shelf(self._client, kind)
        ids = self._ids[change.section]
        if change.action == "delete":
            # Throttles are known by their names alone.
            shelf.delete(change.key if kind is kinds.THROTTLES else ids[change.key])
            return
        body = self._body(kind, change)
        if change.action == "create":
            if change.section not in _WITHOUT_PROJECT:
                body["project_id"] = self._project
            ids[change.key] = shelf.create(body)["id"]
        elif body:
            shelf.update(ids[change.key], body)
        if change.after.get("paused"):
            self._client.jobs.pause(ids[change.key], reason="paused in the imported file")

    def relate(self, change: Change) -> None:
        """Bring about what is a thing of its own on the platform: dependencies, subscriptions."""
        if change.action == "delete":
            return
        if "depends_on" in change.after:
            self._depend(change)
        if "subscriptions" in change.after:
            self._subscribe(change)

    def _body(self, kind: Kind, change: Change) -> dict[str, Json]:
        has = self._has[kind.section].get(change.key, {})
        # These two are always replaced as a whole.
        whole = {**has, **change.after} if kind in {kinds.ROLES, kinds.THROTTLES} else change.after
        body: dict[str, Json] = {}
        for name in kind.fields:
            if name in whole:
                body[name] = _cleared(has.get(name)) if whole[name] is None else whole[name]
        for wire, name in kind.refs.items():
            if name in whole:
                key = whole[name]
                body[wire] = self._ids[kind.targets[wire]][key] if key else ""
        if kind.secret in whole:
            secrets = whole[kind.secret] or {}
            values = {n: value for n, value in secrets.items() if value is not None}
            if kind is kinds.EVENT_SOURCES:  # it has them as fields
                body |= values
            else:
                body[kind.secret] = values
        if "steps" in whole:
            body["steps"] = [self._step(step) for step in whole["steps"] or ()]
        return body

    def _step(self, step: Mapping[str, Json]) -> dict[str, Json]:
        body = dict(step)
        if body.get("step_type") == "approval":
            # Anybody may approve: an empty list is not shown, and has to be sent.
            body.setdefault("approval_approvers", [])
        for wire, (shown, section) in STEP_REFS.items():
            if shown in body:
                body[wire] = self._ids[section][body.pop(shown)]
        return body

    def _depend(self, change: Change) -> None:
        job_id = self._ids["jobs"][change.key]
        wanted = change.after["depends_on"] or {}
        for row in shelves.dependencies(self._client, job_id):
            self._client.jobs.delete_dependency(job_id, row["id"])
        for slug, condition in wanted.items():
            body = {"depends_on_job_id": self._ids["jobs"][slug], "condition": condition}
            self._client.jobs.create_dependency(job_id, body)

    def _subscribe(self, change: Change) -> None:
        source_id = self._ids["event_sources"][change.key]
        for row in shelves.subscriptions(self._client, source_id):
            self._client.event_sources.delete_subscription(source_id, row["id"])
        for item in change.after["subscriptions"] or ():
            target = "job" if "job" in item else "workflow"
            body = {
                "target_type": target,
                "target_id": self._ids[f"{target}s"][item[target]],
                "enabled": item.get("enabled", True),
            }
            if "filter_expr" in item:
                body["filter_expr"] = item["filter_expr"]
            self._client.event_sources.subscribe(source_id, body)


def _cleared(before: Json) -> Json:
    """Return what says "nothing" in a request, where an absent field says "as it is"."""
    if isinstance(before, bool):
        return not before
    return type(before)() if isinstance(before, str | int | float | list | dict) else None
