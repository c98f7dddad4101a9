"""Results: from the bytes of a successful answer to a model, a page, text, or nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from strait.client.body import check_mapping
from strait.client.effects import Response
from strait.client.responses import ResponseInfo
from strait.errors import DecodeError, Json, ResponseValidationError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Model(Protocol[T_co]):
    """A class that knows how to read itself, and lists of itself, from JSON."""

    def from_json(self, data: bytes) -> T_co:
        """Return the model of a JSON object."""
        ...

    def list_from_json(self, data: bytes) -> list[Any]:
        """Return the models of a JSON array; null counts as an empty one."""
        ...


@dataclass(frozen=True, slots=True)
class PageData(Generic[T]):
    """A page as it came.

    Attributes:
        items: what is listed.
        cursor: the value of the parameter that gives the next page; None at the end.
        envelope: the whole answer, or None where it was a bare array.
        response: how the page came about.
    """

    items: list[T]
    cursor: str | int | None = None
    envelope: Any = None
    response: ResponseInfo | None = None


def nothing(response: Response) -> None:
    """Take an answer that has no body, or none that matters."""


def text(response: Response) -> str:
    """Return the body as text."""
    return response.text()


def content(response: Response) -> bytes:
    """Return the body as it came."""
    return response.content


def json_value(response: Response) -> Json:
    """Return the JSON of the body; None when there is none."""
    if not response.content:
        return None
    return _checked(response, json.loads)


def read(load: Callable[[bytes], T]) -> Callable[[Response], T]:
    """Return what makes anything of the JSON of an answer; an empty one counts as null."""

    def decode(response: Response) -> T:
        return _checked(response, load, response.content or b"null")

    return decode


def model(cls: Model[T]) -> Callable[[Response], T]:
    """Return what makes one model of an answer; an empty one makes a model without fields."""
    load = cls.from_json

    def decode(response: Response) -> T:
        try:
            found = load(response.content or b"{}")
        except ValueError as error:
            raise _undecodable(response, error) from error
        # What a class that is no model of ours, such as one of a user, cannot keep is not kept.
        with suppress(AttributeError):
            object.__setattr__(found, "_response", ResponseInfo(response))
        return found

    return decode


def array(cls: Model[T]) -> Callable[[Response], PageData[T]]:
    """Return what makes a page of a bare array, or of one item a line."""

    def decode(response: Response) -> PageData[T]:
        if response.content_type == "application/x-ndjson":
            lines = [line for line in response.content.split(b"\n") if line.strip()]
            items = [_checked(response, cls.from_json, line) for line in lines]
            return PageData(items, response=ResponseInfo(response))
        items = _checked(response, cls.list_from_json)
        return PageData(items, response=ResponseInfo(response))

    return decode


def cursor_page(
    envelope: Model[Any], data: str, following: str, more: str
) -> Callable[[Response], PageData[Any]]:
    """Return what makes a page of an envelope with a cursor.

    Args:
        envelope: the model of the answer.
        data: its field with the items.
        following: its field with the cursor of the next page.
        more: its field that says whether there is one; empty where the cursor says it.
    """

    def decode(response: Response) -> PageData[Any]:
        page = _checked(response, envelope.from_json)
        items = _of_kind(response, page, data, list) or []
        cursor = _of_kind(response, page, following, str, int)
        if more and getattr(page, more, None) is False:
            cursor = None
        return PageData(items, cursor or None, page, ResponseInfo(response))

    return decode


def offset_page(envelope: Model[Any], data: str, more: str) -> Callable[[Response], PageData[Any]]:
    """Return what makes a page of an envelope with an offset."""

    def decode(response: Response) -> PageData[Any]:
        page = _checked(response, envelope.from_json)
        items = _of_kind(response, page, data, list) or []
        goes_on = getattr(page, more, False) and items
        offset = _of_kind(response, page, "offset", int) or 0
        following = offset + len(items) if goes_on else None
        return PageData(items, following, page, ResponseInfo(response))

    return decode


def query(given: Mapping[str, Any] | None, keywords: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters of a call: a mapping, with the keywords that were given over it."""
    if not given:
        return keywords
    check_mapping(given, "query")
    return {**given, **{name: value for name, value in keywords.items() if value is not None}}


def _of_kind(response: Response, page: object, name: str, *kinds: type) -> Any:
    """Return a field of an envelope, whose form the way through pages depends on."""
    value = getattr(page, name, None)
    if value is None or (isinstance(value, kinds) and not isinstance(value, bool)):
        return value
    raise _undecodable(response, ValueError(f"`{name}` is of type `{type(value).__name__}`"))


def _checked(response: Response, load: Callable[[bytes], T], data: bytes | None = None) -> T:
    try:
        return load(response.content if data is None else data)
    except ValueError as error:
        raise _undecodable(response, error) from error


def _undecodable(response: Response, error: ValueError) -> DecodeError:
    kind = response.content_type or "no media type"
    what = str(error).partition("\n")[0]
    text = f"the answer is not what was expected ({kind}): {what}"
    wrong = DecodeError(text, response.text())
    # By its attribute: that of a `MisfitError`, whose module would load every model's base.
    if (fields := getattr(error, "fields", None)) is not None:
        wrong = ResponseValidationError(text, response.text(), fields=fields)
    wrong.status = response.status
    wrong.headers = {name.lower(): value for name, value in response.headers.items()}
    wrong.request_id = wrong.headers.get("x-request-id")
    return wrong
