"""The condition language of workflow steps (`contract/workflows.md` §3.3).

A condition is a JSON object with a `type`. It sees the statuses of the steps of its run and
nothing else. Text and numbers are compared in the spelling of the platform, which is that of Go:
`1` is not `1.0`, `1` is `"1"`, `null` is `""`, and an operand that is not there is `<nil>`.
Patterns run on the Rust `regex` engine in linear time, so no condition can hang the server.

    >>> parse('{"type": "step_status", "step_ref": "a", "status": "completed"}').evaluate(
    ...     {"a": "completed"}
    ... )
    True
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

Json: TypeAlias = Any
Statuses: TypeAlias = Mapping[str, str]

MAX_CHARS = 65_536
"""How long the JSON text of a condition may be."""
MAX_DEPTH = 64
"""How deep a condition may be nested, operands included."""
MAX_PATTERN_CHARS = 1_000
MAX_INPUT_CHARS = 10_000

_NIL = "<nil>"


class ConditionError(ValueError):
    """A condition cannot be evaluated; the text is the contract's."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition, ready to be evaluated any number of times.

    Faults inside (an unknown type, a bad pattern) come up when their part is evaluated, as on the
    platform: what `all_of` and `any_of` do not need to look at cannot fail.
    """

    _test: _Test

    def evaluate(self, statuses: Statuses) -> bool:
        """Say whether the condition holds for the steps `{step_ref: status}` of a run.

        Raises:
            ConditionError: the condition is unusable, or it asks for a step that does not exist.
        """
        return self._test(statuses)


def parse(raw: Json) -> Condition:
    """Compile a condition from JSON text (`str`, `bytes`) or from decoded JSON.

    Only text keeps the spelling of numbers such as `1.50` or `1e3`.

    Raises:
        ConditionError: this is no JSON, it is too long, or it is nested too deep.
    """
    return _parse(_text(raw))


def _text(raw: Json) -> str:
    if isinstance(raw, bytes | bytearray):
        return raw.decode("utf-8", "replace")
    if isinstance(raw, str):
        return raw
    try:
        return json.dumps(raw, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConditionError(f"condition is not JSON: {error}") from error


@lru_cache(maxsize=256)
def _parse(text: str) -> Condition:
    if len(text) > MAX_CHARS:
        raise ConditionError(f"condition exceeds maximum length of {MAX_CHARS} characters")
    try:
        decoded = json.loads(text, parse_int=_Number, parse_float=_Number, parse_constant=_refuse)
    except RecursionError as error:
        raise ConditionError(_TOO_DEEP) from error
    except ValueError as error:
        raise ConditionError(f"condition is not JSON: {error}") from error
    _check_depth(decoded)
    return Condition(_compile(decoded))


_TOO_DEEP = f"condition exceeds maximum depth of {MAX_DEPTH}"


def _refuse(literal: str) -> Json:
    raise ValueError(f"`{literal}` is not a JSON value")


def _check_depth(decoded: Json) -> None:
    level = [decoded]
    for _ in range(MAX_DEPTH + 1):
        if not level:
            return
        level = [child for value in level for child in _children(value)]
    raise ConditionError(_TOO_DEEP)


def _children(value: Json) -> list[Json]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


# --------------------------------------------------------------------------------------- values


class _Number(float):
    """A JSON number that remembers how it was written."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> _Number:
        number = super().__new__(cls, text)
        number.text = text
        return number


class _Missing:
    """What an operand is that the condition does not have."""


_MISSING = _Missing()


def _is_scalar(value: Json) -> bool:
    return value is None or isinstance(value, str | bool | _Number)


def _source_form(value: Json) -> str:
    """Write a scalar as it stood in the JSON text; `null` is empty."""
    if value is None:
        return ""
    if isinstance(value, _Number):
        return value.text
    return _go_form(value)


def _go_form(value: Json) -> str:
    """Write a decoded value as Go prints it."""
    match value:
        case None | _Missing():
            return _NIL
        case bool():
            return "true" if value else "false"
        case _Number():
            return _go_float(value)
        case list():
            return "[" + " ".join(map(_go_form, value)) + "]"
        case dict():
            return "map[" + " ".join(f"{k}:{_go_form(value[k])}" for k in sorted(value)) + "]"
        case _:
            return str(value)


def _go_float(number: float) -> str:
    """Write a float as Go's `%v`: shortest digits, an exponent from 1e21 on and below 1e-4."""
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    size = abs(number)
    if number.is_integer() and size < 1e21:
        sign = "-" if math.copysign(1.0, number) < 0 else ""
        return f"{sign}{int(size)}"
    return repr(float(number))


class _Operand(Protocol):
    def __call__(self, statuses: Statuses, /) -> Json: ...


def _operand(node: Mapping[str, Json], name: str) -> _Operand:
    """Compile an operand: a step's status, a wrapped value, or the JSON itself."""
    value = node.get(name, _MISSING)
    if isinstance(value, dict):
        ref = value.get("step_ref")
        if isinstance(ref, str):
            return lambda statuses: statuses.get(ref, "")
        value = value.get("value", value)
    return lambda _statuses: value


# ------------------------------------------------------------------------------------ conditions

_Test: TypeAlias = Callable[[Statuses], bool]


