"""The public API as text: `PYTHONPATH=src python -m tests.client.surface > tests/api_surface.txt`.

A change of that file is a change of what users call: a line that goes or becomes stricter needs an
entry in the CHANGELOG and, until the next major version, an alias with a deprecation warning.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module

# The rooms of the client; each further room adds its public modules here.
MODULES = ("strait.config", "strait.errors", "strait.retry", "strait.webhooks", "strait.client")


def _members(owner: type, name: str) -> Iterator[str]:
    for member, value in sorted(vars(owner).items()):
        if member.startswith("_"):
            continue
        found = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if inspect.isfunction(found):
            yield f"{name}.{member}{inspect.signature(found)}"
        elif isinstance(found, property):
            yield f"{name}.{member}: property"


def _name(name: str, value: object) -> Iterator[str]:
    if not inspect.isclass(value):
        yield f"{name}{inspect.signature(value)}" if inspect.isfunction(value) else name
        return
    bases = ", ".join(base.__name__ for base in value.__bases__)
    yield f"class {name}({bases})"
    if "__init__" in vars(value):
        yield f"{name}.__init__{inspect.signature(vars(value)['__init__'])}"
    yield from _members(value, name)


def lines() -> list[str]:
    """Return a line for each public name of the client, and for each method of its services."""
    found: list[str] = []
    for module in map(import_module, MODULES):
        names = getattr(module, "__all__", None) or [
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
        ]
        for name in sorted(names):
            found += _name(f"{module.__name__}.{name}", getattr(module, name))
    attributes = import_module("strait.client._generated.attributes")
    for service in sorted(k for k in vars(attributes.SyncServices) if not k.startswith("_")):
        module = import_module(f"strait.services.{service}")
        for name, value in sorted(vars(module).items()):
            if inspect.isclass(value) and value.__module__ == module.__name__:
                found += _name(f"{module.__name__}.{name}", value)
    return found


if __name__ == "__main__":
    print("\n".join(lines()))  # noqa: T201 - the file is made of it
