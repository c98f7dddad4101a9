"""Every operation that the platform serves is called through both clients, with things that exist.

Each scenario has a server of its own. Every raw answer is held to the description, every result
must be typed, and what is called is compared with what is served: an operation that lands without
a call here fails this test, by its name.
"""

from __future__ import annotations

import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from strait.server.routes import registry
from support.handlers import Handlers
from support.world import world

from . import around, reports, runs, workflows
from .driver import Mode, Scene

NAMES = tomllib.loads((Path(__file__).parents[2] / "api" / "names.toml").read_text())["operations"]
SCENARIOS: tuple[Callable[[Scene], Awaitable[None]], ...] = (
    *(runs.jobs, runs.handlers, runs.runs, runs.events),
    *(workflows.definitions, workflows.runs),
    *(around.configuration, around.sources, around.messages, around.access, around.projects),
    around.reference,
    *(reports.figures, reports.usage),
)
# Served, and never with a success: there is nothing on this platform that they could be about.
REFUSED = {
    "audit_admin.replay_deadletter": 404,
    "audit_admin.delete_deadletter": 404,
    "reference.get_oauth_metadata": 404,
    "workers.get": 404,
    "workers.list_tasks": 404,
    "workers.disconnect": 404,
}


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_every_operation_that_is_served_works_through_the_client(
    handlers: Handlers, mode: Mode
) -> None:
    answered: set[str] = set()
    refused: dict[str, set[int]] = {}
    for scenario in SCENARIOS:
        handlers.scripts.clear()
        handlers.received.clear()
        async with world(handlers) as made:
            scene = Scene(made, mode)
            try:
                await scenario(scene)
            finally:
                await scene.aclose()
        assert scene.record.problems == [], scenario.__name__
        answered |= scene.record.answered
        refused |= scene.record.refused
    served = {NAMES[operation] for operation in registry.operations()}
    assert served - answered == set(REFUSED)
    assert {name: {status} for name, status in REFUSED.items()} == {
        name: refused[name] for name in REFUSED
    }


def test_both_clients_have_a_method_for_every_operation() -> None:
    from strait import AsyncClient, Client

    for kind in (Client, AsyncClient):
        client = kind(base_url="http://127.0.0.1:1", api_key="k")
        for name in NAMES.values():
            service, _, method = name.partition(".")
            assert callable(getattr(getattr(client, service), method)), name
