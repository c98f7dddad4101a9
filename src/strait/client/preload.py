"""Importing ahead: for programs whose start is free and whose first call is not."""

from __future__ import annotations

from importlib import import_module

from strait.client._generated.attributes import SyncServices
from strait.client.transports.wiring import shared_ssl_context
from strait.errors import ValidationError

_SERVICES = frozenset(name for name in vars(SyncServices) if not name.startswith("_"))


def preload(*services: str) -> None:
    """Import now what clients import when they are first used, and read the trusted certificates.

    Call it while a function of a serverless platform, or a server that forks its workers, is being
    set up: time there is not the time of a request. It opens no connection.

        strait.preload("jobs", "runs")
        client = strait.Client()

    Args:
        *services: the services that will be used; by default all of them.

    Raises:
        ValidationError: there is no such service.
    """
    unknown = sorted(set(services) - _SERVICES)
    if unknown:
        raise ValidationError(
            f"there is no service `{unknown[0]}`; services are {', '.join(sorted(_SERVICES))}"
        )
    for client in ("sync", "aio"):
        import_module(f"strait.client.{client}")
    for service in services or sorted(_SERVICES):
        import_module(f"strait.services.{service}")
    shared_ssl_context()
