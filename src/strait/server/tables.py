"""Tables for spreadsheets: CSV, in which no cell is taken for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from msgspec import json


def head(fields: Sequence[str]) -> bytes:
    """Return the first line, which names the fields."""
    return (",".join(fields) + "\n").encode()


def rows(documents: Iterable[Mapping[str, object]], fields: Sequence[str]) -> bytes:
    """Return a line for each document, with its fields in this order."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    for document in documents:
        table.writerow(_cell(document.get(name, "")) for name in fields)
    return text.getvalue().encode()


def _cell(value: object) -> str:
    text = value if isinstance(value, str) else json.encode(value).decode()
    # A spreadsheet takes a cell that begins so for a formula.
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
