"""The figures of docs/decisions.md, measured: `python -m tests.docs.figures` writes them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path

import strait.services
from strait import Client
from strait.server._generated.routes import ROUTES
from strait.services.base import SyncService

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "decisions.md"
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
    from seed.test_statements import README, SERVICES
    from support.markdown import tables

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


def sentences(figures: dict[str, int]) -> dict[str, str]:
    """Return the sentences that hold figures, by the pattern that finds them."""
    return {
        r"The API has \d+ operations": (
            f"The API has {figures['operations in the API description']} operations"
        ),
        r"with \d+ methods": (
            f"with {figures['methods of the 19 services of README 0.1.0']} methods"
        ),
        r"\d+ services and \d+ methods": (
            f"{figures['services of the client']} services and "
            f"{figures['methods of the services']} methods"
        ),
    }


def written(page: str) -> str:
    """Return the page with the figures as they are."""
    figures = measured()
    page = ROW.sub(lambda row: f"| {row[1]} | {figures.get(row[1], row[2])} |", page)
    for pattern, sentence in sentences(figures).items():
        page = re.sub(pattern, sentence, page)
    return page


if __name__ == "__main__":
    sys.path.insert(0, str(TESTS))
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
