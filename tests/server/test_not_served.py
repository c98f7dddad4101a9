"""What is described and not served yet: a list that may only become shorter."""

from __future__ import annotations

import re
from pathlib import Path

from strait.server._generated.routes import ROUTES
from strait.server.refusals import REASONS
from strait.server.routes import registry
from support.world import World

LISTED = Path(__file__).with_name("not_served.txt").read_text(encoding="utf-8").split()


def not_served() -> set[str]:
    return {route.id for route in ROUTES if route.method} - registry.operations()


def test_nothing_is_served_that_is_not_described() -> None:
    assert registry.operations() <= {route.id for route in ROUTES}


def test_no_operation_has_ceased_to_be_served() -> None:
    assert not_served() - set(LISTED) == set()


def test_operations_that_are_served_by_now_are_off_the_list() -> None:
    assert set(LISTED) - not_served() == set(), (
        "delete these lines from tests/server/not_served.txt"
    )


def test_what_is_not_served_is_refused_for_a_reason_or_was_never_routed() -> None:
    never_routed = {route.id for route in ROUTES if not route.platform} - registry.operations()
    assert set(LISTED) == set(REASONS) | never_routed
    assert all(REASONS.values())


async def test_a_refusal_gives_its_reason(world: World) -> None:
    answer = await world.api.get("/v1/plans")
    assert answer.status_code == 501
    assert answer.json()["error"]["message"].endswith(REASONS["list-plans"])


def test_the_list_is_sorted_and_has_nothing_twice() -> None:
    assert sorted(set(LISTED)) == LISTED


async def test_an_operation_that_is_not_served_says_so_in_the_envelope(world: World) -> None:
    by_id = {route.id: route for route in ROUTES}
    internal = world.internal("proj-1")
    for operation in LISTED:
        route = by_id[operation]
        path = re.sub(r"\{[^}]*\}", "x", route.path)
        client = internal if route.auth == "internal" else world.api
        answer = await client.request(route.method, path)
        assert answer.status_code == 501, operation
        error = answer.json()["error"]
        assert error["code"] == "internal_error"
        assert error["message"].startswith(f"operation `{operation}` is not served")
        assert answer.json()["request_id"]


async def test_a_stranger_is_refused_before_being_told_what_is_not_served(world: World) -> None:
    by_id = {route.id: route for route in ROUTES}
    keyed = [by_id[name] for name in LISTED if by_id[name].auth == "api_key"]
    assert keyed
    for route in keyed:
        path = re.sub(r"\{[^}]*\}", "x", route.path)
        assert (await world.client().request(route.method, path)).status_code == 401, route.id
