"""Import paths of 0.1.1 lead to what is there today."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

import strait.operations

MODULES = sorted(p.stem for p in Path(strait.operations.__file__).parent.glob("[a-z]*.py"))


def test_there_are_the_25_services_of_the_published_client() -> None:
    assert len(MODULES) == 25


@pytest.mark.parametrize("name", MODULES)
def test_a_published_path_has_the_very_classes(name: str) -> None:
    module, home = (
        import_module(f"strait.operations.{name}"),
        import_module(f"strait.services.{name}"),
    )
    assert len(module.__all__) == 2
    for cls in module.__all__:
        assert getattr(module, cls) is getattr(home, cls)
