"""From bytes to typed bodies and queries, in the words of the contract when they are wrong.

A body is decoded in one pass by `msgspec`; only when that fails, or when the bytes look unusual
(deep nesting, huge exponents, no UTF-8), is more work done to say what is wrong. Types are the
struct's matter and give a 400; the rules of `bodies.RULES` come after them and give a 422 that
lists all that is wrong at once.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct

from strait.server._generated.bodies import RULES
from strait.server.errors import ApiError, invalid
from strait.server.query import decode_query, is_timestamp
from strait.server.schema import Route, Rule

__all__ = ["MAX_DEPTH", "check", "decode_as", "decode_body", "decode_query"]

Body = TypeVar("Body", bound=Struct)

# Deeper than any payload that means something, and far from the interpreter's own limit.
MAX_DEPTH = 200

# A string without its end goes to the end of the body, and no text is looked at twice, so that
# every body takes time in proportion to its length.
_STRING = rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'
_STRINGS = re.compile(_STRING, re.DOTALL)
# Digits and exponents that a double may not hold: only these can make a number infinite. All digits
# are looked for as one, since a regular expression takes longer than all the rest of a body.
_DIGITS_ALIKE = bytes.maketrans(b"123456789E", b"000000000e")
_MANY_DIGITS = b"0" * 309
_FLOAT = re.compile(_STRING + rb"|-?\d++(?:\.\d+)?(?:[eE][+-]?\d{1,2})?", re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
# A bracket as a signed byte: one step down, or one up.
_STEPS = bytes.maketrans(b"[{]}", b"\1\1\xff\xff")
_MISFIT = re.compile(r"Expected `(?P<wanted>[^`]+)`(?:, got `(?P<got>[^`]+)`)?(?P<rest>.*)")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?://[^\s/?#][^\s#]*|[^\s/#][^\s#]*)(?:#\S*)?\Z")


def decode_body(route: Route, raw: bytes) -> Struct:
    """Return the body of a request to `route`, typed and checked.

    Args:
        route: a route that has a body.
        raw: the bytes that came; none at all count as an empty object.

    Raises:
        ApiError: 400 for bad JSON or a wrong type, 422 for values that break a rule.
        ValueError: the route has no body.
    """
    if route.body is None:
        raise ValueError(f"route `{route.id}` has no body to decode")
    return decode_as(route.body, raw)


def decode_as(struct: type[Body], raw: bytes) -> Body:
    """Return a body as `struct`, typed and checked; see `decode_body`."""
    body = _parse(struct, raw)
    check(body)
    return body


def check(body: Struct) -> None:
    """Check the rules of a body that was decoded or built otherwise.

    Raises:
        ApiError: 400 for a text that is no timestamp, 422 with every rule that is broken.
    """
    rules = _CHECKS.get(type(body))
    if rules is None:
        rules = _CHECKS[type(body)] = RULES.get(type(body).__name__, ())
    broken: list[str] | None = None
    for rule in rules:
        value = getattr(body, rule.attribute)
        if value is None or value is UNSET:
            tag = "required" if rule.required else ""
        else:
            tag = _broken(rule, value)
        if tag or rule.dive:
            broken = broken or []
            broken += [f"{rule.field}: failed on '{tag}'"] if tag else _inside(rule, value)
    if broken:
        raise invalid(*broken)


_CHECKS: dict[type[Struct], tuple[Rule, ...]] = {}
_DECODERS: dict[type[Struct], Callable[[bytes], Any]] = {}


def _parse(struct: type[Body], raw: bytes) -> Body:
    if not raw:
        return struct()
    decoder = _DECODERS.get(struct)
    if decoder is None:
        decoder = _DECODERS[struct] = msgspec.json.Decoder(struct).decode
    raw = _screened(raw)
    try:
        body: Body = decoder(raw)
    except msgspec.ValidationError as error:
        return _with_whole_floats(struct, decoder, raw, error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _bad_body(str(error)) from error
    return body


def _screened(raw: bytes) -> bytes:
    """Refuse what decodes and still cannot be kept: bad UTF-8, infinite numbers, deep nesting."""
    if b"\0" in raw:
        raw = raw.replace(b"\0", b"")  # the platform strips them
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            raise _bad_body(f"it is no UTF-8: byte {error.start}") from error
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _is_deep(raw):
        raise _bad_body(f"it is nested deeper than {MAX_DEPTH} levels")
    shape = raw.translate(_DIGITS_ALIKE)
    is_huge = b"e000" in shape or b"e+000" in shape or _MANY_DIGITS in shape
    if is_huge and _is_infinite(raw):
        raise _bad_body("a number is too large for a double")
    return raw


def _is_deep(raw: bytes) -> bool:
    steps = array("b", _STRINGS.sub(b"", raw).translate(_STEPS, _NO_BRACKETS))
    return max(accumulate(steps), default=0) > MAX_DEPTH


def _is_infinite(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        return "out of range" in str(error)
    return False


def _with_whole_floats(
    struct: type[Body],
    decoder: Callable[[bytes], Any],
    raw: bytes,
    error: msgspec.ValidationError,
) -> Body:
    """Decode again with `5.0` read as 5, because many languages write whole numbers so."""
    if "got `float`" in str(error):
        try:
            body: Body = decoder(_FLOAT.sub(_as_whole, raw))
        except msgspec.ValidationError as second:
            error = second
        else:
            _restore_json(body, raw)
            return body
    raise _bad_body(_told(str(error))) from error


def _as_whole(match: re.Match[bytes]) -> bytes:
    token = match[0]
    if token.startswith(b'"') or token.lstrip(b"-").isdigit():
        return token
    number = float(token)
    return b"%d" % number if number.is_integer() else token


def _restore_json(body: Struct, raw: bytes) -> None:
    """Put the bytes of JSON fields back as they came; only typed numbers may be rewritten."""
    parts = msgspec.json.decode(raw, type=dict[str, Raw])
    for field in msgspec.structs.fields(body):
        value = getattr(body, field.name)
        if isinstance(value, Raw):
            setattr(body, field.name, parts[field.encode_name])
        elif isinstance(value, Struct):
            _restore_json(value, bytes(parts[field.encode_name]))
        elif isinstance(value, list) and value and isinstance(value[0], Struct):
            items = msgspec.json.decode(parts[field.encode_name], type=list[Raw])
            for item, part in zip(value, items, strict=True):
                _restore_json(item, bytes(part))


def _told(text: str) -> str:
    """Turn the decoder's message into ours, with the field in front."""
    what, _, path = text.partition(" - at `$")
    match = _MISFIT.match(what)
    if match is None:
        return text
    field = path.rstrip("`").lstrip(".")
    wanted = match["wanted"].replace(" | null", "")
    got = f", got {match['got']}" if match["got"] else match["rest"]
    where = f"`{field}` must be" if field else "it must be"
    return f"{where} {wanted}{got}"


