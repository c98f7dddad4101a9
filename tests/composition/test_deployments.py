"""Deployments in one call, with our clients and with objects of the published client's names."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from strait import ApiError, AsyncClient, Client
from strait.composition import (
    CreateAndFinalizeOutput,
    CreateFinalizePromoteOutput,
    create_and_finalize_deployment,
    create_and_finalize_deployment_async,
    create_finalize_promote_deployment,
    create_finalize_promote_deployment_async,
)
from strait.errors import ValidationError

from .conftest import Platform

BODY = {"project_id": "p1", "environment": "prod", "runtime": "python", "artifact_uri": "s3://a"}
INFERRED = {"project_id": "p1", "environment": "prod"}


class Published:
    """A client with the published names; it keeps what it was asked."""

    def __init__(self, **created: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._created = created

    def create_deployment(self, body: dict[str, Any]) -> Any:
        self.calls.append(("create", body))
        return self._created

    def finalize_deployment(self, deployment_id: str, body: dict[str, Any]) -> Any:
        self.calls.append(("finalize", deployment_id, body))
        return {**self._created, "status": "finalized"}

    def promote_deployment(self, deployment_id: str, body: dict[str, Any]) -> Any:
        self.calls.append(("promote", deployment_id, body))
        return {**self._created, "status": "promoted"}


class PublishedAsync(Published):
    async def create_deployment(self, body: dict[str, Any]) -> Any:
        return super().create_deployment(body)

    async def finalize_deployment(self, deployment_id: str, body: dict[str, Any]) -> Any:
        return super().finalize_deployment(deployment_id, body)

    async def promote_deployment(self, deployment_id: str, body: dict[str, Any]) -> Any:
        return super().promote_deployment(deployment_id, body)


class Helpers:
    """Both helpers, sync or async, called alike."""

    def __init__(self, kind: str) -> None:
        self.is_async = kind == "async"
        self.made = PublishedAsync if self.is_async else Published

    def finalize(self, *args: Any, **kwargs: Any) -> Any:
        if self.is_async:
            return asyncio.run(create_and_finalize_deployment_async(*args, **kwargs))
        return create_and_finalize_deployment(*args, **kwargs)

    def promote(self, *args: Any, **kwargs: Any) -> Any:
        if self.is_async:
            return asyncio.run(create_finalize_promote_deployment_async(*args, **kwargs))
        return create_finalize_promote_deployment(*args, **kwargs)


@pytest.fixture(params=["sync", "async"])
def helpers(request: pytest.FixtureRequest) -> Helpers:
    return Helpers(request.param)


def test_a_deployment_is_created_and_finalized(helpers: Helpers) -> None:
    client = helpers.made(id="d1")
    done = helpers.finalize(client, BODY)
    assert done == CreateAndFinalizeOutput({"id": "d1"}, {"id": "d1", "status": "finalized"})
    assert client.calls == [("create", BODY), ("finalize", "d1", INFERRED)]


def test_a_deployment_is_promoted_too(helpers: Helpers) -> None:
    client = helpers.made(id="d1")
    done = helpers.promote(client, BODY)
    assert isinstance(done, CreateFinalizePromoteOutput)
    assert done.promoted == {"id": "d1", "status": "promoted"}
    assert client.calls[2] == ("promote", "d1", INFERRED)


@pytest.mark.parametrize(
    ("finalize", "promote", "sent"),
    [
        (None, None, (INFERRED, INFERRED)),
        ({}, None, ({}, {})),
        ({"a": 1}, None, ({"a": 1}, {"a": 1})),
        ({"a": 1}, {}, ({"a": 1}, {})),
        (None, {"b": 2}, (INFERRED, {"b": 2})),
    ],
)
def test_a_body_that_was_given_is_sent_even_if_it_is_empty(
    helpers: Helpers, finalize: Any, promote: Any, sent: Any
) -> None:
    client = helpers.made(id="d1")
    helpers.promote(client, BODY, finalize_body=finalize, promote_body=promote)
    assert (client.calls[1][2], client.calls[2][2]) == sent


def test_what_the_first_body_lacks_is_not_made_up(helpers: Helpers) -> None:
    client = helpers.made(id="d1")
    helpers.finalize(client, {"environment": "prod"})
    assert client.calls[1] == ("finalize", "d1", {"environment": "prod"})


@pytest.mark.parametrize("created", [{}, {"id": ""}, {"id": None}, {"id": 5}])
def test_a_deployment_without_an_id_is_an_error(helpers: Helpers, created: Any) -> None:
    client = helpers.made(**created)
    with pytest.raises(ValidationError, match="no usable `id`"):
        helpers.finalize(client, BODY)
    assert len(client.calls) == 1


def test_what_fails_half_way_says_what_is_left(platform: Platform) -> None:
    platform.answers = [(201, {"id": "d1"}), (422, {"error": {"message": "no artifact"}})]
    with platform.client() as client, pytest.raises(ApiError) as raised:
        create_finalize_promote_deployment(client.deployments, BODY)
    assert raised.value.__notes__ == ["deployment `d1` was created, and is not finalized"]


async def test_a_promotion_that_fails_says_what_is_left(platform: Platform) -> None:
    platform.answers = [(201, {"id": "d1"}), (200, {"id": "d1"}), (422, None)]
    async with platform.async_client() as client:
        with pytest.raises(ApiError) as raised:
            await create_finalize_promote_deployment_async(client.deployments, BODY)
    assert raised.value.__notes__ == ["deployment `d1` was finalized, and is not promoted"]


def test_our_client_sends_the_three_requests(platform: Platform) -> None:
    platform.answers = [(201, {"id": "d1"}), (200, {"id": "d1", "status": "promoted"})]
    with platform.client() as client:
        done = create_finalize_promote_deployment(client.deployments, BODY)
    assert done.promoted.status == "promoted"
    assert [request.url.path for request in platform.requests] == [
        "/v1/deployments",
        "/v1/deployments/d1/finalize",
        "/v1/deployments/d1/promote",
    ]
    assert platform.bodies == [BODY, INFERRED, INFERRED]


async def test_our_async_client_sends_the_same(platform: Platform) -> None:
    platform.answers = [(201, {"id": "d1"}), (200, {"id": "d1", "status": "finalized"})]
    async with platform.async_client() as client:
        done = await create_and_finalize_deployment_async(client.deployments, BODY)
    assert done.finalized.status == "finalized"
    assert platform.bodies == [BODY, INFERRED]


def test_an_async_client_is_refused_where_nothing_awaits_it(platform: Platform) -> None:
    client = AsyncClient(base_url="https://p.test", api_key="strait_0")
    with pytest.raises(ValidationError, match="use `create_and_finalize_deployment_async`"):
        create_and_finalize_deployment(client.deployments, BODY)


def test_what_is_no_client_is_refused() -> None:
    with pytest.raises(ValidationError, match="not Client"):
        create_and_finalize_deployment(Client(api_key="strait_0"), BODY)
