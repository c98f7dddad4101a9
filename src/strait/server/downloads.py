"""Downloads: documents that come page by page, as an array, as lines or as a table."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeAlias

from msgspec import json

from strait.server import tables
from strait.server.http import StreamReply

Pages: TypeAlias = AsyncGenerator[list[bytes], None]
"""Documents that are JSON already."""

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

_CONTENT_TYPES = {"csv": b"text/csv", "ndjson": b"application/x-ndjson"}


def frames(pages: Pages, form: str, fields: Sequence[str]) -> AsyncGenerator[bytes, None]:
    """Return the body of a download, a page at a time.

    Args:
        pages: the documents.
        form: `csv`, `ndjson`, or a JSON array.
        fields: the columns of a table.
    """
    match form:
        case "csv":
            return _table(pages, fields)
        case "ndjson":
            return _lines(pages)
        case _:
            return _array(pages)


def attachment(
    body: AsyncGenerator[bytes, None], form: str, name: str, headers: Headers = ()
) -> StreamReply:
    """Answer with a body that is kept as a file under a name."""
    disposition = f'attachment; filename="{name}.{form}"'.encode()
    content_type = _CONTENT_TYPES.get(form, b"application/json")
    return StreamReply(body, content_type, ((b"content-disposition", disposition), *headers))


async def _array(pages: Pages) -> AsyncGenerator[bytes, None]:
    yield b"["
    between = b""
    async with aclosing(pages):
        async for documents in pages:
            yield between + b",".join(documents)
            between = b","
    yield b"]"


async def _lines(pages: Pages) -> AsyncGenerator[bytes, None]:
    async with aclosing(pages):
        async for documents in pages:
            yield b"".join(document + b"\n" for document in documents)


async def _table(pages: Pages, fields: Sequence[str]) -> AsyncGenerator[bytes, None]:
    yield tables.head(fields)
    async with aclosing(pages):
        async for documents in pages:
            yield tables.rows(map(_fields, documents), fields)


def _fields(document: bytes) -> dict[str, object]:
    return json.decode(document, type=dict[str, object])
