"""docs/decisions.md: its figures are measured, and the tests that it names exist."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import strait.services
from seed.test_statements import README, SERVICES
from strait import Client
from strait.server._generated.routes import ROUTES
from strait.services.base import SyncService
from support.markdown import tables

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "decisions.md"
HELD_BY = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
ROW = re.compile(r"^\| (.+) \| ([\d,]+) \|$", re.MULTILINE)


def services() -> list[type[SyncService]]:
    modules = (
        importlib.import_module(f"strait.services.{found.name}")
        for found in pkgutil.iter_modules(strait.services.__path__)
    )
    return [
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, SyncService) and value is not SyncService
    ]


def methods(service: type[SyncService]) -> int:
    public = (name for name, value in vars(service).items() if inspect.isfunction(value))
    return sum(not name.startswith("_") for name in public)


def measured() -> dict[str, int]:
    client = Client(api_key="strait_0")
    context = tables(README)["Extended RunContext"]
    return {
        "operations in the API description": len(ROUTES),
        "services of the client": len(services()),
        "methods of the services": sum(map(methods, services())),
        "methods of the 19 services of README 0.1.0": sum(
            methods(type(getattr(client, name))) for name in SERVICES
        ),
        "rows with `await` in the README's table of `RunContext`": sum(
            row[0].startswith("await ") for row in context
        ),
    }


def test_every_figure_is_the_measured_one() -> None:
    told = {name: int(value) for name, value in ROW.findall(PAGE.read_text("utf-8"))}
    assert told == measured()


def test_the_sentences_have_the_figures_of_the_table() -> None:
    page, figures = PAGE.read_text("utf-8"), measured()
    assert f"The API has {figures['operations in the API description']} operations" in page
    assert f"with {figures['methods of the 19 services of README 0.1.0']} methods" in page
    counted = f"{figures['services of the client']} services and "
    assert counted + f"{figures['methods of the services']} methods" in page


HOLDERS = HELD_BY.findall(PAGE.read_text("utf-8"))


@pytest.mark.parametrize(("path", "name"), HOLDERS, ids=[name for _, name in HOLDERS])
def test_what_is_said_to_hold_a_decision_exists(path: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE)


def test_every_decision_says_what_holds_it() -> None:
    found = tables(PAGE)
    rows = found["Choices"] + found["Where the embedded platform differs from the hosted one"]
    assert [
        row[0] for row in rows if not ("tests/" in row[-1] or row[-1].startswith("no test"))
    ] == []
    assert len(HOLDERS) > 40
