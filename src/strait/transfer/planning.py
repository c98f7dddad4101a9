"""What an import would do: found out without doing it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from strait.transfer import kinds
from strait.transfer.document import Document, TransferError, empty
from strait.transfer.kinds import KINDS, STEP_REFS, Kind
from strait.transfer.reading import Project, job_secrets, read, secrets_of

if TYPE_CHECKING:
    from strait.client import Client
    from strait.errors import Json

_LONGEST = 60
_KEPT = {"keep": " ", "create": "+", "change": "~", "delete": "-", "blocked": "!"}


@dataclass(frozen=True, slots=True)
class Change:
    """What an import would do with one thing.

    Attributes:
        section: its section in the file.
        key: its slug or its name.
        action: `blocked` is what cannot be done; `reason` says why, and what to do.
        before: what the platform has, of what would change.
        after: what the file has of it.
        reason: why it is blocked, or what of it does not come along.
    """

    section: str
    key: str
    action: Literal["keep", "create", "change", "delete", "blocked"]
    before: Mapping[str, Json]
    after: Mapping[str, Json]
    reason: str = ""

    def __str__(self) -> str:
        lines = [f"{_KEPT[self.action]} {self.action} {self.section}.{self.key}"]
        if self.action == "change":
            lines += [
                f"    {name}: {_text(self.before.get(name))} -> {_text(value)}"
                for name, value in self.after.items()
            ]
        if self.reason:
            lines.append(f"    {self.reason}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What an import would do.

    Attributes:
        changes: one for each thing of the file and each that would be deleted, in the order in
            which they are done.
        notes: what of the file the platform does not have, and what it has that the file has not.
        to_set: the names of secret values that are neither in the file nor given.
        project: what the platform has.
        values: the secret values that were given.
    """

    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    to_set: tuple[str, ...]
    project: Project
    values: Mapping[str, str]

    @property
    def is_empty(self) -> bool:
        """Whether nothing would be done."""
        return all(change.action == "keep" for change in self.changes)

    def __str__(self) -> str:
        shown = [str(change) for change in self.changes if change.action != "keep"]
        kept = len(self.changes) - len(shown)
        lines = [*shown, f"  keep {kept} as they are"]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"to be set: {name}" for name in self.to_set]
        return "\n".join(lines)


def plan_import(
    client: Client,
    document: Document,
    *,
    prune: bool = False,
    values: Mapping[str, str] | None = None,
) -> ImportPlan:
    """Say what importing a document would do, and change nothing.

    Args:
        client: a client with a project and a key that may read it.
        document: what `loads` returned.
        prune: delete what the file does not have; without it nothing is ever deleted.
        values: secret values by their names in `to_set`.

    Raises:
        TransferError: the document names something that neither it nor the project has, or a
            value is given that nothing asks for.
    """
    given = dict(values or {})
    project = read(client, with_variables=True)
    asked = secrets_of(document)
    if strange := sorted(set(given) - set(asked)):
        raise TransferError(f"nothing asks for the value {strange[0]!r}; the file's `to_set` does")
    _check_names(document, project)
    changes: list[Change] = []
    for kind in KINDS:
        items = document[kind.section]
        changes += [
            _change(kind, key, document, project, given) for key in _order(kind, items, project)
        ]
    extra = [
        Change(kind.section, key, "delete", project.items[kind.section][key], {})
        for kind in reversed(KINDS)
        for key in reversed(_order(kind, project.items[kind.section], project))
        if key not in document[kind.section]
    ]
    notes = list(_notes(document, project))
    if not prune:
        notes += [f"{one.section}.{one.key} is not in the file and stays" for one in extra]
    here = [name for name in asked if name not in given and not _is_set(name, project)]
    there = set(job_secrets(client, project))
    secrets = [
        name
        for name in document.get("to_set", ())
        if name.startswith("secrets.") and name not in there
    ]
    return ImportPlan(
        tuple(changes + (extra if prune else [])),
        tuple(notes),
        tuple(here + secrets),
        project,
        given,
    )


def _change(
    kind: Kind, key: str, document: Document, project: Project, given: Mapping[str, str]
) -> Change:
    wanted = _as_offered(kind, document[kind.section][key], project)
    if kind.secret and kind.secret in wanted:
        wanted = {**wanted, kind.secret: _filled(kind, key, wanted[kind.secret], project, given)}
    if kind.section in project.not_offered:
        return Change(kind.section, key, "blocked", {}, wanted, "the platform has none of these")
    has = project.items[kind.section].get(key)
    if has is None:
        if unset := secrets_of({kind.section: {key: wanted}}):
            return Change(kind.section, key, "blocked", {}, wanted, _to_give(unset[0]))
        return Change(kind.section, key, "create", {}, wanted)
    after = {
        name: wanted.get(name)
        for name in (*kind.fields, *kind.refs.values(), *kind.nested)
        if not _same(name, has.get(name), wanted.get(name), is_secret=name == kind.secret)
    }
    if not after:
        return Change(kind.section, key, "keep", {}, {})
    before = {name: has.get(name) for name in after}
    asked = secrets_of({kind.section: {key: wanted}}) if kind.secret in after else []
    if unset := [name for name in asked if not _is_set(name, project)]:
        return Change(kind.section, key, "blocked", before, after, _to_give(unset[0]))
    if "steps" in after and (gone := _refs(has) - _refs(wanted)):
        reason = f"no platform removes steps ({', '.join(sorted(gone))}); give it another slug"
        return Change(kind.section, key, "blocked", before, after, reason)
    if kind is kinds.EVENT_SOURCES and kind.secret in after and not wanted.get(kind.secret):
        reason = "no platform takes a signature away; delete it there, and import again"
        return Change(kind.section, key, "blocked", before, after, reason)
    if not kind.changes:
        reason = "the platform cannot change one; delete it there, and import again"
        return Change(kind.section, key, "blocked", before, after, reason)
    return Change(kind.section, key, "change", before, after)


