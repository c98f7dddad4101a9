"""Which schemas an operation reaches, and which module of `strait.models` each belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from codegen.ir import Alias, Api, Array, Map, Nullable, Object, Operation, Ref, Type

SHARED = "shared"


def refs(kind: Type | None) -> Iterator[str]:
    """Return the names that stand in a type."""
    match kind:
        case Ref(name):
            yield name
        case Array(inner) | Map(inner) | Nullable(inner):
            yield from refs(inner)
        case _:
            return


def direct(api: Api, name: str) -> Iterator[str]:
    """Return the names that stand in a schema."""
    schema = api.schemas[name]
    match schema:
        case Object(fields=fields):
            for part in fields:
                yield from refs(part.type)
        case Alias(type=kind):
            yield from refs(kind)
        case _:
            return


def closure(api: Api, names: Iterable[str]) -> list[str]:
    """Return the schemas that are reached, each after those that it refers to."""
    found: dict[str, None] = {}
    entered: set[str] = set()

    def visit(name: str) -> None:
        if name in entered:
            return
        entered.add(name)
        for inner in direct(api, name):
            visit(inner)
        found[name] = None

    for name in names:
        visit(name)
    return list(found)


def outputs(op: Operation) -> list[str]:
    """Return the schemas that an operation answers with."""
    names = [name for answer in op.answers for name in refs(answer.type)]
    if op.paging:
        names.append(op.paging.item)
    if op.result:
        # The named result holds every shape, so that the shapes themselves are not needed.
        names = [op.result]
    if op.stream and op.stream.item:
        names.append(op.stream.item)
    return names


def parameters(op: Operation, api: Api) -> list[str]:
    """Return the enums that the arguments of an operation name."""
    names = [query.ref for query in op.query if query.ref]
    if isinstance(op.body, Ref):
        names += list(direct(api, op.body.name))
    return names


def modules(api: Api) -> dict[str, str]:
    """Return the module of every schema that a client is given: its service, or the shared one."""
    users: dict[str, set[str]] = {}
    for op in api.operations:
        for name in closure(api, outputs(op)):
            users.setdefault(name, set()).add(op.service)
        for name in parameters(op, api):
            if not isinstance(api.schemas[name], Object):
                users.setdefault(name, set()).add(op.service)
    return {
        name: next(iter(services)) if len(services) == 1 else SHARED
        for name, services in users.items()
    }
