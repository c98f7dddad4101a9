"""What every model is: lenient pydantic, and a read-only mapping by the API's own names.

An answer never fails because the platform has become newer: unknown fields are kept, unknown
values of an enum are texts, and a field of a wrong type is kept as it came (with one warning).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import core_schema, from_json

# A run may carry megabytes of payload, and a log line is no place for them.
_REPR_CHARS = 1024

logger = logging.getLogger("strait.models")


_strict: ContextVar[bool] = ContextVar("strict", default=False)


class MisfitError(ValueError):
    """An answer has fields of other types than its model.

    Attributes:
        fields: where they stand, such as `data.1.version`; five at most.
    """

    def __init__(self, model: str, fields: list[str]) -> None:
        named = ", ".join(f"`{field}`" for field in fields)
        super().__init__(f"fields of `{model}` have another type: {named}")
        self.fields = fields


@contextmanager
def strictly() -> Iterator[None]:
    """Let what does not fit be a `MisfitError` in this block, rather than be kept as it came."""
    token = _strict.set(True)
    try:
        yield
    finally:
        _strict.reset(token)


class _Open:
    """Marks an enum to which the platform may add: any text is read as it is.

    The names in it are for type checkers and editors. To compare each text with them would find
    out nothing, and took a tenth of the time in which an answer is read.
    """

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.str_schema()


OPEN = _Open()


class StraitModel(BaseModel):
    """A thing of the platform: `job.id`, `job["id"]`, `job.get("id")`, `dict(job)`.

    Fields that the platform left out are None as attributes and are not `in` the model.
    """

    # How the answer came about; `strait.response_info` reads it. It is no field: neither compared
    # nor copied nor printed.
    __slots__ = ("_response",)

    model_config = ConfigDict(
        extra="allow", populate_by_name=True, protected_namespaces=(), use_attribute_docstrings=True
    )

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Return the model of a JSON object.

        Raises:
            ValueError: the bytes are no JSON object.
        """
        try:
            found: Self = cls.__pydantic_validator__.validate_json(data)
        except ValidationError as error:
            value = from_json(data)
            if not isinstance(value, dict):
                kind = type(value).__name__
                raise ValueError(f"an object was expected, not {kind}") from error
            return cls._kept(value, error)
        return found

    @classmethod
    def list_from_json(cls, data: bytes) -> list[Self]:
        """Return the models of a JSON array; null counts as an empty one.

        Raises:
            ValueError: the bytes are no JSON array of objects.
        """
        try:
            found: list[Self] | None = _array(cls).validate_json(data)
        except ValidationError as error:
            values = from_json(data)
            if not isinstance(values, list) or not all(isinstance(v, dict) for v in values):
                raise ValueError("an array of objects was expected") from error
            return [cls._kept(value, error) for value in values]
        return found or []

    @classmethod
    def _kept(cls, value: dict[str, Any], error: ValidationError) -> Self:
        fields = [_path(entry["loc"]) for entry in error.errors()[:5]]
        if _strict.get():
            raise MisfitError(cls.__name__, fields) from error
        _warn(cls.__name__, ", ".join(fields))
        kept: Self = lenient(cls, value)
        return kept

    def __getitem__(self, name: str) -> Any:
        field = _attributes(type(self)).get(name)
        if field is not None:
            return getattr(self, field)
        if self.__pydantic_extra__ is not None and name in self.__pydantic_extra__:
            return self.__pydantic_extra__[name]
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        field = _attributes(type(self)).get(name) if isinstance(name, str) else None
        if field is not None:
            return field in self.__pydantic_fields_set__
        return name in (self.__pydantic_extra__ or {})

    def __iter__(self) -> Iterator[tuple[str, Any]]:  # type: ignore[override] # by wire names
        for name, field in _attributes(type(self)).items():
            if field in self.__pydantic_fields_set__:
                yield name, getattr(self, field)
        yield from (self.__pydantic_extra__ or {}).items()

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={'***' if _is_secret(k, v) else v!r}" for k, v in self)
        text = f"{type(self).__name__}({shown})"
        return text if len(text) <= _REPR_CHARS else f"{text[:_REPR_CHARS]}…"

    __str__ = __repr__

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field by the API's name, or `default` where the platform left it out."""
        return self[name] if name in self else default  # noqa: SIM401 - this is `get`

    def to_dict(self) -> dict[str, Any]:
        """Return what the platform sent, as it stands in JSON."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, warnings=False)

    def to_json(self) -> str:
        """Return what the platform sent, as JSON."""
        return self.model_dump_json(by_alias=True, exclude_unset=True, warnings=False)


@cache
def _attributes(cls: type[StraitModel]) -> dict[str, str]:
    return {field.alias or name: name for name, field in cls.model_fields.items()}


@cache
def _array(cls: type[StraitModel]) -> TypeAdapter[Any]:
    annotation: Any = list[cls] | None  # type: ignore[valid-type] # the class is a value here
    return TypeAdapter(annotation)


@cache
def _field(cls: type[StraitModel], name: str) -> TypeAdapter[Any]:
    annotation: Any = cls.model_fields[name].annotation
    return TypeAdapter(annotation)


@cache
def _warn(model: str, fields: str) -> None:
    """Warn once of each model and its fields; every further answer would say the same."""
    logger.warning("the platform sent fields of `%s` in another form: %s", model, fields)


def _path(places: tuple[int | str, ...]) -> str:
    return ".".join(str(place) for place in places)


def lenient(cls: type[StraitModel], value: dict[str, Any]) -> Any:
    """Return a model in which every field that does not fit is kept as it came."""
    known = _attributes(cls)
    found: dict[str, Any] = {
        name: field.get_default(call_default_factory=True) if not field.is_required() else None
        for name, field in cls.model_fields.items()
    }
    fields = {
        known[wire]: _fitted(cls, known[wire], raw) for wire, raw in value.items() if wire in known
    }
    extra = {wire: raw for wire, raw in value.items() if wire not in known}
    return cls.model_construct(_fields_set=set(fields), **{**found, **fields, **extra})


def _fitted(cls: type[StraitModel], name: str, raw: Any) -> Any:
    try:
        return _field(cls, name).validate_python(raw)
    except ValidationError:
        inner = _model_within(cls.model_fields[name].annotation)
    if inner is not None and isinstance(raw, dict):
        return lenient(inner, raw)
    if inner is not None and isinstance(raw, list):
        return [lenient(inner, item) if isinstance(item, dict) else item for item in raw]
    return raw


def _model_within(annotation: Any) -> type[StraitModel] | None:
    """Return the model in `Model`, `Model | None`, `list[Model]` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, StraitModel):
        return annotation
    for part in get_args(annotation):
        inner = _model_within(part)
        if inner is not None:
            return inner
    return None


# What a platform shows once, when it has made it; its owner reads the field, and no log should.
_SECRETS = frozenset(
    {"api_key", "device_code", "rotation_webhook_secret", "signing_secret", "token"}
)


def _is_secret(name: str, value: object) -> bool:
    """Say whether a field holds a credential; other things than API keys are called `key`, too."""
    if name == "key":
        return isinstance(value, str) and value.startswith("strait_")
    return name in _SECRETS and bool(value)
