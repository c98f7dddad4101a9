"""Log drains: where the history of a project's runs is sent as well (`workflows.md` §5.10)."""

from __future__ import annotations

from functools import partial

from msgspec.structs import replace

from strait.server import addresses
from strait.server.audience import DRAIN
from strait.server.errors import ApiError
from strait.server.http import Call
from strait.server.registry import Registry
from strait.server.resource import Resource
from strait.server.unit import Unit
from strait.server.work import environments
from strait.store import ledger, log_drains, records
from strait.store.records import Record

registry = Registry()

_NEEDED = {"bearer": ("token",), "basic": ("username", "password")}


def _prepare(call: Call, unit: Unit, drain: Record) -> Record:
    del call
    fields = {"enabled": True, **drain.fields}
    addresses.endpoint(fields["endpoint_url"], "endpoint_url", unit.platform.reach)
    _check_auth(fields["auth_type"], DRAINS.opened_values(unit, drain, "auth_config"))
    present = records.get(unit.db, DRAIN, drain.id)
    # Who switches it on wants what comes from now on, not what came while it was off.
    if fields["enabled"] and (present is None or not present.fields.get("enabled", True)):
        log_drains.move(unit.db, drain.id, ledger.end(unit.db))
    return replace(drain, fields=fields)


def _check_auth(auth_type: str, config: dict[str, str]) -> None:
    for name in _NEEDED.get(auth_type, ()):
        if not config.get(name):
            raise ApiError(400, f"auth_config.{name} is required for auth_type {auth_type!r}")
    if auth_type == "header":
        if not config:
            raise ApiError(400, "auth_config must have a header for auth_type 'header'")
        for name in config:
            if not environments.is_header_name(name):
                raise ApiError(400, f"auth_config.{name} is not a header name")
    for name, value in config.items():
        if not (value.isascii() and value.isprintable()):
            raise ApiError(400, f"auth_config.{name} must be one line of printable ASCII")


def _changed(call: Call, unit: Unit, drain: Record) -> None:
    del call
    unit.platform.audience.forget()
    unit.after(partial(unit.platform.log_drains.changed, drain.id))


DRAINS = Resource(
    kind=DRAIN,
    param="drainID",
    create="create-log-drain",
    list="list-log-drains",
    get="get-log-drain",
    update="update-log-drain",
    delete="delete-log-drain",
    shown={"name": "", "drain_type": "", "endpoint_url": "", "auth_type": "", "enabled": True},
    optional=("auth_config", "level_filter"),
    redacted=("auth_config",),
    bare=True,
    not_empty=True,
    prepare=_prepare,
    removing=lambda _call, unit, drain: log_drains.forget(unit.db, drain.id),
    changed=_changed,
)
DRAINS.serve(registry)
