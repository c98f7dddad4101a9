"""The file: its format, its sections, and what is checked when it is read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from strait.errors import StraitError
from strait.transfer.kinds import KINDS

if TYPE_CHECKING:
    from strait.errors import Json

FORMAT = "strait-project/1"
"""The name and the version of the format; a version that cannot be read gets another number."""

Item: TypeAlias = "dict[str, Json]"
Document: TypeAlias = dict[str, Any]
"""`{"format", "project", one entry per section: {key: item}, "to_set": [name, …]}`."""


class TransferError(StraitError):
    """A file cannot be read, or what it says cannot be done; the text names the thing."""


def dumps(document: Document) -> str:
    """Return a document as readable JSON, the same text for the same project every time."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def loads(text: str) -> Document:
    """Read a document.

    Raises:
        TransferError: it is no document of this format; the text says where.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TransferError(f"the file is no JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        found = document.get("format") if isinstance(document, dict) else None
        raise TransferError(f"the file has the format {found!r}; {FORMAT!r} can be read")
    for kind in KINDS:
        items = document.setdefault(kind.section, {})
        if not isinstance(items, dict) or not all(isinstance(one, dict) for one in items.values()):
            raise TransferError(f"`{kind.section}` must be an object of objects")
        for key, item in items.items():
            known = {*kind.fields, *kind.refs.values(), *kind.nested}
            if strange := sorted(set(item) - known):
                raise TransferError(
                    f"`{kind.section}.{key}` has `{strange[0]}`; {sorted(known)} can be there"
                )
    known = {"format", "project", "to_set", *(kind.section for kind in KINDS)}
    if strange := sorted(set(document) - known):
        raise TransferError(f"the file has `{strange[0]}`; {sorted(known)} can be there")
    return document


def empty(value: Json) -> bool:
    """Say whether a value is what platforms leave out: nothing, zero, false, or empty."""
    return value in (None, "", 0, False, [], {})