def _to_give(secret: str) -> str:
    return f"give `{secret}` with `--values`, and import again"


def _refs(workflow: Mapping[str, Json]) -> set[str]:
    return {step["step_ref"] for step in workflow.get("steps", ())}


def _same(name: str, has: Json, wanted: Json, *, is_secret: bool) -> bool:
    """Compare an entry with what the platform shows; a secret value that is not known is equal."""
    if is_secret:
        has, wanted = has or {}, wanted or {}
        return set(has) == set(wanted) and all(
            value is None or has[key] is None or value == has[key] for key, value in wanted.items()
        )
    if name == "paused":
        # Who has paused a job there had a reason, which a file does not know.
        return bool(has) or not wanted
    if name in {"enabled", "active"}:
        return (has is not False) == (wanted is not False)
    if name in {"event_types", "permissions"}:
        has, wanted = sorted(has or ()), sorted(wanted or ())
    return bool(has == wanted or (empty(has) and empty(wanted)))


def _as_offered(kind: Kind, item: Mapping[str, Json], project: Project) -> dict[str, Json]:
    """Leave out what only the embedded platform knows, for a platform that is none."""
    if "throttles" not in project.not_offered:
        return dict(item)
    return {name: value for name, value in item.items() if name not in kind.embedded_only}


def _filled(
    kind: Kind,
    key: str,
    secrets: Mapping[str, str | None],
    project: Project,
    given: Mapping[str, str],
) -> dict[str, str | None]:
    """Return secret values: of the file, as given, or as the platform has them already."""
    has = project.items[kind.section].get(key, {}).get(kind.secret, {})
    filled = {
        name: given.get(f"{kind.section}.{key}.{kind.secret}.{name}", has.get(name))
        if value is None
        else value
        for name, value in secrets.items()
    }
    if kind is kinds.ENVIRONMENTS:
        # A variable that is not known yet can be added later; a channel needs its address.
        return {name: value for name, value in filled.items() if value is not None}
    return filled


def _is_set(name: str, project: Project) -> bool:
    section, _, rest = name.partition(".")
    kind = next(one for one in KINDS if one.section == section)
    key, _, secret = rest.rpartition(f".{kind.secret}.")
    return secret in project.items[section].get(key, {}).get(kind.secret, {})


def _notes(document: Document, project: Project) -> Iterator[str]:
    if "throttles" not in project.not_offered:
        return
    for kind in KINDS:
        for key, item in document[kind.section].items():
            for name in sorted(kind.embedded_only & set(item)):
                if not (name == "cron_catchup" and item[name] == "skip"):
                    yield f"{kind.section}.{key}: only the embedded platform has `{name}`"


def _order(kind: Kind, items: Mapping[str, Mapping[str, Json]], project: Project) -> list[str]:
    """Return the keys so that each comes after those of its kind that it names.

    Raises:
        TransferError: they name each other in a circle, and the project does not have all of it.
    """
    done: dict[str, None] = {}
    there = project.items[kind.section]

    def put(key: str, above: Sequence[str]) -> None:
        if key in above:
            circle = [*above[above.index(key) :], key]
            if all(name in there for name in circle):
                return  # each can name the other, since both have been made
            raise TransferError(_circle(kind, circle))
        for name in _own_names(kind, items[key]):
            if name in items and name not in done:
                put(name, [*above, key])
        done[key] = None

    for key in items:
        put(key, ())
    return list(done)


def _circle(kind: Kind, keys: Sequence[str]) -> str:
    text = f"`{kind.section}.{keys[0]}` leads back to itself: {' -> '.join(keys)}"
    if kind is kinds.WORKFLOWS:
        text += (
            "; none can be made before the other, so take the step that leads back out of the "
            "file, import it, and add that step to the workflow there"
        )
    return text


def _own_names(kind: Kind, item: Mapping[str, Json]) -> Iterator[str]:
    for section, name in _names(kind, item):
        if section == kind.section and kind is not kinds.JOBS:
            yield name


def _names(kind: Kind, item: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    """Return what an item names, as sections and keys."""
    for wire, name in kind.refs.items():
        if item.get(name):
            yield kind.targets[wire], item[name]
    if kind is kinds.JOBS:
        yield from (("jobs", slug) for slug in item.get("depends_on", ()))
    for step in item.get("steps", ()) if kind is kinds.WORKFLOWS else ():
        for shown, section in STEP_REFS.values():
            if step.get(shown):
                yield section, step[shown]
    for row in item.get("subscriptions", ()) if kind is kinds.EVENT_SOURCES else ():
        for target in ("job", "workflow"):
            if target in row:
                yield f"{target}s", row[target]


def _check_names(document: Document, project: Project) -> None:
    for kind in KINDS:
        for key, item in document[kind.section].items():
            for section, name in _names(kind, item):
                if name not in document[section] and name not in project.items[section]:
                    raise TransferError(
                        f"`{kind.section}.{key}` names {name!r}, which is neither in `{section}` "
                        "of the file nor in the project"
                    )


def _text(value: Json) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
