"""What a method returns, worked out of the answers of its operation."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.ir import Alias, Answer, Api, Array, Free, Map, Nullable, Operation, Ref, Scalar, Type

_TEXT = frozenset({"text/csv", "text/plain", "text/html"})
_BINARY = frozenset({"application/pdf"})
_LINES = "application/x-ndjson"
_JSON = frozenset({"application/json", "application/schema+json"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """One kind of result.

    Attributes:
        kind: `model`, `page`, `stream`, or `plain`.
        type: the annotation; of a page or stream, that of an item.
        decode: the expression that makes it of an answer.
        place: for pages, the parameter that asks for the next one.
        formats: the values of the argument `format` that lead here; none if there is no choice.
    """

    kind: str
    type: str
    decode: str
    place: str = "cursor"
    formats: tuple[str, ...] = ()


def outcomes(op: Operation, api: Api) -> list[Outcome]:
    """Return the kinds of result of an operation, the default one first."""
    if op.stream is not None and op.stream.kind == "sse":
        return [Outcome("stream", op.stream.item, f"{op.stream.item}.from_json")]
    choice = next((query for query in op.query if query.name == "format"), None)
    types = {answer.content_type for answer in op.answers}
    if choice is None or len(types) < 2:
        return [_outcome(op, api)]
    assert isinstance(choice.type, Scalar)
    return _choices(op, api, choice.type.enum)


def _choices(op: Operation, api: Api, formats: tuple[str, ...]) -> list[Outcome]:
    texts = tuple(f for f in formats if f == "csv")
    binaries = tuple(f for f in formats if f == "pdf")
    rest = tuple(f for f in formats if f not in {*texts, *binaries})
    found = []
    if rest:
        main = _outcome(op, api)
        found.append(Outcome(main.kind, main.type, main.decode, main.place, rest))
    if texts:
        found.append(Outcome("plain", "str", "results.text", formats=texts))
    if binaries:
        found.append(Outcome("plain", "bytes", "results.content", formats=binaries))
    return found if len(found) > 1 else [_outcome(op, api)]


def _outcome(op: Operation, api: Api) -> Outcome:
    if not op.answers:
        return Outcome("plain", "Json", "results.json_value")
    if op.result:
        return Outcome("model", op.result, f"results.model({op.result})")
    with_type = [answer for answer in op.answers if answer.type is not None]
    if not with_type:
        redirected = any(300 <= answer.status < 400 for answer in op.answers)
        return (
            Outcome("plain", "str", "results.text")
            if redirected
            else Outcome("plain", "None", "results.nothing")
        )
    if op.paging is not None and op.paging.data is not None:
        return _page(op, with_type[0])
    return _single(with_type[0], api)


def _page(op: Operation, answer: Answer) -> Outcome:
    paging, envelope = op.paging, answer.type
    assert paging is not None
    assert isinstance(envelope, Ref), f"the pages of `{op.id}` need a schema with a name"
    if paging.kind == "limit_offset":
        decode = f"results.offset_page({envelope.name}, {paging.data!r}, {paging.more!r})"
        return Outcome("page", paging.item, decode, place="offset")
    decode = (
        f"results.cursor_page({envelope.name}, {paging.data!r}, {paging.next!r}, "
        f"{paging.more or ''!r})"
    )
    return Outcome("page", paging.item, decode)


def _single(answer: Answer, api: Api) -> Outcome:
    if answer.content_type in _TEXT:
        return Outcome("plain", "str", "results.text")
    if answer.content_type in _BINARY:
        return Outcome("plain", "bytes", "results.content")
    assert answer.content_type in _JSON | {_LINES}, answer.content_type
    return _of_json(answer.type or Free(), api)


def _of_json(kind: Type, api: Api) -> Outcome:
    match kind:
        case Nullable(inner):
            return _of_json(inner, api)
        case Array(Ref(name)):
            return Outcome("page", name, f"results.array({name})")
        case Ref(name) if isinstance(api.schemas[name], Alias):
            return Outcome("plain", name, "results.json_value")
        case Ref(name):
            return Outcome("model", name, f"results.model({name})")
        case Map(Free()):
            return Outcome("plain", "dict[str, Any]", "results.json_value")
        case _:
            return Outcome("plain", "Json", "results.json_value")
