"""What environments mean: variables that are inherited, and secrets that handlers are given.

Values are sealed on the disk, so that they are opened here and nowhere else
(`contract/workflows.md` §5.3 and §5.4, `contract/runs.md` §4.1 and §4.5).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import json

from strait.engine.model import Job
from strait.server.vault import Vault
from strait.store import records
from strait.store.records import Record

if TYPE_CHECKING:
    from strait.server.unit import Unit

ENVIRONMENT = "environment"
SECRET = "secret"  # noqa: S105 - a kind of record
DEFAULT_ENVIRONMENT = "production"
MAX_DEPTH = 10
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")


def lineage(db: sqlite3.Connection, environment: Record) -> Iterator[Record]:
    """Iterate over an environment and those that it inherits from, nearest first."""
    seen: set[str] = set()
    present: Record | None = environment
    while present is not None and present.id not in seen and len(seen) < MAX_DEPTH:
        yield present
        seen.add(present.id)
        parent = str(present.fields.get("parent_id") or "")
        present = records.get(db, ENVIRONMENT, parent) if parent else None


def variables(db: sqlite3.Connection, vault: Vault, environment: Record) -> dict[str, str]:
    """Return the variables of an environment; what it says itself wins over what it inherits."""
    found: dict[str, str] = {}
    for each in lineage(db, environment):
        found = {**own_variables(vault, each), **found}
    return found


def own_variables(vault: Vault, environment: Record) -> dict[str, str]:
    """Return the variables that an environment says itself."""
    sealed = environment.sealed.get("variables", "")
    text = vault.open(sealed, f"{ENVIRONMENT}:{environment.id}:variables")
    values: dict[str, str] = json.decode(text) if text else {}
    return values


def named(db: sqlite3.Connection, project_id: str, name: str) -> Record | None:
    """Return the environment of a project with this id, slug or name."""
    found = records.get(db, ENVIRONMENT, name)
    if found is not None and found.project_id == project_id:
        return found
    found = records.by_key(db, ENVIRONMENT, project_id, name)
    if found is not None:
        return found
    matches = records.page(db, ENVIRONMENT, project_id, matching={"name": name}, limit=1)
    return matches[0] if matches else None


def secrets_of(db: sqlite3.Connection, vault: Vault, job: Job) -> dict[str, str]:
    """Return the secrets that the handler of a job is given, by their keys.

    Those are the ones of its environment, of those that it inherits from, and of the job itself,
    which win. A job without an environment is in `production`.
    """
    places: list[str] = []
    if job.environment_id:
        environment = records.get(db, ENVIRONMENT, job.environment_id)
        if environment is not None:
            places = [place for each in lineage(db, environment) for place in places_of(each)]
    else:
        environment = named(db, job.project_id, DEFAULT_ENVIRONMENT)
        places = [DEFAULT_ENVIRONMENT] if environment is None else places_of(environment)
    ranked: list[tuple[bool, int, Record]] = []
    for record in records.page(db, SECRET, job.project_id):
        place = str(record.fields.get("environment"))
        owner = record.fields.get("job_id") or ""
        if place in places and owner in {"", job.id}:
            ranked.append((not owner, places.index(place), record))
    # The nearest is written last, so that it wins.
    ranked.sort(key=lambda entry: (entry[0], entry[1]), reverse=True)
    return {
        str(record.fields["secret_key"]): vault.open(
            record.sealed.get("value", ""), f"{SECRET}:{record.id}:value"
        )
        for _, _, record in ranked
    }


def places_of(environment: Record) -> list[str]:
    """Return where the secrets of an environment may lie: under its id, which wins, or its names.

    A secret that was made while the project had no environments lies under what it was given.
    """
    return [environment.id, str(environment.fields["slug"]), str(environment.fields["name"])]


def endpoint_of(db: sqlite3.Connection, vault: Vault, job: Job) -> str:
    """Return the address that the environment of a job puts in place of its own, or ""."""
    if not job.environment_id:
        return ""
    environment = records.get(db, ENVIRONMENT, job.environment_id)
    if environment is None:
        return ""
    return variables(db, vault, environment).get("ENDPOINT_URL", "")


def changed(unit: Unit) -> None:
    """Have jobs looked up anew, with all that they are told of what lies outside of them."""
    unit.platform.jobs.clear()
    # A dispatch may have looked at what was there before the commit.
    unit.after(unit.platform.jobs.clear)


def is_header_name(secret_key: str) -> bool:
    """Tell whether a secret's key can be part of the name of an HTTP header."""
    return _HEADER_NAME.fullmatch(secret_key) is not None
