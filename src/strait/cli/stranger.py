"""Whether what answers is a platform at all: an address may be that of anything else.

Every answer of a platform has `X-API-Version`. Where the first one lacks it, a proxy may have taken
it away; then the form of `GET /health` decides.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from strait.cli.failures import CommandError, ExitCode

if TYPE_CHECKING:
    from strait.client.effects import Request, Response

_MARK = "x-api-version"
_HEALTH = "/health"
_SUCCESSES = range(200, 300)
_NOT_FOUND = 404


class Acquaintance:
    """A layer of a client that goes no further where no platform answers.

    Args:
        base_url: where one is said to be.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._is_known = False

    def __call__(self, request: Request, call_next: Callable[[Request], Response]) -> Response:
        """Send a request; refuse its answer if nobody knows who it is from."""
        answer = call_next(request)
        if self._is_known or not _says_something(answer):
            return answer
        if not (_is_marked(answer) or _is_well(self._health(request, call_next))):
            raise CommandError(
                f"what answers at {self._base_url} is no Strait platform",
                "`strait config` shows where that address comes from",
                ExitCode.UNREACHABLE,
            )
        self._is_known = True
        return answer

    def _health(self, request: Request, call_next: Callable[[Request], Response]) -> Response:
        # What is not known to be a platform is given no key a second time.
        headers = {"accept": "application/json"}
        return call_next(
            replace(
                request, method="GET", url=self._base_url + _HEALTH, headers=headers, content=None
            )
        )


def _says_something(answer: Response) -> bool:
    """Say whether an answer is one that a command would believe.

    Failures and redirections are told as what they are, whoever they are from.
    """
    return answer.status in _SUCCESSES or answer.status == _NOT_FOUND


def _is_marked(answer: Response) -> bool:
    return any(name.lower() == _MARK for name in answer.headers)


def _is_well(answer: Response) -> bool:
    if _is_marked(answer):
        return True
    try:
        said = json.loads(answer.content)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and isinstance(said.get("status"), str)
