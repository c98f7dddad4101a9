"""`import strait`: every published name, and nothing loaded before it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import strait

PUBLISHED = [
    "ApiError",
    "AsyncClient",
    "AuthMode",
    "AuthType",
    "Client",
    "Config",
    "ConflictError",
    "CostBudgetExceededError",
    "DagValidationError",
    "DecodeError",
    "Deployment",
    "Headers",
    "JitterStrategy",
    "Job",
    "JobVersion",
    "JsonDict",
    "Middleware",
    "MiddlewareErrorContext",
    "MiddlewareRequestContext",
    "MiddlewareResponseContext",
    "NotFoundError",
    "RateLimitedError",
    "RetryOptions",
    "RetryPolicy",
    "Run",
    "RunUsage",
    "StraitError",
    "StraitTimeoutError",
    "TransportError",
    "UnauthorizedError",
    "ValidationError",
    "Workflow",
    "WorkflowRun",
    "WorkflowRunStep",
    "WorkflowStep",
    "__version__",
    "config_from_env",
    "config_from_file",
    "map_http_error",
]


def test_the_published_client_had_39_names() -> None:
    assert len(PUBLISHED) == 39
    assert set(PUBLISHED) <= set(strait.__all__)


@pytest.mark.parametrize("name", strait.__all__)
def test_every_name_can_be_imported(name: str) -> None:
    assert getattr(strait, name) is not None
    assert name in dir(strait)


def test_what_is_imported_and_what_a_type_checker_sees_are_the_same() -> None:
    tree = ast.parse(Path(strait.__file__).read_text("utf-8"))
    checked = {
        alias.asname or alias.name
        for block in ast.walk(tree)
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("strait")
        for alias in statement.names
    }
    assert checked == set(strait._EXPORTS) == set(strait.__all__) - {"__version__"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Clients"):
        strait.Clients  # noqa: B018 - the access is what is tested


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_importing_loads_neither_httpx_nor_pydantic_nor_much_else() -> None:
    before = set(run("import sys; print(*sys.modules)").split())
    after = set(run("import sys, strait; print(*sys.modules)").split())
    assert not {"httpx", "pydantic", "pydantic_core", "asyncio", "ssl"} & after
    assert len(after - before) <= 10


def test_a_client_loads_models_only_when_a_service_is_used() -> None:
    code = (
        "import sys, strait; c = strait.Client(api_key='k'); print('pydantic' in sys.modules);"
        "c.jobs; print('pydantic' in sys.modules)"
    )
    assert run(code).split() == ["False", "True"]
