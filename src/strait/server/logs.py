"""Logs of the server: one line an event, as text for people or as JSON for machines.

A line has the fields of `log_lines` where it knows them. No line has a body, a query string, a
header or a key of a request: those hold what is not for everybody who reads logs.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from strait.log_lines import JsonFormatter, TextFormatter


def configure(style: str, level: str, stream: TextIO | None = None) -> logging.Handler:
    """Send the server's logs to a stream, by default the standard error.

    Args:
        style: `json` or `text`.
        level: `debug`, `info`, `warning` or `error`; with `debug` there is a line for each request.
        stream: where to.

    Returns:
        What writes the lines.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logger = logging.getLogger("strait")
    for old in logger.handlers[:]:
        logger.removeHandler(old)
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False
    return handler


def include_libraries(handler: logging.Handler) -> None:
    """Have what the libraries of this process warn of written as lines of the same log.

    Python would write their bare text between ours. It is for a process that is the server's own.
    """
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.captureWarnings(capture=True)
