"""A project as a document, read through the public API of whatever platform it is on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from strait import dag
from strait.errors import HttpError
from strait.transfer import kinds, shelves
from strait.transfer.document import FORMAT, Document, Item, TransferError, empty
from strait.transfer.kinds import KINDS, STEP_READ_ONLY, STEP_REFS, Kind

if TYPE_CHECKING:
    from strait.client import Client
    from strait.errors import Json

# What an answer calls otherwise than a request.
_READ_AS = {"queue_name": "queue"}
# A platform without a kind of thing says so with one of these.
_NOT_OFFERED = (402, 404, 405, 501)


@dataclass(slots=True)
class Project:
    """What a project has.

    Attributes:
        id: the project.
        items: the things of each section by their keys, as the file shows them.
        ids: their ids on this platform.
        not_offered: sections that this platform does not have.
    """

    id: str
    items: dict[str, dict[str, Item]] = field(default_factory=dict)
    ids: dict[str, dict[str, str]] = field(default_factory=dict)
    not_offered: set[str] = field(default_factory=set)


def export_project(client: Client, *, with_variables: bool = False) -> Document:
    """Return the definitions and schedules of the client's project.

    Args:
        client: a client with a project and a key that may read it.
        with_variables: put the values of environment variables into the file, too; they may be
            secrets.

    Raises:
        TransferError: the client has no project.
    """
    project = read(client, with_variables=with_variables)
    return {
        "format": FORMAT,
        "project": project.id,
        **{kind.section: project.items[kind.section] for kind in KINDS},
        "to_set": [*secrets_of(project.items), *job_secrets(client, project)],
    }


def read(client: Client, *, with_variables: bool) -> Project:
    """Read everything that the client's project has."""
    if not client.project_id:
        raise TransferError("the client has no project; give `project_id`, or `--project`")
    project = Project(client.project_id)
    rows = {kind.section: _rows(client, kind, project) for kind in KINDS}
    for kind in KINDS:
        found = {row[kind.key]: row for row in rows[kind.section]}
        if len(found) < len(rows[kind.section]):
            raise TransferError(_same_named(kind, rows[kind.section]))
        project.ids[kind.section] = {key: row["id"] for key, row in found.items()}
    names = {
        section: {id: key for key, id in by_key.items()} for section, by_key in project.ids.items()
    }
    reader = _Reader(client, names, with_variables=with_variables)
    for kind in KINDS:
        items = {row[kind.key]: reader.item(kind, row) for row in rows[kind.section]}
        project.items[kind.section] = dict(sorted(items.items()))
    return project


def _same_named(kind: Kind, rows: list[dict[str, Json]]) -> str:
    """Say which things have the first key that is there more than once."""
    keys = [row[kind.key] for row in rows]
    twice = next(key for key in keys if keys.count(key) > 1)
    ids = ", ".join(f"`{row['id']}`" for row in rows if row[kind.key] == twice)
    what = "give them different names" if kind.key == "name" else "leave only one of them"
    return (
        f"`{kind.section}` has several that are called {twice!r}, and a file tells them apart by "
        f"that: {ids}; {what}, and try again"
    )


def secrets_of(items: Mapping[str, Mapping[str, Item]]) -> list[str]:
    """Return the names of what a file does not have, such as `environments.prod.variables.KEY`."""
    return [
        f"{kind.section}.{key}.{kind.secret}.{name}"
        for kind in KINDS
        if kind.secret
        for key, item in items.get(kind.section, {}).items()
        for name, value in item.get(kind.secret, {}).items()
        if value is None
    ]


def _rows(client: Client, kind: Kind, project: Project) -> list[dict[str, Json]]:
    try:
        return shelves.shelf(client, kind).rows()
    except HttpError as error:
        if error.status not in _NOT_OFFERED:
            raise
        project.not_offered.add(kind.section)
        return []


class _Reader:
    def __init__(
        self, client: Client, names: dict[str, dict[str, str]], *, with_variables: bool
    ) -> None:
        self._client = client
        self._names = names
        self._with_variables = with_variables

    def item(self, kind: Kind, row: dict[str, Json]) -> Item:
        """Return a thing as the file shows it."""
        item = {name: row.get(_READ_AS.get(name, name)) for name in kind.fields}
        for wire, name in kind.refs.items():
            item[name] = self._name(kind.targets[wire], row.get(wire))
        for name in kind.nested:
            item[name] = self._nested(kind, name, row)
        # `enabled: false` says something, because it is true where nothing is said.
        return {
            name: value
            for name, value in item.items()
            if not empty(value) or (value is False and name in {"enabled", "active"})
        }

    def _nested(self, kind: Kind, name: str, row: dict[str, Json]) -> Json:
        match kind:
            case kinds.ENVIRONMENTS:
                if self._with_variables:
                    return shelves.variables(self._client, row)
                return dict.fromkeys(row.get("variable_keys") or ())
            case kinds.JOBS if name == "paused":
                return row.get("paused")
            case kinds.JOBS:
                found = shelves.dependencies(self._client, row["id"])
                return {
                    self._name("jobs", one["depends_on_job_id"]): one["condition"] for one in found
                }
            case kinds.WORKFLOWS:
                return self._steps(row.get("steps") or [])
            case kinds.EVENT_SOURCES if name == kind.secret:
                # The platform shows by its algorithm alone that there is a secret.
                return {"signature_secret": None} if row.get("signature_algorithm") else {}
            case kinds.EVENT_SOURCES:
                return self._subscriptions(row["id"])
        return dict.fromkeys(sorted(row.get(name) or ()))

    def _steps(self, rows: list[dict[str, Json]]) -> list[Item]:
        steps = {row["step_ref"]: row for row in sorted(rows, key=lambda row: row["step_ref"])}
        order = dag.topological_order([(ref, row["depends_on"]) for ref, row in steps.items()])
        return [self._step(steps[ref]) for ref in order]

    def _step(self, row: dict[str, Json]) -> Item:
        step = {}
        for name, value in row.items():
            if name in STEP_REFS and value:
                shown, section = STEP_REFS[name]
                step[shown] = self._name(section, value)
            elif name not in STEP_READ_ONLY and not empty(value):
                step[name] = value
        return step

    def _subscriptions(self, source_id: str) -> list[Item]:
        found = []
        for row in shelves.subscriptions(self._client, source_id):
            name = self._name(f"{row['target_type']}s", row["target_id"])
            item = {row["target_type"]: name, "filter_expr": row.get("filter_expr")}
            shown = {name: value for name, value in item.items() if not empty(value)}
            found.append(shown if row["enabled"] else {**shown, "enabled": False})
        return sorted(found, key=repr)

    def _name(self, section: str, id: Json) -> Json:
        """Return the key of a thing; its id where it is not of this project any more."""
        return self._names.get(section, {}).get(id, id)


def job_secrets(client: Client, project: Project) -> list[str]:
    """Return the names of secrets: `secrets.ENVIRONMENT.JOB.KEY`, with `*` for every job.

    No platform gives out their values.
    """
    jobs, environments = (
        {id: key for key, id in project.ids[section].items()}
        for section in ("jobs", "environments")
    )
    try:
        rows = [dict(row) for row in client.secrets.list()]
    except HttpError as error:
        if error.status not in {403, *_NOT_OFFERED}:
            raise
        return []
    return sorted(
        ".".join(
            [
                "secrets",
                environments.get(row["environment"], row["environment"]),
                jobs.get(row.get("job_id") or "", "*"),
                row["secret_key"],
            ]
        )
        for row in rows
    )