def _bad_body(what: str) -> ApiError:
    return ApiError(400, f"invalid request body: {what}")


def _inside(rule: Rule, value: object) -> Iterator[str]:
    """Check the bodies inside a body; a broken rule is named by its whole path."""
    items = value if isinstance(value, list) else []
    for index, item in enumerate(items):
        try:
            check(item)
        except ApiError as error:
            yield from (f"{rule.field}[{index}].{line}" for line in error.details)


def _broken(rule: Rule, value: Any) -> str:
    """Return the tag of the first rule that a value breaks, in the platform's words."""
    if not value and not isinstance(value, bool):
        if rule.zero_is_absent:
            return ""
        if rule.required and not isinstance(value, list):
            return "required"
    if rule.format and (tag := _misformed(rule, value)):
        return tag
    if isinstance(value, int | float):
        return _out_of_range(rule, value)
    if rule.min_length is not None and len(value) < rule.min_length:
        return "min"
    if rule.max_length is not None and len(value) > rule.max_length:
        return "max"
    return "oneof" if rule.one_of and value not in rule.one_of else ""


def _out_of_range(rule: Rule, value: float) -> str:
    if rule.min is not None and value < rule.min:
        return "min"
    return "max" if rule.max is not None and value > rule.max else ""


def _misformed(rule: Rule, value: str) -> str:
    if rule.format == "uri":
        return "" if _URI.match(value) else "url"
    if not is_timestamp(value):
        # For the platform a text that is no timestamp is a wrong type, not a wrong value.
        raise _bad_body(f"`{rule.field}` must be an RFC 3339 timestamp, got {value[:40]!r}")
    return ""
