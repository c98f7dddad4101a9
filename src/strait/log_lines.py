"""Lines of a log: as text for people, or as JSON for machines. Servers and hosts share them.

A line has the fields of `FIELDS` where it knows them.
"""

from __future__ import annotations

import json
import logging
import os
from typing import Any

from strait.clock import SECOND, to_timestamp

FIELDS = ("request_id", "run_id", "project_id", "operation", "method", "path", "status", "ms")
FORMAT_VARIABLE = "STRAIT_LOG_FORMAT"
"""With `json`, what hosts and workers log is lines of JSON."""


def quiet_grpc() -> None:
    """Have gRPC say no more than errors, unless its own variable says how much.

    It would write a line in a form of its own, to the standard error, for each connection that
    fails and each process that is begun. It has to be told before it is loaded.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


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


def wants_json() -> bool:
    """Tell whether the environment asks for lines of JSON."""
    return os.environ.get(FORMAT_VARIABLE, "").strip().lower() == "json"


def set_up() -> None:
    """Log to the standard error, unless the program has set up logging itself."""
    handler = logging.StreamHandler()
    if wants_json():
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    found = {name: getattr(record, name, None) for name in FIELDS}
    return {name: value for name, value in found.items() if value not in {None, ""}}
