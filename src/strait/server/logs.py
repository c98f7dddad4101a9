"""Logs of the server: one line an event, as text for people or as JSON for machines.

A line has the fields of `FIELDS` where it knows them. No line has a body, a query string, a header
or a key of a request: those hold what is not for everybody who reads logs.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any, TextIO

from strait.clock import SECOND, to_timestamp

FIELDS = ("request_id", "run_id", "project_id", "operation", "method", "path", "status", "ms")


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": to_timestamp(round(record.created * SECOND)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """Writes a record as a line with its fields behind it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        stamp = to_timestamp(round(record.created * SECOND))
        line = f"{stamp} {record.levelname:<7} {record.getMessage()}"
        line = f"{line}  {fields}" if fields else line
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(style: str, level: str, stream: TextIO | None = None) -> None:
    """Send the server's logs to a stream, by default the standard error.

    Args:
        style: `json` or `text`.
        level: `debug`, `info`, `warning` or `error`; with `debug` there is a line for each request.
        stream: where to.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logger = logging.getLogger("strait")
    for old in logger.handlers[:]:
        logger.removeHandler(old)
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    found = {name: getattr(record, name, None) for name in FIELDS}
    return {name: value for name, value in found.items() if value not in {None, ""}}
