"""How a decision says no."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818 - it is an answer, not a fault
    """What was asked cannot be done in the present state; nothing was changed.

    Attributes:
        status: the HTTP status of the answer (400, 404, 409, 410, 413, 422, 429).
        message: the text of the answer, in the words of the contract.
        code: an `error.code` other than the one that belongs to the status.
    """

    def __init__(self, status: int, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
