"""Which events a subscription to a source wants: `filter_expr` (`contract/runs.md` §9.2).

    {"eq": [["action", "opened"]], "ne": [["repo.private", "true"]], "has": ["issue.id"]}

All of it must hold. Paths have dots, and values are compared as text; a number as its shortest.
"""

from __future__ import annotations

from msgspec import json

from strait.engine.model import Json

_COMPARING = ("eq", "ne")
_MAX_CONDITIONS = 256
_MAX_SEGMENTS = 32
_MAX_PATH_BYTES = 512
# Above it, floats have no fractions, and whole numbers are written with exponents.
_MAX_WHOLE_FLOAT = 1e15


def fault(expression: Json) -> str:
    """Return what is wrong with a filter, or ""."""
    if not isinstance(expression, dict):
        return (
            'filter_expr must be an object such as {"eq": [["action", "opened"]]}; '
            "expressions written as text are not supported"
        )
    for name, terms in expression.items():
        if name not in {*_COMPARING, "has"}:
            return f"filter_expr has `eq`, `ne` and `has`, not `{name}`"
        if not isinstance(terms, list):
            return f"filter_expr.{name} must be an array"
        problem = _terms_fault(name, terms) or _size_fault(name, terms)
        if problem:
            return problem
    if sum(len(_list(expression, name)) for name in expression) > _MAX_CONDITIONS:
        return f"filter_expr has at most {_MAX_CONDITIONS} conditions"
    return ""


def _terms_fault(name: str, terms: list[Json]) -> str:
    if name == "has":
        fits = all(isinstance(term, str) and term for term in terms)
        return "" if fits else "filter_expr.has must be an array of paths"
    fits = all(
        isinstance(term, list) and len(term) == 2 and isinstance(term[0], str) and term[0]
        for term in terms
    )
    return "" if fits else f'filter_expr.{name} must be an array of ["path", "value"] pairs'


def _size_fault(name: str, terms: list[Json]) -> str:
    for term in terms:
        path = str(term[0] if isinstance(term, list) else term)
        if len(path.encode()) > _MAX_PATH_BYTES:
            return f"filter_expr.{name} has a path of more than {_MAX_PATH_BYTES} bytes"
        if path.count(".") >= _MAX_SEGMENTS:
            return f"filter_expr.{name} has a path of more than {_MAX_SEGMENTS} names"
    return ""


def matches(expression: Json, payload: Json) -> bool:
    """Return whether an event fits a filter without fault; no filter takes all."""
    if not isinstance(expression, dict):
        return expression is None
    return (
        all(_text(payload, path) == _as_text(value) for path, value in _pairs(expression, "eq"))
        and all(_text(payload, path) != _as_text(value) for path, value in _pairs(expression, "ne"))
        and all(_find(payload, str(path))[0] for path in _list(expression, "has"))
    )


def _pairs(expression: dict[str, Json], name: str) -> list[tuple[str, Json]]:
    return [(str(term[0]), term[1]) for term in _list(expression, name) if isinstance(term, list)]


def _list(expression: dict[str, Json], name: str) -> list[Json]:
    terms = expression.get(name)
    return terms if isinstance(terms, list) else []


def _text(payload: Json, path: str) -> str | None:
    found, value = _find(payload, path)
    return _as_text(value) if found else None


def _find(value: Json, path: str) -> tuple[bool, Json]:
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return False, None
        value = value[name]
    return True, value


def _as_text(value: Json) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < _MAX_WHOLE_FLOAT:
        value = int(value)
    return value if isinstance(value, str) else json.encode(value, order="sorted").decode()
