"""The generated services: both kinds alike, and every call as the description has it."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

from strait import AsyncClient, Client, UnsupportedByPlatform

from .conftest import KEY, Harness, Platform

ROOT = Path(__file__).parents[2]
DOCUMENT = json.loads((ROOT / "api" / "openapi.json").read_text("utf-8"))
NAMES = dict(
    re.findall(
        r'^([a-z0-9-]+) = "([a-z_]+\.[a-z_]+)"$', (ROOT / "api/names.toml").read_text(), re.M
    )
)
OPERATIONS = [
    pytest.param(method.upper(), path, entry, id=entry["operationId"])
    for path, methods in DOCUMENT["paths"].items()
    for method, entry in methods.items()
]
SERVICES = sorted({name.split(".")[0] for name in NAMES.values()})


def public_methods(service: object) -> dict[str, Any]:
    return {
        name: method
        for name, method in inspect.getmembers(service, inspect.ismethod)
        if not name.startswith("_")
    }


@pytest.mark.parametrize("service", SERVICES)
def test_both_clients_have_the_same_methods_with_the_same_arguments(service: str) -> None:
    with Client(api_key=KEY) as client:
        sync = public_methods(getattr(client, service))
        twin = public_methods(getattr(AsyncClient(api_key=KEY), service))
    assert set(sync) == set(twin)
    for name, method in sync.items():
        ours = inspect.signature(method)
        theirs = inspect.signature(twin[name])
        assert ours.parameters == theirs.parameters, name
        assert method.__doc__ == twin[name].__doc__


def test_both_clients_take_the_same_arguments_and_have_the_same_parts() -> None:
    def arguments(call: Any) -> list[str]:
        return [str(part).partition(":")[0] for part in inspect.signature(call).parameters.values()]

    own = {"__enter__", "__exit__", "__aenter__", "__aexit__", "aclose"}
    assert set(dir(Client)) - own == set(dir(AsyncClient)) - own
    verbs = ("request", "get", "post", "put", "patch", "delete", "do_request", "do_stream")
    for name in ("__init__", "from_env", "from_file", "local", "close", *verbs):
        assert arguments(getattr(Client, name)) == arguments(getattr(AsyncClient, name)), name


def answer_for(entry: dict[str, Any], platform: Platform) -> None:
    status, response = next(
        (int(status), found)
        for status, found in entry["responses"].items()
        if status.isdigit() and int(status) < 300
    )
    media = next(iter(response.get("content", {"": {}})))
    if media in {"text/event-stream", ""}:
        platform.answers_text(status, "", media or "text/plain")
        return
    schema = response["content"][media].get("schema", {})
    is_array = "array" in schema.get("type", "")
    platform.answers_text(status, "[]" if is_array else "{}", media)


@pytest.mark.parametrize(("method", "path", "entry"), OPERATIONS)
def test_each_operation_sends_what_the_description_says(
    either: Harness, platform: Platform, method: str, path: str, entry: dict[str, Any]
) -> None:
    client = either.client()
    service, name = NAMES[entry["operationId"]].split(".")
    call = getattr(getattr(client, service), name)
    arguments = [f"id_{i}" for i in range(path.count("{"))]
    if not entry["x-strait-platform"]:
        with pytest.raises(UnsupportedByPlatform, match="no platform ever routed it"):
            either.run(lambda: call(*arguments))
        return
    if entry["operationId"] == "get-openapi-yaml":
        platform.answers_text(200, "{}", "application/json")
    else:
        answer_for(entry, platform)
    if entry.get("x-strait-stream", {}).get("kind") == "sse":
        stream = call(*arguments)
        platform.answers.clear()
        platform.answers_text(410, "", "text/plain")
        assert either.items(lambda: stream) == []
    else:
        either.run(lambda: call(*arguments))
    request = platform.last
    assert request.method == method
    assert request.url.path == re.sub(r"\{\w+\}", "{}", path).format(*arguments)
    assert ("idempotency-key" in request.headers) is entry.get("x-strait-idempotent", False)


@pytest.mark.parametrize(("method", "path", "entry"), OPERATIONS)
def test_each_operation_says_what_it_is(method: str, path: str, entry: dict[str, Any]) -> None:
    service, name = NAMES[entry["operationId"]].split(".")
    with Client(api_key=KEY) as client:
        text = inspect.getdoc(getattr(getattr(client, service), name)) or ""
    assert text.startswith(entry["summary"])
    assert f"`{method} {path}`" in text


PUBLISHED = {
    "jobs": "list create get update delete clone get_health trigger bulk_trigger list_versions "
    "get_version list_dependencies create_dependency delete_dependency batch batch_disable",
    "runs": "list get delete replay dlq_replay bulk_cancel get_dlq list_events reschedule",
    "workflows": "list create get update delete clone dry_run plan simulate trigger get_graph "
    "list_runs get_diff get_policy",
    "workflow_runs": "list get pause resume retry approve_step skip_step force_complete_step",
    "deployments": "list create finalize promote rollback",
    "sdk_runs": "complete_run fail_run heartbeat_run checkpoint_run spawn_run set_state",
    "rbac": "list_roles create_member seed_roles",
}


@pytest.mark.parametrize("service", sorted(PUBLISHED))
def test_published_names_are_kept(service: str) -> None:
    with Client(api_key=KEY) as client:
        methods = public_methods(getattr(client, service))
    assert set(PUBLISHED[service].split()) <= set(methods)


def test_a_method_whose_published_name_misleads_has_another(
    either: Harness, platform: Platform
) -> None:
    platform.answers_with(200, {"id": "run_1", "status": "canceled"})
    client = either.client()
    assert either.run(lambda: client.runs.cancel("run_1")).status == "canceled"
    assert (platform.last.method, platform.last.url.path) == ("DELETE", "/v1/runs/run_1")
