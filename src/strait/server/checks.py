"""Checks of what users send that the description cannot express, in the contract's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Raw, UnsetType

from strait.clock import from_timestamp, to_timestamp
from strait.server.errors import ApiError

MAX_TAGS = 20
MAX_PAYLOAD_BYTES = 5 * 1024 * 1024
MAX_SCHEMA_DEPTH = 32
MAX_SCHEMA_STEPS = 200_000
_TOO_MUCH = f"it takes more than {MAX_SCHEMA_STEPS} comparisons"
END_OF_TIME = "9999"
# Keywords of JSON Schema whose values are data, and no schemas.
_DATA_KEYWORDS = frozenset({"const", "default", "enum", "examples"})

_sorted = msgspec.json.Encoder(order="sorted")


def tags(value: Mapping[str, str] | None) -> dict[str, str]:
    """Return the tags of a request.

    Raises:
        ApiError: 400, too many, empty or too long.
    """
    if not value:
        return {}
    if len(value) > MAX_TAGS:
        raise ApiError(400, f"too many tags (max {MAX_TAGS})")
    for key, text in value.items():
        if not key:
            raise ApiError(400, "tag keys must be non-empty")
        if len(key) > 64:
            raise ApiError(400, "tag key too long (max 64 characters)")
        if len(text) > 256:
            raise ApiError(400, "tag value too long (max 256 characters)")
    return dict(value)


def canonical(payload: Raw | UnsetType) -> str:
    """Return a payload as JSON text with sorted keys and no white space; none is `{}`."""
    if isinstance(payload, UnsetType):
        return "{}"
    if len(bytes(payload)) > MAX_PAYLOAD_BYTES:
        raise ApiError(400, f"payload too large (max {MAX_PAYLOAD_BYTES} bytes)")
    return _sorted.encode(msgspec.json.decode(payload)).decode()


def payload_hash(text: str) -> str:
    """Return the hash that the API shows for a canonical payload."""
    return sha256(text.encode()).hexdigest()


def is_absent(value: Raw | UnsetType | None) -> bool:
    """Return whether free JSON was not sent at all."""
    return value is None or isinstance(value, UnsetType)


def json_value(value: Raw | UnsetType | None) -> Any:
    """Return free JSON as a Python value, with None for what is absent."""
    if value is None or isinstance(value, UnsetType):
        return None
    return msgspec.json.decode(value)


def mapping(value: Any, what: str) -> dict[str, str] | None:
    """Return which paths of a result become which names of a payload; None is all of it.

    Raises:
        ApiError: 400, it is no object of paths.
    """
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ApiError(400, f'{what} must be an object of paths, such as {{"id": "order.id"}}')
    for name, path in value.items():
        if not isinstance(path, str) or not path:
            raise ApiError(400, f"{what}: {name[:200]!r} must be a path, such as 'order.id'")
    return value


def schema(value: Any, against: Any, what: str, *, status: int = 400, code: str = "") -> None:
    """Check a value against a schema as the platform does: type, required, properties, items.

    Raises:
        ApiError: naming the first place that does not fit.
    """
    problem = mismatch(value, against)
    if problem:
        raise ApiError(status, f"{what} validation failed: {problem}", code=code)


def mismatch(value: Any, against: Any) -> str:
    """Return the first place at which a value does not fit a schema, and why; "" if it fits."""
    return _Fit().mismatch(value, against, "$", 0)


def check_refs(against: Any, what: str) -> None:
    """Check that a schema stands by itself: what lies elsewhere is never fetched.

    Args:
        against: the schema; None, or what is no object, has nothing to fetch.
        what: the field that holds it, for the message.

    Raises:
        ApiError: 400, a `$ref` of it leads out of the document.
    """
    left = [against]
    while left:
        one = left.pop()
        if isinstance(one, list):
            left += one
        if not isinstance(one, dict):
            continue
        ref = one.get("$ref")
        if isinstance(ref, str) and not ref.startswith("#"):
            raise ApiError(
                400,
                f"{what}: $ref {ref[:200]!r} leads out of the schema, and nothing is fetched; "
                "write what it stands for in its place",
            )
        left += [inner for key, inner in one.items() if key not in _DATA_KEYWORDS]


class _Fit:
    """One comparison; large lists under large schemas would otherwise take minutes."""

    def __init__(self) -> None:
        self._left = MAX_SCHEMA_STEPS

    def mismatch(self, value: Any, against: Any, path: str, depth: int) -> str:
        self._left -= 1
        if not isinstance(against, dict) or depth > MAX_SCHEMA_DEPTH:
            return ""
        wanted = against.get("type")
        if isinstance(wanted, str) and not _is_a(value, wanted):
            return f"{path} must be of type {wanted}"
        if isinstance(value, dict):
            return self._in_object(value, against, path, depth)
        if isinstance(value, list) and isinstance(against.get("items"), dict):
            for index, item in enumerate(value):
                problem = self.mismatch(item, against["items"], f"{path}[{index}]", depth + 1)
                if problem or self._left < 0:
                    return problem or _TOO_MUCH
        return ""

    def _in_object(
        self, value: dict[str, Any], against: dict[str, Any], path: str, depth: int
    ) -> str:
        required, properties = against.get("required"), against.get("properties")
        required = required if isinstance(required, list) else []
        properties = properties if isinstance(properties, dict) else {}
        self._left -= len(required) + len(properties)
        if self._left < 0:
            return _TOO_MUCH
        for name in required:
            if isinstance(name, str) and name not in value:
                return f"{path}.{name} is required"
        for name, inner in properties.items():
            if name in value:
                problem = self.mismatch(value[name], inner, f"{path}.{name}", depth + 1)
                if problem:
                    return problem
        return ""


def _is_a(value: Any, wanted: str) -> bool:
    match wanted:
        case "integer":
            whole = isinstance(value, float) and value.is_integer()
            return whole or (isinstance(value, int) and not isinstance(value, bool))
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            kind = _TYPES.get(wanted)
            return kind is None or isinstance(value, kind)


_TYPES: dict[str, type] = {
    "string": str,
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}


def cursor(query: Mapping[str, Any]) -> str:
    """Return what rows of the next page must be older than."""
    given = query.get("cursor")
    return canonical_instant(str(given)) if given else END_OF_TIME


def after(query: Mapping[str, Any]) -> str:
    """Return what rows of the next page must be younger than, for lists with the oldest first."""
    given = query.get("cursor")
    return canonical_instant(str(given)) if given else ""


def cursor_behind(at: str, seq: int) -> str:
    """Return the cursor behind a line of a history.

    Lines of one transaction share their instant, so the number of the line follows it as further
    digits of the fraction; for whoever reads it, it is a timestamp like all cursors.
    """
    return f"{at.removesuffix('Z')}{seq:012d}Z"


def line_cursor(query: Mapping[str, Any]) -> tuple[int, str]:
    """Return the number that lines of the next page are behind, or the instant, where one is given.

    Raises:
        ApiError: 400, the cursor is neither of ours nor a timestamp.
    """
    given = str(query.get("cursor") or "")
    if not given:
        return 0, ""
    ours = _LINE_CURSOR.fullmatch(given)
    return (int(ours[1]), "") if ours else (0, canonical_instant(given))


_LINE_CURSOR = re.compile(r".*\.\d{6}(\d{12})Z", re.ASCII)


def canonical_instant(text: str) -> str:
    """Return a timestamp in the fixed width in which instants are stored and compared."""
    try:
        return to_timestamp(from_timestamp(text))
    except (ValueError, OverflowError) as error:
        raise ApiError(400, "invalid cursor format") from error
