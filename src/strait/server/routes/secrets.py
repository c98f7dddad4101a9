"""Secrets: sealed texts that handlers are given in headers (`contract/workflows.md` §5.4)."""

from __future__ import annotations

import sqlite3

from msgspec.structs import replace

from strait.server.errors import ApiError, not_found
from strait.server.http import Call, Reply, page
from strait.server.registry import Registry
from strait.server.resource import Resource
from strait.server.unit import Unit
from strait.server.work import environments
from strait.store import records
from strait.store.records import Record

registry = Registry()


def _prepare(call: Call, unit: Unit, secret: Record) -> Record:
    fields = dict(secret.fields)
    job_id = fields.get("job_id")
    if job_id:
        job = unit.job(call.project_id, job_id)
        if call.principal.environment_id not in {"", job.environment_id}:
            raise not_found("job")
    if not environments.is_header_name(fields["secret_key"]):
        raise ApiError(
            400, "secret_key must be a header name: letters, digits, - and _ (max 128 characters)"
        )
    if not SECRETS.opened(unit, secret, "value").isprintable():
        raise ApiError(
            400,
            "value must be one printable line, since handlers get it in a header; "
            "encode it, such as in base64",
        )
    name = fields.get("environment") or call.principal.environment_id
    fields["environment"] = _place(unit.db, call.project_id, name)
    if call.principal.environment_id not in {"", fields["environment"]}:
        raise ApiError(403, "environment does not match the environment of the key")
    fields["job_id"] = job_id or ""
    fields["key_version"] = 1
    return replace(secret, fields=fields)


def _place(db: sqlite3.Connection, project_id: str, name: str | None) -> str:
    """Return the id of an environment by its id, slug or name; any text where there are none."""
    name = name or environments.DEFAULT_ENVIRONMENT
    found = environments.named(db, project_id, name)
    if found is not None:
        return found.id
    if records.page(db, environments.ENVIRONMENT, project_id, limit=1):
        raise not_found("environment")
    return name


SECRETS = Resource(
    kind=environments.SECRET,
    param="secretID",
    create="create-secret",
    get="get-secret",
    delete="delete-secret",
    shown={"environment": "", "secret_key": "", "key_version": 1},
    optional=("job_id",),
    secret=("value",),
    unique=("job_id", "environment", "secret_key"),
    prepare=_prepare,
    changed=lambda _call, unit, _record: environments.changed(unit),
)
SECRETS.serve(registry)


@registry.read("list-secrets")
def list_all(call: Call, db: sqlite3.Connection) -> Reply:
    """List the secrets of the project, newest first, without their values."""
    query = call.query
    matching: dict[str, str | list[str]] = {}
    if query.get("job_id"):
        matching["job_id"] = query["job_id"]
    found = None
    if query.get("environment"):
        found = environments.named(db, call.project_id, query["environment"])
        places = [query["environment"]] if found is None else environments.places_of(found)
        matching["environment"] = places
    own = call.principal.environment_id
    if own:
        if query.get("environment") and (found is None or found.id != own):
            return page([], query["limit"], str)
        matching["environment"] = own
    return SECRETS.listing(call, db, matching)