def _compile(node: Json) -> _Test:
    type_ = node.get("type", "") if isinstance(node, dict) else ""
    builder = _BUILDERS.get(type_) if isinstance(type_, str) else None
    if builder is None:
        return _fault(f'unknown condition type: "{_source_form(type_)}"')
    test: _Test = builder(node)
    return test


def _fault(message: str) -> _Test:
    def fail(_statuses: Statuses) -> bool:
        raise ConditionError(message)

    return fail


def _status_of(ref: str, statuses: Statuses) -> str:
    try:
        return statuses[ref]
    except KeyError:
        raise ConditionError(f'step "{ref}" not found in statuses') from None


def _step_status(node: Mapping[str, Json]) -> _Test:
    ref, wanted = node.get("step_ref"), node.get("status")
    if not isinstance(ref, str) or not ref:
        return _fault("step_ref is required for step_status condition")
    return lambda statuses: _status_of(ref, statuses) == (wanted or "")


def _step_status_in(node: Mapping[str, Json]) -> _Test:
    ref, wanted = node.get("step_ref"), node.get("statuses") or []
    if not isinstance(ref, str) or not ref:
        return _fault("step_ref is required for step_status_in condition")
    if not isinstance(wanted, list):
        return _fault("statuses must be an array for step_status_in condition")
    return lambda statuses: _status_of(ref, statuses) in wanted


def _not(node: Mapping[str, Json]) -> _Test:
    if "condition" not in node:
        return _fault("condition is required for not condition")
    inner = _compile(node["condition"])
    return lambda statuses: not inner(statuses)


def _composite(kind: str, decide: Callable[..., bool]) -> Callable[[Mapping[str, Json]], _Test]:
    def build(node: Mapping[str, Json]) -> _Test:
        parts = node.get("conditions") or []
        if not isinstance(parts, list):
            return _fault(f"conditions must be an array for {kind} condition")
        tests = [_compile(part) for part in parts]
        return lambda statuses: decide(test(statuses) for test in tests)

    return build


def _compared(compare: Callable[[str, str], bool]) -> Callable[[Mapping[str, Json]], _Test]:
    """Build a comparison of the string forms of `left` and `right`."""

    def build(node: Mapping[str, Json]) -> _Test:
        left, right = _operand(node, "left"), _operand(node, "right")

        def test(statuses: Statuses) -> bool:
            a, b = left(statuses), right(statuses)
            # Two scalars are compared as written; beside anything else both are printed by Go.
            form = _source_form if _is_scalar(a) and _is_scalar(b) else _go_form
            return compare(form(a), form(b))

        return test

    return build


def _numeric(compare: Callable[[float, float], bool]) -> Callable[[Mapping[str, Json]], _Test]:
    def build(node: Mapping[str, Json]) -> _Test:
        left, right = _operand(node, "left"), _operand(node, "right")

        def test(statuses: Statuses) -> bool:
            a, b = left(statuses), right(statuses)
            if not isinstance(a, _Number) or not isinstance(b, _Number):
                raise ConditionError("numeric comparison requires numeric left/right")
            return compare(a, b)

        return test

    return build


def _in(node: Mapping[str, Json]) -> _Test:
    left, right = _operand(node, "left"), _operand(node, "right")

    def test(statuses: Statuses) -> bool:
        members = right(statuses)
        if not isinstance(members, list):
            raise ConditionError("in requires right operand array")
        wanted = _go_form(left(statuses))
        return any(_go_form(member) == wanted for member in members)

    return test


def _exists(node: Mapping[str, Json]) -> _Test:
    operand = _operand(node, "operand")
    # A missing operand and null print as `<nil>`, which is not empty.
    return lambda statuses: _go_form(operand(statuses)) != ""


def _search(text: str, pattern: str) -> bool:
    if len(pattern) > MAX_PATTERN_CHARS:
        raise ConditionError(
            f"regex pattern exceeds maximum length of {MAX_PATTERN_CHARS} characters"
        )
    if len(text) > MAX_INPUT_CHARS:
        raise ConditionError(f"regex input exceeds maximum length of {MAX_INPUT_CHARS} characters")
    return _matcher(pattern)(text)


@lru_cache(maxsize=128)
def _matcher(pattern: str) -> Callable[[str], bool]:
    # pydantic is loaded only by who uses `regex`: importing it costs more than all else here.
    # Only who has a `regex` condition pays for the engine.
    from pydantic_core import SchemaError, SchemaValidator, core_schema  # noqa: PLC0415 - above

    schema = core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")
    try:
        return SchemaValidator(schema).isinstance_python
    except (SchemaError, UnicodeEncodeError) as error:
        reason = str(error).splitlines()[-1].strip()
        reason = reason.removeprefix("error: ").removeprefix("SchemaError: ")
        raise ConditionError(f"invalid regex: {reason}") from error


_BUILDERS: dict[str, Callable[[Mapping[str, Json]], _Test]] = {
    "step_status": _step_status,
    "step_status_in": _step_status_in,
    "not": _not,
    "all_of": _composite("all_of", all),
    "any_of": _composite("any_of", any),
    "eq": _compared(lambda a, b: a == b),
    "ne": _compared(lambda a, b: a != b),
    "contains": _compared(lambda a, b: b in a),
    "regex": _compared(_search),
    "gt": _numeric(lambda a, b: a > b),
    "gte": _numeric(lambda a, b: a >= b),
    "lt": _numeric(lambda a, b: a < b),
    "lte": _numeric(lambda a, b: a <= b),
    "in": _in,
    "exists": _exists,
}
