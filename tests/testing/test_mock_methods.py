"""`MockPlatform` serves every method of the client, each by the name that it has there."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

from strait.client._generated.attributes import SyncServices
from strait.server._generated.routes import BY_ID
from strait.testing import MockAnswer, MockPlatform, MockRequestError, make_run, make_workflow_run
from support.description import description
from support.examples import example

SERVICES = [name for name in dir(SyncServices) if not name.startswith("_")]


def methods_of(service):
    attribute = getattr(SyncServices, service)
    module = import_module(f"strait.services.{service}")
    cls = getattr(module, attribute.func.__annotations__["return"])
    return [name for name in dir(cls) if not name.startswith(("_", "with_"))]


METHODS = [f"{service}.{method}" for service in SERVICES for method in methods_of(service)]
# They do more than send one request, and have tests of their own below.
SEVERAL = {"start", "trigger_and_wait", "wait", "handle"}


def described(operation):
    route = BY_ID[operation]
    return description()["paths"][route.path][route.method.lower()]


def arguments_of(method, operation):
    """Return arguments that a platform takes: those of the path, the body, what a query needs."""
    given = []
    body = described(operation).get("requestBody")
    schema = body["content"]["application/json"]["schema"] if body else {}
    for name, parameter in inspect.signature(method).parameters.items():
        if name == "body":
            given.append(example(schema) if body else None)
        elif parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            given.append("one")
    query = needed_query(operation)
    return given, {"query": query} if query else {}


def needed_query(operation):
    queries = [
        one for one in described(operation).get("parameters", []) if one.get("in") == "query"
    ]
    needed = {one["name"]: example(one["schema"]) for one in queries if one.get("required")}
    return {name: ["one"] if value == [] else value for name, value in needed.items()}


def answer_of(operation):
    """Return the smallest success that is described."""
    responses = described(operation)["responses"]
    # One operation answers with a redirect alone, which a client follows.
    status = min((code for code in responses if code.startswith("2")), default="200")
    content = responses.get(status, {}).get("content", {})
    if not content:
        return MockAnswer(status=int(status))
    kind, media = next(iter(content.items()))
    headers = {"content-type": kind}
    if kind == "text/event-stream":
        return MockAnswer.events()
    if kind.endswith("json"):
        return MockAnswer(example(media["schema"]), int(status), headers)
    return MockAnswer(None, int(status), headers, b"text")


async def call(client, name, arguments, keywords):
    service, _, method = name.partition(".")
    answer = getattr(getattr(client, service), method)(*arguments, **keywords)
    if inspect.isawaitable(answer):
        answer = await answer
    return answer


async def first_of(stream):
    """Open a stream, which is what sends its request."""
    if hasattr(stream, "__aenter__"):
        async with stream:
            return
    with stream:
        return


@pytest.mark.parametrize("kind", ["client", "async_client"])
@pytest.mark.parametrize("name", [m for m in METHODS if m.partition(".")[2] not in SEVERAL])
async def test_every_method_of_the_client_is_served_by_its_own_name(name, kind):
    mock = MockPlatform()
    client = getattr(mock, kind)()
    service, _, method = name.partition(".")
    function = getattr(getattr(client, service), method)
    if function.__doc__ and "Raises `UnsupportedByPlatform`" in function.__doc__:
        with pytest.raises(MockRequestError, match="no operation"):
            mock.answer(name)
        return
    mock.answer(name, {})
    operation = mock._id_of(name)
    mock.answer(name, answer_of(operation))
    answer = await call(client, name, *arguments_of(function, operation))
    if hasattr(answer, "last_event"):
        await first_of(answer)
    assert [request.operation for request in mock.requests_of(name)] == [operation]
    assert mock.unused == []
    closed = client.close()
    if inspect.isawaitable(closed):
        await closed


@pytest.mark.parametrize("kind", ["client", "async_client"])
@pytest.mark.parametrize("service", ["jobs", "workflows"])
async def test_a_run_is_started_and_waited_for_with_the_answers_of_its_trigger(kind, service):
    mock = MockPlatform()
    runs = {"jobs": "runs", "workflows": "workflow_runs"}[service]
    made = {"jobs": make_run(), "workflows": make_workflow_run()}[service]
    mock.answer(f"{service}.start", {**made.to_dict(), "status": "queued"})
    mock.answer(f"{runs}.wait", made)
    client = getattr(mock, kind)()
    run = await call(client, f"{service}.trigger_and_wait", ["job_1"], {})
    assert run.id == made.id
    assert len(mock.requests_of(f"{service}.trigger")) == 1
    assert len(mock.requests_of(f"{runs}.get")) >= 1
    closed = client.close()
    if inspect.isawaitable(closed):
        await closed
