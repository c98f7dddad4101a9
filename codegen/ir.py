"""The API as plain data: what the loader makes, and all that the printers see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Free:
    """Any JSON."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A string, integer, number or boolean."""

    kind: str
    format: str = ""
    enum: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ref:
    """A schema by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class Array:
    """A list of items that have one type."""

    item: Type


@dataclass(frozen=True, slots=True)
class Map:
    """An object with free names and values of one type."""

    value: Type


@dataclass(frozen=True, slots=True)
class Nullable:
    """A type, or null."""

    type: Type


Type: TypeAlias = Free | Scalar | Ref | Array | Map | Nullable


@dataclass(frozen=True, slots=True)
class Limits:
    """What the platform checks beyond the type of a value."""

    min: float | None = None
    max: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    one_of: tuple[str, ...] = ()
    format: str = ""
    nonzero: bool = False
    dive: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """A property of an object; `python` differs from `wire` where `names.toml` says so."""

    wire: str
    python: str
    type: Type
    required: bool
    limits: Limits
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Spelling:
    """Another name of a field, which published clients send and our server takes too."""

    wire: str
    field: str


@dataclass(frozen=True, slots=True)
class Object:
    """A schema with properties; alternatives of one answer are one object with all of theirs."""

    name: str
    fields: tuple[Field, ...]
    spellings: tuple[Spelling, ...] = ()


@dataclass(frozen=True, slots=True)
class Enum:
    """A schema that is a string out of a list, to which the platform may add."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alias:
    """A schema that is another type by a name, such as a map."""

    name: str
    type: Type


Schema: TypeAlias = Object | Enum | Alias


@dataclass(frozen=True, slots=True)
class PathArgument:
    """A part of the address."""

    wire: str
    python: str


@dataclass(frozen=True, slots=True)
class QueryParameter:
    """A parameter of the query string."""

    name: str
    type: Type
    required: bool = False
    default: str | int | float | None = None
    min: float | None = None
    max: float | None = None
    exclusive_min: float | None = None
    max_length: int | None = None
    clamped: bool = False
    unchecked: bool = False
    style: str = ""
    alt: str = ""
    with_: str = ""
    ref: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One way in which an operation succeeds; a body without a schema has `type` None."""

    status: int
    content_type: str = ""
    type: Type | None = None


@dataclass(frozen=True, slots=True)
class Paging:
    """Where an answer has its items and the place of the next ones."""

    kind: str
    item: str
    data: str | None
    next: str | None
    more: str | None


@dataclass(frozen=True, slots=True)
class Stream:
    """What an operation streams; `ends_field` with one of `ends_values` is the last item."""

    kind: str
    event: str | None = None
    when: str = ""
    item: str = ""
    ends_field: str = ""
    ends_values: tuple[str, ...] = ()
    reopens: bool = True


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the API, and what it is called in Python."""

    id: str
    service: str
    name: str
    aliases: tuple[str, ...]
    summary: str
    description: str
    method: str
    path: str
    plane: str
    auth: str
    permission: str
    platform: tuple[str, ...]
    instead: str
    edition: str
    idempotent: bool
    repeatable: bool
    settled: int
    arguments: tuple[PathArgument, ...]
    query: tuple[QueryParameter, ...]
    body: Type | None
    body_required: bool
    answers: tuple[Answer, ...]
    errors: tuple[int, ...]
    result: str
    paging: Paging | None
    stream: Stream | None
    starts: str = ""
    until: bool = False
    unread: str = ""


@dataclass(frozen=True, slots=True)
class Tracked:
    """A service of runs that can be waited for; operations by their ids.

    Attributes:
        name: what one run is called.
        get: returns one.
        cancel: cancels one.
        stream: follows one; empty where nothing does.
        ends: the set of `strait.fsm` with the statuses in which one has ended.
        result: the field with what a good one leaves; empty where that is the run itself.
    """

    name: str
    get: str
    cancel: str
    stream: str
    ends: str
    result: str


@dataclass(frozen=True, slots=True)
class Api:
    """The whole description."""

    schemas: dict[str, Schema]
    operations: tuple[Operation, ...]
    services: dict[str, str]
    tags: dict[str, str]
    plane_errors: dict[str, tuple[int, ...]] = field(default_factory=dict)
    tracked: dict[str, Tracked] = field(default_factory=dict)

    def of_service(self, service: str) -> list[Operation]:
        """Return the operations of a service in the order of the description."""
        return [op for op in self.operations if op.service == service]

    def operation(self, op_id: str) -> Operation:
        """Return an operation by its id."""
        return next(op for op in self.operations if op.id == op_id)


Json: TypeAlias = Any
