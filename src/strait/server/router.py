"""From a method and a path to the operation that answers."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote

from strait.server.schema import Route


class _Node:
    __slots__ = ("literal", "parameter", "routes")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.routes: dict[str, tuple[Route, tuple[str, ...]]] = {}


class MethodNotAllowed(Exception):  # noqa: N818 - the name of the answer
    """The path exists under other methods."""


class Router:
    """A tree of path segments: a look costs the length of the path, not the number of routes."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            self._add(route)

    def match(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Return the route of a raw path and its parameters, or None when there is none.

        Raises:
            MethodNotAllowed: the path exists under other methods.
        """
        # The platform lists memory under `…/memory/`, its clients ask without the slash.
        segments = path.rstrip("/").split("/")[1:]
        found = self._walk(self._root, segments, method)
        if found is None:
            if self._walk(self._root, segments, "") is not None:
                raise MethodNotAllowed
            return None
        node, values = found
        route, names = node.routes[method]
        return route, dict(zip(names, values, strict=True))

    def _add(self, route: Route) -> None:
        node, names = self._root, []
        for segment in route.path.split("/")[1:]:
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literal.setdefault(segment, _Node())
        node.routes[route.method] = (route, tuple(names))

    def _walk(
        self, node: _Node, segments: list[str], method: str, at: int = 0
    ) -> tuple[_Node, list[str]] | None:
        """Find the node of a path that has `method`, or any method when that is empty."""
        if at == len(segments):
            answers = method in node.routes if method else bool(node.routes)
            return (node, []) if answers else None
        segment = segments[at]
        literal = node.literal.get(segment)
        if literal is not None:
            found = self._walk(literal, segments, method, at + 1)
            if found is not None:
                return found
        if node.parameter is None or not segment:
            return None
        found = self._walk(node.parameter, segments, method, at + 1)
        if found is not None:
            found[1].insert(0, unquote(segment))
        return found
