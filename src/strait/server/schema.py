"""What the generated tables consist of: routes, their query parameters, and rules of bodies.

They are structs, which are made ten times as fast as dataclasses: each start makes a thousand.
"""

from __future__ import annotations

from msgspec import Struct


class Query(Struct, frozen=True):
    """A parameter of the query string.

    Attributes:
        name: as on the wire.
        type: `string`, `integer`, `number`, `boolean` or `array`.
        required: whether its absence is an error.
        min: the smallest value; a smaller one is an error.
        max: the largest value; a larger one is an error, or lowered when `clamped`.
        exclusive_min: what a number must be larger than.
        max_length: the longest text, in characters.
        default: the value when it is absent.
        clamped: whether a value above `max` is lowered to it without a word.
        unchecked: whether a wrong value is not refused: it counts as absent, or with an `enum` as
            one that nothing has.
        enum: the allowed values; none means any.
        ref: the schema that `enum` comes from, when it has a name.
        format: `date-time`, `date` or `json`.
        style: for arrays, `repeat` (`a=1&a=2`) or `comma` (`a=1,2`).
        alt: another name of the same parameter.
        with_: another parameter that must be there too.
    """

    name: str
    type: str = "string"
    required: bool = False
    min: float | None = None
    max: float | None = None
    exclusive_min: float | None = None
    max_length: int | None = None
    default: str | int | float | None = None
    clamped: bool = False
    unchecked: bool = False
    enum: tuple[str, ...] = ()
    ref: str = ""
    format: str = ""
    style: str = ""
    alt: str = ""
    with_: str = ""


class Rule(Struct, frozen=True):
    """What a field of a body must satisfy beyond its type.

    Attributes:
        field: the name on the wire.
        attribute: the name in the struct.
        required: whether absence, and for a scalar also the zero value, is an error.
        zero_is_absent: whether the zero value is not looked at (optional fields without null).
        min: the smallest number.
        max: the largest number.
        min_length: the fewest characters, items or properties.
        max_length: the most characters, items or properties.
        one_of: the allowed values; none means any.
        format: `uri` or `date-time`.
        dive: the schema whose rules hold for what is inside; none means it is not looked at.
    """

    field: str
    attribute: str
    required: bool = False
    zero_is_absent: bool = False
    min: float | None = None
    max: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    one_of: frozenset[str] = frozenset()
    format: str = ""
    dive: str = ""


class Route(Struct, frozen=True):
    """An operation of the API as the server sees it.

    Attributes:
        id: the operation's id in the description.
        method: the HTTP method.
        path: the address, with `{name}` for its parameters.
        plane: the family of routes: `v1`, `sdk`, `cli`, `webhook`, `health` or `meta`.
        auth: what proves the caller: `api_key`, `run_token`, `internal`, `signature`, `none`, or
            `api_key|sse_token`.
        permission: the scope that is needed; `a|b` is one of them, `a&b` all of them.
        idempotent: whether `Idempotency-Key` is honoured.
        body: what the body is decoded to; None when it is not read, or any JSON.
        body_required: whether a body that is left out is an error by the description.
        query: the parameters of the query string.
        paging: `cursor`, `limit_offset`, or nothing.
        stream: `sse`, `ndjson`, or nothing.
        success: every status of success.
        errors: the statuses of the route's own errors.
        platform: the platform versions that have the operation; none when it was never routed.
        instead: why it is not routed now, and what is.
        edition: `cloud` when only that edition has it.
    """

    id: str
    method: str
    path: str
    plane: str
    auth: str
    permission: str = ""
    idempotent: bool = False
    body: type[Struct] | None = None
    body_required: bool = False
    query: tuple[Query, ...] = ()
    paging: str = ""
    stream: str = ""
    success: tuple[int, ...] = ()
    errors: tuple[int, ...] = ()
    platform: tuple[str, ...] = ()
    instead: str = ""
    edition: str = ""
