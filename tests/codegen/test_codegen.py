"""The generated code is what the generator makes of the description, to the byte."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codegen import models, output, server, services
from codegen.ir import Array, Free, Map, Nullable, Object, Ref, Scalar
from codegen.load import NamesError, load, snake_case
from strait.server._generated.routes import ROUTES

ROOT = Path(__file__).parents[2]


def test_generating_again_changes_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "codegen", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
    assert done.returncode == 0, done.stderr


def test_the_servers_routes_are_the_operations_of_the_description() -> None:
    document = json.loads((ROOT / "api" / "openapi.json").read_text("utf-8"))
    described = {
        (entry["operationId"], method.upper(), path)
        for path, methods in document["paths"].items()
        for method, entry in methods.items()
    }
    assert {(route.id, route.method, route.path) for route in ROUTES} == described
    assert {route.id for route in ROUTES if not route.platform} == {
        entry["operationId"]
        for methods in document["paths"].values()
        for entry in methods.values()
        if not entry["x-strait-platform"]
    }


@pytest.mark.parametrize(
    ("wire", "python"),
    [
        ("jobID", "job_id"),
        ("workflowRunID", "workflow_run_id"),
        ("key", "key"),
        ("run_id", "run_id"),
    ],
)
def test_names_become_snake_case(wire: str, python: str) -> None:
    assert snake_case(wire) == python


@pytest.mark.parametrize(
    ("kind", "sent", "given"),
    [
        (Free(), "Any", "Any"),
        (Scalar("integer"), "int", "int"),
        (Scalar("string", "date-time"), "datetime", "datetime | str"),
        (Nullable(Scalar("boolean")), "bool | None", "bool"),
        (Array(Scalar("string")), "list[str]", "Sequence[str]"),
        (Map(Scalar("string")), "dict[str, str]", "Mapping[str, str]"),
        (Ref("Job"), "Job", "Job"),
    ],
)
def test_types_are_lenient_in_answers_and_wide_in_arguments(
    kind: Any, sent: str, given: str
) -> None:
    assert models.annotation(kind) == sent
    assert models.argument(kind) == given


def small(tmp_path: Path, names: str = "", **operation: Any) -> Path:
    entry = {
        "operationId": "get-thing",
        "tags": ["things"],
        "summary": "Return a thing.",
        "parameters": [
            {"name": "thingID", "in": "path", "required": True, "schema": {"type": "string"}}
        ],
        "responses": {
            "200": {
                "description": "ok",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}},
            },
            "404": {"description": "none"},
        },
        "x-strait-plane": "v1",
        "x-strait-auth": "api_key",
        "x-strait-platform": ["head"],
        **operation,
    }
    thing = {
        "type": "object",
        "properties": {"id": {"type": "string"}, "from": {"type": "integer"}},
        "required": ["id"],
    }
    document = {
        "paths": {"/v1/things/{thingID}": {"get": entry}},
        "components": {"schemas": {"Thing": thing}},
        "tags": [{"name": "things", "description": "Things."}],
        "x-strait-plane-errors": {"v1": [401]},
    }
    (tmp_path / "openapi.json").write_text(json.dumps(document), "utf-8")
    (tmp_path / "names.toml").write_text(
        "[tracked]\n[starts]\n[until]\n[unread]\n"
        '[services]\nthings = "ThingsService"\n[operations]\n'
        + (names or 'get-thing = "things.get"')
        + "\n[aliases]\n[arguments]\n[results]\n[streams]\n[repeatable]\n[settled]\n"
        '[fields]\n"from" = { python = "from_", reason = "a keyword" }\n[spellings]\n',
        "utf-8",
    )
    return tmp_path


def test_an_operation_becomes_a_method_of_both_services_and_a_route(tmp_path: Path) -> None:
    api = load(small(tmp_path))
    source = services.modules_of_services(api)["things"]
    assert "class ThingsService(SyncService):" in source
    assert "    def get(self, thing_id: str, **options: Unpack[RequestOptions]) -> Thing:" in source
    assert "    async def get(self, thing_id: str" in source
    assert "path=('/v1/things/', '')" in source
    assert "Fails with 404 `NotFoundError`." in source
    assert "path='/v1/things/{thingID}'" in server.routes(api)
    assert (
        "from_: int | None = Field(default=None, alias='from')"
        in (models.modules_of_models(api)["things"])
    )


def test_an_operation_without_a_name_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NamesError, match="`get-thing` has no name"):
        load(small(tmp_path, names='get-other = "things.get"'))


def test_a_name_of_no_operation_is_an_error(tmp_path: Path) -> None:
    both = 'get-thing = "things.get"\nget-other = "things.other"'
    with pytest.raises(NamesError, match="get-other"):
        load(small(tmp_path, names=both))


def test_several_shapes_of_success_need_a_name(tmp_path: Path) -> None:
    shape = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}
    with pytest.raises(NamesError, match="result"):
        load(small(tmp_path, responses={"200": shape, "201": shape}))


def test_alternatives_are_one_model_with_the_fields_of_all() -> None:
    api = load(ROOT / "api")
    result = api.schemas["TriggerResult"]
    assert isinstance(result, Object)
    fields = {part.wire: part.required for part in result.fields}
    assert {"id", "status", "debounced", "fire_at", "batch", "payload_hash", "job"} <= set(fields)
    assert not fields["id"]


def test_what_is_generated_no_more_is_removed(tmp_path: Path) -> None:
    old = tmp_path / "old.py"
    old.write_text(output.HEADER + "x = 1\n", "utf-8")
    (tmp_path / "own.py").write_text("x = 1\n", "utf-8")
    new = {tmp_path / "new.py": "y = 1\n"}
    leftovers = output.stale(new, [tmp_path])
    assert leftovers == [old]
    assert "old.py is generated no more" in output.differences(new, leftovers)
    assert sorted(path.name for path in output.write(new, leftovers)) == ["new.py", "old.py"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.py", "own.py"]
    assert output.write(new, []) == []
