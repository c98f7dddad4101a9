"""Where a client keeps each kind of thing: listing, creating, changing and deleting it.

A shelf speaks the API's language; what the file calls things is in `reading` and `applying`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from strait.authoring.flow import as_json
from strait.transfer import kinds
from strait.transfer.kinds import Kind

if TYPE_CHECKING:
    from strait.client import Client
    from strait.errors import Json

_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Shelf:
    """The operations of a client on one kind of thing.

    Attributes:
        rows: every one of them, as the API shows it.
        create: makes one and returns it.
        update: changes one by its id.
        delete: deletes one by its id.
    """

    rows: Callable[[], list[dict[str, Json]]]
    create: Callable[[dict[str, Json]], Json]
    update: Callable[[str, dict[str, Json]], object]
    delete: Callable[[str], object]


def shelf(client: Client, kind: Kind) -> Shelf:
    """Return the shelf of a kind."""
    service: Any = getattr(client, _SERVICES.get(kind.section, kind.section))
    match kind:
        case kinds.THROTTLES:
            return Shelf(
                lambda: _all(service.list(limit=_LIMIT)),
                lambda body: as_json(service.put(body["name"], _without_name(body))),
                lambda _, body: service.put(body["name"], _without_name(body)),
                service.delete,
            )
        case kinds.ROLES:
            return Shelf(
                lambda: [row for row in _all(client.rbac.list_roles()) if not row["is_system"]],
                lambda body: as_json(client.rbac.create_role(body)),
                client.rbac.update_role,
                client.rbac.delete_role,
            )
        case kinds.WEBHOOKS:
            return Shelf(
                lambda: [_with_key(row) for row in _all(service.list_subscriptions())],
                lambda body: as_json(service.create_subscription(body))["subscription"],
                _no_update,
                service.delete_subscription,
            )
        case kinds.WORKFLOWS:
            return Shelf(
                lambda: [
                    {**row, **as_json(service.get(row["id"]))}
                    for row in _all(service.list(limit=_LIMIT))
                ],
                lambda body: as_json(service.create(body)),
                service.update,
                service.delete,
            )
    return Shelf(
        # Some of these lists have pages, and some are bare.
        lambda: _all(service.list()),
        lambda body: as_json(service.create(body)),
        service.update,
        service.delete,
    )


_SERVICES = {"roles": "rbac"}


def variables(client: Client, environment: Mapping[str, Json]) -> dict[str, str]:
    """Return the variables of an environment with their values, without inherited ones."""
    keys = environment.get("variable_keys") or ()
    if not keys:
        return {}
    answer = as_json(client.environments.list_variables(environment["id"]))
    values = answer.get("variables", answer)
    return {key: values[key] for key in keys}


def dependencies(client: Client, job_id: str) -> list[dict[str, Json]]:
    """Return what a job depends on."""
    return _all(client.jobs.list_dependencies(job_id))


def subscriptions(client: Client, source_id: str) -> list[dict[str, Json]]:
    """Return who is told of the events of a source."""
    return _all(client.event_sources.list_subscriptions(source_id))


def _all(page: Any) -> list[dict[str, Json]]:
    return [as_json(row) for row in page or ()]


def _without_name(body: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in body.items() if name != "name"}


def _with_key(row: dict[str, Json]) -> dict[str, Json]:
    types = sorted(row.get("event_types") or ())
    return {**row, "event_types": types, "key": " ".join([row["webhook_url"], *types])}


def _no_update(id: str, body: dict[str, Json]) -> object:
    raise AssertionError(f"{id} cannot be changed to {sorted(body)}: plans refuse it")
