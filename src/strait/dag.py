"""Directed acyclic graphs of named nodes: their order, and what is wrong with them.

A graph is given as nodes with the nodes that each depends on. Nothing here knows of steps or
workflows; the authoring DSL and the engine put their own words to a `DagError`.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

Graph: TypeAlias = Mapping[str, Sequence[str]] | Iterable[tuple[str, Sequence[str]]]
"""`{node: dependencies}`, or pairs of them, which unlike a mapping can hold a node twice."""


class DagError(ValueError):
    """A graph cannot be ordered. Every fault is reported, not only the first.

    Attributes:
        duplicates: nodes that are there more than once, each named once.
        missing: `(node, dependency)` where there is no node of that name.
        self_dependent: nodes that depend on themselves.
        cycles: one closed path for each knot of the graph, `("a", "b", "a")`: `a` depends on
            `b`, which depends on `a`. Nodes that merely hang on a cycle are not named.
    """

    def __init__(
        self,
        *,
        duplicates: Sequence[str] = (),
        missing: Sequence[tuple[str, str]] = (),
        self_dependent: Sequence[str] = (),
        cycles: Sequence[tuple[str, ...]] = (),
    ) -> None:
        super().__init__(duplicates, missing, self_dependent, cycles)
        self.duplicates = tuple(duplicates)
        self.missing = tuple(missing)
        self.self_dependent = tuple(self_dependent)
        self.cycles = tuple(cycles)

    def __reduce__(self) -> tuple[object, tuple[()], dict[str, object]]:
        return _blank, (), dict(self.__dict__)

    def __str__(self) -> str:
        return "; ".join(self.faults())

    def faults(self) -> list[str]:
        """Say what is wrong, one text for each fault."""
        return [
            *(f"`{node}` is there more than once" for node in self.duplicates),
            *(f"`{node}` depends on `{dep}`, which does not exist" for node, dep in self.missing),
            *(f"`{node}` depends on itself" for node in self.self_dependent),
            *(f"circular dependency: {' -> '.join(cycle)}" for cycle in self.cycles),
        ]


def _blank() -> DagError:
    return DagError()


def topological_order(nodes: Graph) -> list[str]:
    """Return the nodes so that each comes after all that it depends on.

    The order is stable: of the nodes that could come next, the one that was given first does, so
    nodes that are given in a valid order keep it. A dependency that is named twice counts once.

    Raises:
        DagError: a node is there twice, depends on a node that is not there or on itself, or
            there is a cycle.
    """
    pairs = _pairs(nodes)
    graph = _checked(pairs)
    place = {node: i for i, node in enumerate(graph)}
    dependents_of = dependents(graph)
    open_deps = {node: len(deps) for node, deps in graph.items()}
    ready = [place[node] for node, count in open_deps.items() if count == 0]
    names = list(graph)
    order: list[str] = []
    while ready:
        node = names[heapq.heappop(ready)]
        order.append(node)
        for dependent in dependents_of[node]:
            open_deps[dependent] -= 1
            if open_deps[dependent] == 0:
                heapq.heappush(ready, place[dependent])
    if len(order) < len(graph):
        raise DagError(cycles=_cycles(_core(graph)))
    return order


def roots(nodes: Graph) -> list[str]:
    """Return the nodes that depend on nothing, in the order given."""
    return [node for node, deps in _pairs(nodes) if not deps]


def dependents(nodes: Graph) -> dict[str, list[str]]:
    """Return, for every node, the nodes that depend on it directly, in the order given."""
    graph = {node: dict.fromkeys(deps) for node, deps in _pairs(nodes)}
    found: dict[str, list[str]] = {node: [] for node in graph}
    for node, deps in graph.items():
        for dep in deps:
            found.setdefault(dep, []).append(node)
    return found


def descendants(nodes: Graph, start: str) -> list[str]:
    """Return every node that depends on `start`, directly or not, in the order given."""
    pairs = _pairs(nodes)
    direct = dependents(pairs)
    seen: set[str] = set()
    stack = [start]
    while stack:
        for node in direct.get(stack.pop(), ()):
            if node not in seen:
                seen.add(node)
                stack.append(node)
    return [node for node in dict.fromkeys(name for name, _ in pairs) if node in seen]


def _pairs(nodes: Graph) -> list[tuple[str, Sequence[str]]]:
    return list(nodes.items() if isinstance(nodes, Mapping) else nodes)


def _checked(pairs: list[tuple[str, Sequence[str]]]) -> dict[str, list[str]]:
    """Return the graph without repeated dependencies, or raise what is wrong with its names."""
    graph = {node: list(dict.fromkeys(deps)) for node, deps in pairs}
    duplicates = [node for node, count in Counter(node for node, _ in pairs).items() if count > 1]
    # All pairs are looked at, not only the last of a repeated name.
    edges = dict.fromkeys((node, dep) for node, deps in pairs for dep in deps)
    missing = [(node, dep) for node, dep in edges if dep not in graph]
    own = [node for node, dep in edges if node == dep]
    if duplicates or missing or own:
        raise DagError(duplicates=duplicates, missing=missing, self_dependent=own)
    return graph


def _core(graph: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Drop what leads into the cycles and what hangs on them; keeps the search for them short."""
    above = _without_leaves(graph)
    core = _without_leaves(dependents(above))
    return {node: [dep for dep in above[node] if dep in core] for node in above if node in core}


def _without_leaves(graph: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Take away, again and again, the nodes that depend on nothing."""
    dependents_of = dependents(graph)
    open_deps = {node: len(deps) for node, deps in graph.items()}
    leaves = [node for node, count in open_deps.items() if count == 0]
    while leaves:
        leaf = leaves.pop()
        del open_deps[leaf]
        for dependent in dependents_of[leaf]:
            open_deps[dependent] -= 1
            if open_deps[dependent] == 0:
                leaves.append(dependent)
    return {node: [dep for dep in graph[node] if dep in open_deps] for node in open_deps}


def _cycles(graph: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """Find one closed path in each knot, starting at the node of it that was given first."""
    found: list[tuple[str, ...]] = []
    done: set[str] = set()
    for start in graph:
        if start in done:
            continue
        cycle = _path_back(graph, start)
        if cycle:
            found.append(cycle)
            done.update(_knot(graph, start))
    return found


def _path_back(graph: Mapping[str, Sequence[str]], start: str) -> tuple[str, ...]:
    """Return the shortest closed path through `start`, or nothing if there is none."""
    came_from: dict[str, str] = {}
    frontier = [start]
    while frontier:
        following: list[str] = []
        for node in frontier:
            for dep in graph[node]:
                if dep == start:
                    return (*_trail(came_from, start, node), start)
                if dep not in came_from:
                    came_from[dep] = node
                    following.append(dep)
        frontier = following
    return ()


def _trail(came_from: Mapping[str, str], start: str, end: str) -> list[str]:
    trail = [end]
    while trail[-1] != start:
        trail.append(came_from[trail[-1]])
    return trail[::-1]


def _knot(graph: Mapping[str, Sequence[str]], start: str) -> set[str]:
    """Return the nodes that `start` needs and that need it: its strong component."""
    below = _reach(graph, start)
    above = _reach(dependents(graph), start)
    return (below & above) | {start}


def _reach(graph: Mapping[str, Sequence[str]], start: str) -> set[str]:
    seen: set[str] = set()
    stack = [start]
    while stack:
        for node in graph[stack.pop()]:
            if node not in seen:
                seen.add(node)
                stack.append(node)
    return seen
