"""What the client logs: one line for each call, the attempts behind it, and never a body.

The loggers are `strait` and `strait.http`. At `INFO` a call is one line, `POST /v1/jobs 201 34 ms
req_x`; at `DEBUG` each attempt has its headers, in which nothing secret is left. Addresses are told
without their query, which may hold a token.

`STRAIT_LOG=info` or `STRAIT_LOG=debug` shows these lines without any configuration.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from strait.client.headers import redacted
from strait.errors import ConfigurationError, StraitError

if TYPE_CHECKING:
    from strait.client.effects import Request, Response

VARIABLE = "STRAIT_LOG"
_LEVELS = {"info": logging.INFO, "debug": logging.DEBUG}
_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"

logger = logging.getLogger("strait.http")


def set_up() -> None:
    """Show what is logged, if `STRAIT_LOG` says so.

    The level is set in any case; a handler, which writes to standard error, is added only where the
    program has none of its own.

    Raises:
        ConfigurationError: the variable is neither `info` nor `debug`.
    """
    wanted = os.environ.get(VARIABLE, "").strip()
    if not wanted:
        return
    level = _LEVELS.get(wanted.lower())
    if level is None:
        raise ConfigurationError(f"`{VARIABLE}` must be `info` or `debug`, not {wanted!r}")
    root = logging.getLogger("strait")
    root.setLevel(level)
    if not root.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(_FORMAT))
        root.addHandler(handler)


def path_of(url: str) -> str:
    """Return the path of an address: its query may hold a token, and is not told."""
    return urlsplit(url).path


def sent(request: Request) -> None:
    """Tell of an attempt that is about to be sent."""
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("%s %s %s", request.method, path_of(request.url), redacted(request.headers))


def came(request: Request, response: Response) -> None:
    """Tell of the answer to an attempt."""
    if logger.isEnabledFor(logging.DEBUG):
        headers = {name.lower(): value for name, value in response.headers.items()}
        logger.debug(
            "%s %s %d %s", request.method, path_of(request.url), response.status, redacted(headers)
        )


def done(request: Request, response: Response) -> None:
    """Tell of a call that is over, or of a stream that is open."""
    if logger.isEnabledFor(logging.INFO):
        request_id = response.headers.get("x-request-id")
        _line(request, str(response.status), response.elapsed, request_id, response.attempts)


def failed(request: Request, error: StraitError, seconds: float, attempts: int) -> None:
    """Tell of a call that is given up: by its status, or the class of its error."""
    if logger.isEnabledFor(logging.INFO):
        outcome = type(error).__name__ if error.status is None else str(error.status)
        _line(request, outcome, seconds, error.request_id, attempts)


def _line(
    request: Request, outcome: str, seconds: float, request_id: str | None, attempts: int
) -> None:
    logger.info(
        "%s %s %s %.0f ms %s%s",
        request.method,
        path_of(request.url),
        outcome,
        seconds * 1000,
        request_id or "-",
        f" ({attempts} attempts)" if attempts > 1 else "",
    )
