"""Deployments in one call: create a draft, finalize it, and perhaps promote it.

They work with `client.deployments` of our clients, and with objects that have the published
client's methods (`create_deployment`, `finalize_deployment`, `promote_deployment`).
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from strait.composition import pace
from strait.errors import Json, ValidationError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")

Body: TypeAlias = Mapping[str, Any]
_SHARED = ("project_id", "environment")


class Deployments(Protocol[T_co]):
    """What these helpers need of `client.deployments`."""

    def create(self, body: dict[str, Any], /) -> T_co:
        """Create a deployment as a draft."""
        ...

    def finalize(self, deployment_id: str, body: dict[str, Any], /) -> T_co:
        """Close its draft."""
        ...

    def promote(self, deployment_id: str, body: dict[str, Any], /) -> T_co:
        """Make it the current one of its environment."""
        ...


class DeploymentClient(Protocol[T_co]):
    """What these helpers need of an object with the published client's names."""

    def create_deployment(self, body: dict[str, Any], /) -> T_co:
        """Create a deployment as a draft."""
        ...

    def finalize_deployment(self, deployment_id: str, body: dict[str, Any], /) -> T_co:
        """Close its draft."""
        ...

    def promote_deployment(self, deployment_id: str, body: dict[str, Any], /) -> T_co:
        """Make it the current one of its environment."""
        ...


AnyClient: TypeAlias = Deployments[T] | DeploymentClient[T]


@dataclass(slots=True)
class CreateAndFinalizeOutput(Generic[T]):
    """A deployment at each of its stages.

    Attributes:
        created: as it was created.
        finalized: as it was finalized.
    """

    created: T
    finalized: T


@dataclass(slots=True)
class CreateFinalizePromoteOutput(Generic[T]):
    """A deployment at each of its stages.

    Attributes:
        created: as it was created.
        finalized: as it was finalized.
        promoted: as it was promoted.
    """

    created: T
    finalized: T
    promoted: T


def create_and_finalize_deployment(
    client: AnyClient[T], create_body: Body, finalize_body: Body | None = None
) -> CreateAndFinalizeOutput[T]:
    """Create a deployment and finalize it.

    When finalizing fails, its error has a note with the id of the draft that is left.

    Args:
        client: `client.deployments`, or an object with the published client's methods.
        create_body: the deployment.
        finalize_body: the body of the second request; by default `project_id` and `environment`
            of the first. An empty one is sent as it is.

    Raises:
        ValidationError: the platform gave the deployment no id, or the client is asynchronous;
            for that there is `create_and_finalize_deployment_async`.
    """
    flow: _Flow[T, CreateAndFinalizeOutput[T]] = _finalized(client, create_body, finalize_body)
    return _run(flow, "create_and_finalize_deployment")


async def create_and_finalize_deployment_async(
    client: AnyClient[Awaitable[T]], create_body: Body, finalize_body: Body | None = None
) -> CreateAndFinalizeOutput[T]:
    """Create a deployment and finalize it; see `create_and_finalize_deployment`."""
    flow: _Flow[T, CreateAndFinalizeOutput[T]] = _finalized(client, create_body, finalize_body)
    return await _run_async(flow)


def create_finalize_promote_deployment(
    client: AnyClient[T],
    create_body: Body,
    finalize_body: Body | None = None,
    promote_body: Body | None = None,
) -> CreateFinalizePromoteOutput[T]:
    """Create a deployment, finalize it, and make it the current one of its environment.

    Args:
        client: `client.deployments`, or an object with the published client's methods.
        create_body: the deployment.
        finalize_body: the body of the second request; by default `project_id` and `environment`
            of the first.
        promote_body: the body of the third request; by default that of the second. An empty one
            is sent as it is.

    Raises:
        ValidationError: the platform gave the deployment no id, or the client is asynchronous;
            for that there is `create_finalize_promote_deployment_async`.
    """
    flow: _Flow[T, CreateFinalizePromoteOutput[T]] = _promoted(
        client, create_body, finalize_body, promote_body
    )
    return _run(flow, "create_finalize_promote_deployment")


async def create_finalize_promote_deployment_async(
    client: AnyClient[Awaitable[T]],
    create_body: Body,
    finalize_body: Body | None = None,
    promote_body: Body | None = None,
) -> CreateFinalizePromoteOutput[T]:
    """Create, finalize and promote a deployment; see `create_finalize_promote_deployment`."""
    flow: _Flow[T, CreateFinalizePromoteOutput[T]] = _promoted(
        client, create_body, finalize_body, promote_body
    )
    return await _run_async(flow)


# A flow yields what a client answered, and is sent what that turned out to be.
_Flow: TypeAlias = Generator[object, T, R]


def _finalized(
    client: object, create_body: Body, finalize_body: Body | None
) -> _Flow[T, CreateAndFinalizeOutput[T]]:
    created = yield _method(client, "create")(dict(create_body))
    deployment_id = _id_of(created)
    body = _inferred(create_body) if finalize_body is None else dict(finalize_body)
    try:
        finalized = yield _method(client, "finalize")(deployment_id, body)
    except Exception as error:
        error.add_note(f"deployment `{deployment_id}` was created, and is not finalized")
        raise
    return CreateAndFinalizeOutput(created, finalized)


def _promoted(
    client: object, create_body: Body, finalize_body: Body | None, promote_body: Body | None
) -> _Flow[T, CreateFinalizePromoteOutput[T]]:
    both: CreateAndFinalizeOutput[T] = yield from _finalized(client, create_body, finalize_body)
    given = (body for body in (promote_body, finalize_body) if body is not None)
    body = dict(next(given, _inferred(create_body)))
    deployment_id = _id_of(both.created)
    try:
        promoted = yield _method(client, "promote")(deployment_id, body)
    except Exception as error:
        error.add_note(f"deployment `{deployment_id}` was finalized, and is not promoted")
        raise
    return CreateFinalizePromoteOutput(both.created, both.finalized, promoted)


def _run(flow: _Flow[T, R], name: str) -> R:
    try:
        answer = next(flow)
        while True:
            try:
                value: Json = pace.refuse_awaitable(answer, name, f"{name}_async")
            except ValidationError as error:
                answer = flow.throw(error)
            else:
                answer = flow.send(value)
    except StopIteration as done:
        result: R = done.value
        return result


async def _run_async(flow: _Flow[T, R]) -> R:
    try:
        answer = next(flow)
        while True:
            try:
                value: Json = await answer if inspect.isawaitable(answer) else answer
            except Exception as error:  # noqa: BLE001 - the flow tells how far it was
                answer = flow.throw(error)
            else:
                answer = flow.send(value)
    except StopIteration as done:
        result: R = done.value
        return result


def _method(client: object, verb: str) -> Json:
    """Return a method of a client by either of its names."""
    for name in (f"{verb}_deployment", verb):
        method = getattr(client, name, None)
        if method is not None:
            return method
    raise ValidationError(
        f"`client` must be `client.deployments` or have `{verb}_deployment`, "
        f"not {type(client).__name__}"
    )


def _inferred(create_body: Body) -> dict[str, Json]:
    return {name: create_body[name] for name in _SHARED if name in create_body}


def _id_of(deployment: Json) -> str:
    try:
        found = deployment["id"]
    except (LookupError, TypeError):
        found = getattr(deployment, "id", None)
    if isinstance(found, str) and found:
        return found
    raise ValidationError(f"the created deployment has no usable `id`: {deployment!r}")
