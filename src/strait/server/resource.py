"""Plain records, declared in place of coded: one piece of code serves all of them.

A resource says what is its own: its operations, which fields it has, which of them are secret,
what may be there only once, and hooks for what is special. Everything else (scope, project, paging,
idempotency, decoding, audit) is the same for all and done elsewhere.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from msgspec import UNSET, Raw, Struct, json
from msgspec.structs import replace

from strait.server import checks
from strait.server.decode import decode_body
from strait.server.errors import ApiError, not_found
from strait.server.http import NO_CONTENT, Call, Reply, page, reply
from strait.server.registry import Registry
from strait.server.unit import Unit
from strait.server.vault import field_place
from strait.store import records
from strait.store.records import Record

Check: TypeAlias = Callable[[Call, Unit, Record], Record]
React: TypeAlias = Callable[[Call, Unit, Record], None]
View: TypeAlias = Callable[[Record, sqlite3.Connection], dict[str, Any]]

REDACTED = "***"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """The declaration of one kind of record.

    Attributes:
        kind: what one is called in the database and in errors, with underscores for spaces.
        param: the path parameter with its id.
        create: the operation that makes one; "" where there is none.
        list: the operation that lists those of the project.
        get: the operation that shows one.
        update: the operation that changes one.
        delete: the operation that deletes one.
        shown: fields that every answer has, with what they are where nothing was given.
        optional: fields that an answer has where they are not empty.
        secret: fields that are sealed and never shown.
        redacted: fields whose values are sealed, and shown as `***` under their names; a change
            that gives `***` back leaves what there is.
        unique: fields whose values together are there once in a project.
        bare: whether the list is an array instead of a page.
        filters: query parameters of the list that are compared with the field of that name.
        updated: whether answers have `updated_at`.
        given_project: whether the body names the project, which must be the caller's.
        project_wide: what is refused to keys of one environment, in the words of the refusal.
        not_empty: whether a change without any field is refused.
        silent: whether a change is answered with 204 and nothing.
        prepare: checks and completes a record before it is written, new or changed.
        removing: checks that one may be deleted, and deletes what goes with it.
        changed: what follows from a record that was written or deleted.
        view: makes the answer of one where the fields alone do not.
    """

    kind: str
    param: str
    create: str = ""
    list: str = ""
    get: str = ""
    update: str = ""
    delete: str = ""
    shown: Mapping[str, Any] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()
    redacted: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()
    bare: bool = False
    filters: tuple[str, ...] = ()
    updated: bool = True
    given_project: bool = True
    project_wide: str = ""
    not_empty: bool = False
    silent: bool = False
    prepare: Check | None = None
    removing: React | None = None
    changed: React | None = None
    view: View | None = None

    @property
    def name(self) -> str:
        """What one is called in a sentence."""
        return self.kind.replace("_", " ")

    def serve(self, registry: Registry) -> None:
        """Register the operations of the resource."""
        if self.create:
            registry.write(self.create)(self._create)
        if self.list:
            registry.read(self.list)(self._list)
        if self.get:
            registry.read(self.get)(self._get)
        if self.update:
            registry.write(self.update)(self._update)
        if self.delete:
            registry.write(self.delete)(self._delete)

    # -------------------------------------------------------------------------------- for others

    def find(self, db: sqlite3.Connection, call: Call) -> Record:
        """Return the record that the path names.

        Raises:
            ApiError: 404, there is none in the caller's project.
        """
        return self.of(db, call.project_id, call.params[self.param])

    def of(self, db: sqlite3.Connection, project_id: str, record_id: str) -> Record:
        """Return a record of a project.

        Raises:
            ApiError: 404, there is none.
        """
        record = records.get(db, self.kind, record_id)
        if record is None or record.project_id != project_id:
            raise not_found(self.name)
        return record

    def insert(self, call: Call, unit: Unit, fields: dict[str, Any], *, owner: str = "") -> Record:
        """Make a record of fields that were checked for their types."""
        unit.tick()
        made = Record(
            id=unit.new_id(),
            project_id=call.project_id,
            created_at=unit.stamp,
            updated_at=unit.stamp,
            owner_id=owner,
            fields={},
        )
        return self._write(call, unit, self._with(unit, made, fields), new=True)

    def save(self, call: Call, unit: Unit, record: Record, fields: dict[str, Any]) -> Record:
        """Write a record with some fields changed."""
        unit.tick()
        changed = self._with(unit, replace(record, updated_at=unit.stamp), fields)
        return self._write(call, unit, changed, new=False)

    def key(self, fields: Mapping[str, Any]) -> str:
        """Return what is there once in a project, out of the fields of a record."""
        return "\x1f".join(str(fields.get(name, "")) for name in self.unique)

    def show(self, record: Record, db: sqlite3.Connection) -> dict[str, Any]:
        """Return a record as the API shows it."""
        if self.view is not None:
            return self.view(record, db)
        return self.plain(record)

    def plain(self, record: Record) -> dict[str, Any]:
        """Return what the declaration alone says of a record."""
        fields = record.fields
        shown: dict[str, Any] = {"id": record.id, "project_id": record.project_id}
        shown |= {name: fields.get(name, default) for name, default in self.shown.items()}
        shown |= {name: fields[name] for name in self.optional if fields.get(name) not in _EMPTY}
        shown["created_at"] = record.created_at
        if self.updated:
            shown["updated_at"] = record.updated_at
        return shown

    def listing(self, call: Call, db: sqlite3.Connection, matching: records.Matching) -> Reply:
        """Answer with the records of the project whose fields have these values, newest first."""
        limit: int | None = call.query.get("limit")
        rows = records.page(
            db,
            self.kind,
            call.project_id,
            matching=matching,
            before=checks.cursor(call.query),
            limit=-1 if limit is None else limit + 1,
        )
        shown = [self.show(row, db) for row in rows]
        if self.bare or limit is None:
            return reply(shown[:limit])
        return page(shown, limit, lambda row: str(row["created_at"]))

    def opened(self, unit: Unit, record: Record, name: str) -> str:
        """Return a secret field in clear, or "" where none was given."""
        return unit.platform.vault.open(record.sealed.get(name, ""), self._place(record, name))

    def opened_values(self, unit: Unit, record: Record, name: str) -> dict[str, str]:
        """Return a redacted field in clear."""
        text = self.opened(unit, record, name)
        values: dict[str, str] = json.decode(text) if text else {}
        return values

    # --------------------------------------------------------------------------------- operations

    def _create(self, call: Call, unit: Unit) -> Reply:
        self._check_reach(call)
        body = decode_body(call.route, call.body_bytes)
        if self.given_project and getattr(body, "project_id", "") != call.project_id:
            raise ApiError(403, "project_id does not match authenticated project")
        made = self.insert(call, unit, given(body))
        return reply(self.show(made, unit.db), 201)

    def _list(self, call: Call, db: sqlite3.Connection) -> Reply:
        self._check_reach(call)
        query = call.query
        matching = {name: str(query[name]) for name in self.filters if query.get(name)}
        return self.listing(call, db, matching)

    def _get(self, call: Call, db: sqlite3.Connection) -> Reply:
        self._check_reach(call)
        return reply(self.show(self.find(db, call), db))

    def _update(self, call: Call, unit: Unit) -> Reply:
        self._check_reach(call)
        record = self.find(unit.db, call)
        fields = given(decode_body(call.route, call.body_bytes))
        if self.not_empty and not fields:
            raise ApiError(400, "no fields to update")
        saved = self.save(call, unit, record, fields)
        return NO_CONTENT if self.silent else reply(self.show(saved, unit.db))

    def _delete(self, call: Call, unit: Unit) -> Reply:
        self._check_reach(call)
        record = self.find(unit.db, call)
        self.remove(call, unit, record)
        return NO_CONTENT

    def remove(self, call: Call, unit: Unit, record: Record) -> None:
        """Delete a record and what goes with it."""
        if self.removing is not None:
            self.removing(call, unit, record)
        records.delete(unit.db, self.kind, record.id)
        if self.changed is not None:
            self.changed(call, unit, record)

    # -------------------------------------------------------------------------------------- parts

    def _check_reach(self, call: Call) -> None:
        if self.project_wide and call.principal.environment_id:
            raise ApiError(403, self.project_wide)

    def _with(self, unit: Unit, record: Record, fields: dict[str, Any]) -> Record:
        sealed = dict(record.sealed)
        plain = dict(record.fields)
        for name, value in fields.items():
            if name in self.secret:
                sealed[name] = unit.platform.vault.seal(str(value), self._place(record, name))
            elif name in self.redacted:
                if not isinstance(value, dict):
                    raise ApiError(400, f"{name} must be an object")
                text = json.encode(self._completed(unit, record, name, value)).decode()
                sealed[name] = unit.platform.vault.seal(text, self._place(record, name))
                plain[name] = dict.fromkeys(value, REDACTED)
            elif name != "project_id":
                plain[name] = value
        return replace(record, fields=plain, sealed=sealed)

    def _completed(
        self, unit: Unit, record: Record, name: str, values: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the values of a redacted field; one that comes back as it was shown stays."""
        if name not in self.shown and name not in self.optional:
            return values
        returned = [entry for entry, value in values.items() if value == REDACTED]
        before = self.opened_values(unit, record, name) if returned else {}
        for entry in returned:
            if entry not in before:
                raise ApiError(400, f"{name}.{entry} is {REDACTED!r}, as values are shown: send it")
        return values | {entry: before[entry] for entry in returned}

    def _write(self, call: Call, unit: Unit, record: Record, *, new: bool) -> Record:
        if self.prepare is not None:
            record = self.prepare(call, unit, record)
        if self.unique:
            record = replace(record, unique_key=self.key(record.fields))
        try:
            (records.insert if new else records.update)(unit.db, self.kind, record)
        except sqlite3.IntegrityError as error:
            values = " and ".join(f"{n} {record.fields.get(n, '')!r}" for n in self.unique)
            article = "an" if self.name[0] in "aeiou" else "a"
            raise ApiError(
                409, f"{article} {self.name} with {values} already exists in this project"
            ) from error
        if self.changed is not None:
            self.changed(call, unit, record)
        return record

    def _place(self, record: Record, name: str) -> str:
        return field_place(self.kind, record.id, name)


_EMPTY: tuple[Any, ...] = (None, "", [], {}, 0, False)


def given(body: Struct) -> dict[str, Any]:
    """Return the fields that a body has, by their names, with free JSON decoded."""
    found: dict[str, Any] = {}
    for name in body.__struct_fields__:
        value = getattr(body, name)
        if value is None or value is UNSET:
            continue
        found[name] = json.decode(value) if isinstance(value, Raw) else value
    return found
