"""What the annotations of a handler say of its payload and of its result.

An annotation counts if it says more than "some JSON": a pydantic model, a dataclass, a
`TypedDict`, or one of those inside of a list, a union or the like. From it come the schema that
a platform checks payloads with, and the objects that handlers get.

An annotation that cannot be looked up, because its name is imported for type checkers only, counts
as none. pydantic is loaded only when there is one that counts.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import sys
import typing
from collections.abc import Callable
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from types import FunctionType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union
from uuid import UUID
from weakref import WeakKeyDictionary

from strait.authoring.schemas import inlined
from strait.authoring.validation import Checks
from strait.errors import NonRetryable

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

    from strait.errors import Json


_MORE_THAN_JSON = (
    Enum,
    Decimal,
    UUID,
    date,
    time,
    timedelta,
    PurePath,
    tuple,
    set,
    frozenset,
)


class PayloadError(NonRetryable):
    """A payload does not fit the type that its handler is annotated with.

    No other attempt would see another payload, so the run fails at once.

    Attributes:
        issues: what is wrong, one text a field: `items[0].qty: input should be …`.
    """

    def __init__(self, message: str, issues: list[str]) -> None:
        super().__init__(message, issues)
        self.issues = issues

    def __str__(self) -> str:
        return str(self.args[0])


class DataType:
    """A type of payloads or of results, as JSON and as Python objects.

    Attributes:
        name: what people call it.
    """

    __slots__ = ("_adapter", "name")

    def __init__(self, annotation: object) -> None:
        # Loaded here, because most definitions have no types and pydantic takes its time.
        from pydantic import TypeAdapter  # noqa: PLC0415 - only for typed payloads

        self.name = getattr(annotation, "__name__", None) or str(annotation)
        self._adapter: TypeAdapter[Any] = TypeAdapter(_for_pydantic(annotation))

    def load(self, value: Json, what: str) -> object:
        """Return the object that JSON stands for; an object of the type stays as it is.

        Raises:
            PayloadError: it does not fit; the text names `what`, the type and the fields.
        """
        from pydantic import ValidationError  # noqa: PLC0415 - see above

        try:
            return self._loaded(value)
        except ValidationError as error:
            issues = _issues(error)
            text = f"{what} does not fit `{self.name}`: {'; '.join(issues)}"
            # Without the cause, which shows the values, and those may be secret.
            raise PayloadError(text, issues) from None

    def _loaded(self, value: Json) -> object:
        from pydantic import ValidationError  # noqa: PLC0415 - see above

        try:
            return self._adapter.validate_python(value)
        except ValidationError:
            # A strict model takes a text for an instant in JSON, and only there.
            try:
                text = json.dumps(value)
            except (TypeError, ValueError):
                text = ""
            if not text:
                raise
            return self._adapter.validate_json(text)

    def dump(self, value: object) -> Json:
        """Return a value of the type as JSON; what is of another type is written as it can be."""
        return self._adapter.dump_python(value, mode="json", by_alias=True, warnings=False)

    def payload_schema(self) -> dict[str, Json]:
        """Return the schema of what may come in."""
        return inlined(self._adapter.json_schema(mode="validation"))

    def result_schema(self) -> dict[str, Json]:
        """Return the schema of what goes out."""
        return inlined(self._adapter.json_schema(mode="serialization"))


def payload_type(handler: Callable[..., object], checks: Checks) -> DataType | None:
    """Return the type of a handler's first parameter; None if nothing is said of it.

    Raises:
        DefinitionError: the annotation is a model with fields that cannot be JSON.
    """
    function = _function(handler)
    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except (TypeError, ValueError):
        return None
    if not parameters:
        return None
    return _data_type(function, parameters[0].annotation, checks, "the annotation of the payload")


def result_type(handler: Callable[..., object], checks: Checks) -> DataType | None:
    """Return the type that a handler returns; None if nothing is said of it.

    Raises:
        DefinitionError: the annotation is a model with fields that cannot be JSON.
    """
    function = _function(handler)
    annotation = getattr(function, "__annotations__", {}).get("return", inspect.Parameter.empty)
    return _data_type(function, annotation, checks, "the annotation of the result")


def step_type(function: Callable[..., object]) -> DataType | None:
    """Return the type that a step or a handler returns; None if JSON is what it says.

    More counts than for a schema: an instant, a decimal, an enum or a tuple, too. That of a step is
    one again in every attempt, and that of a handler is written as JSON.

    Raises:
        DefinitionError: the annotation is a model with fields that cannot be JSON.
    """
    inner = _function(function)
    if not inspect.isfunction(inner) or "return" not in inner.__annotations__:
        return None
    # By the function, weakly: looking an annotation up takes its time, and a step may be a closure
    # over much.
    if inner not in _step_types:
        _step_types[inner] = _step_type(_resolved(inner, inner.__annotations__["return"]))
    return _step_types[inner]


_step_types: WeakKeyDictionary[FunctionType, DataType | None] = WeakKeyDictionary()


def _step_type(annotation: object) -> DataType | None:
    found = data_type(annotation, Checks("step"), "the annotation of the result")
    if found is not None or not _is_more_than_json(annotation):
        return found
    from pydantic import PydanticUserError  # noqa: PLC0415 - see above

    try:
        return DataType(annotation)
    except (PydanticUserError, NameError, TypeError):
        return None  # something in it is no JSON, whatever is returned


def data_type(annotation: object, checks: Checks, what: str) -> DataType | None:
    """Return the type that an annotation means; None if it says no more than "some JSON".

    Raises:
        DefinitionError: it has fields that cannot be JSON.
    """
    if not _counts(annotation):
        return None
    from pydantic import PydanticUserError  # noqa: PLC0415 - see above

    try:
        found = DataType(annotation)
        found.payload_schema()
    except (PydanticUserError, NameError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise checks.refuse(f"{what}, `{annotation!r}`, cannot be used: {reason}") from error
    return found


def as_json_payload(value: object) -> Json:
    """Return a payload as JSON: a model or a dataclass is written, all else stays."""
    if isinstance(value, type):
        return value
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json", by_alias=True)
    return DataType(type(value)).dump(value) if dataclasses.is_dataclass(value) else value


def _data_type(function: object, annotation: object, checks: Checks, what: str) -> DataType | None:
    return data_type(_resolved(function, annotation), checks, what)


def _function(handler: Callable[..., object]) -> object:
    """Return the function that a partial, a method, a wrapper or an object ends in."""
    found: object = handler
    while isinstance(found, functools.partial):
        found = found.func
    if not (inspect.isroutine(found) or inspect.isclass(found)):
        found = type(found).__call__
    return inspect.unwrap(found) if callable(found) else found


def _resolved(function: object, annotation: object) -> object:
    """Look the names of an annotation up where its function was written."""
    if not isinstance(annotation, str):
        return annotation
    outside = getattr(function, "__globals__", {})
    holder = type("_Holder", (), {"__annotations__": {"it": annotation}})
    try:
        return typing.get_type_hints(holder, outside, _enclosing(function), include_extras=True)[
            "it"
        ]
    except Exception:  # noqa: BLE001 - an annotation may be any expression, and fail in any way
        return inspect.Parameter.empty


def _enclosing(function: object) -> dict[str, object]:
    if not inspect.isfunction(function):
        return {}
    return dict(inspect.getclosurevars(function).nonlocals)


def _counts(annotation: object) -> bool:
    """Say whether an annotation is, or holds, a model, a dataclass or a `TypedDict`."""
    if isinstance(annotation, type) and annotation is not inspect.Parameter.empty:
        is_model = hasattr(annotation, "model_json_schema")
        if is_model or dataclasses.is_dataclass(annotation) or _is_typed_dict(annotation):
            return True
    if _is_typed_dict(annotation):
        return True
    return any(_counts(inner) for inner in typing.get_args(annotation))


def _is_more_than_json(annotation: object) -> bool:
    """Say whether an annotation is, or holds, what JSON writes in another way."""
    kind = typing.get_origin(annotation) or annotation
    if isinstance(kind, type) and issubclass(kind, _MORE_THAN_JSON):
        return True
    return any(_is_more_than_json(inner) for inner in typing.get_args(annotation))


def _is_typed_dict(annotation: object) -> bool:
    return isinstance(annotation, type) and hasattr(annotation, "__required_keys__")


def _for_pydantic(annotation: Any) -> Any:
    """Return an annotation whose `typing.TypedDict`s are those that pydantic takes.

    Before Python 3.12 those of `typing` do not tell which keys they inherit as required, so
    pydantic refuses them; what it needs to know can be asked from the class itself.
    """
    if sys.version_info >= (3, 12):
        return annotation
    if _is_typed_dict(annotation):
        own = type(annotation).__module__ == "typing"
        return _typed_dict(annotation) if own else annotation
    arguments = typing.get_args(annotation)
    if not arguments:
        return annotation
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return Annotated[(_for_pydantic(arguments[0]), *arguments[1:])]
    inner = tuple(_for_pydantic(argument) for argument in arguments)
    if origin in (Union, UnionType):
        return Union[inner]  # noqa: UP007 - the members are known only now
    return annotation if origin is None or inner == arguments else origin[inner]


def _typed_dict(annotation: Any) -> Any:
    import typing_extensions  # noqa: PLC0415 - it comes with pydantic, which is loaded only here

    make: Any = typing_extensions.TypedDict
    fields: dict[str, object] = {}
    for name, hint in typing.get_type_hints(annotation, include_extras=True).items():
        said = typing.get_origin(hint)
        if said in (typing.Required, typing.NotRequired):
            # Where annotations are texts, the class itself did not see this word.
            fields[name] = said[_for_pydantic(typing.get_args(hint)[0])]
        else:
            needed = name in annotation.__required_keys__
            wrap = typing_extensions.Required if needed else typing_extensions.NotRequired
            fields[name] = wrap[_for_pydantic(hint)]
    return make(annotation.__name__, fields)


def _issues(error: ValidationError) -> list[str]:
    found = []
    for issue in error.errors(include_url=False, include_context=False, include_input=False):
        text = issue["msg"][:1].lower() + issue["msg"][1:]
        where = _place(issue["loc"])
        found.append(f"`{where}`: {text}" if where else text)
    return found


def _place(loc: tuple[int | str, ...]) -> str:
    place = ""
    for part in loc:
        place += f"[{part}]" if isinstance(part, int) else f"{'.' if place else ''}{part}"
    return place
