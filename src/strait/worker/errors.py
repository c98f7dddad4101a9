"""What can keep a worker from working."""

from __future__ import annotations

from strait.errors import StraitError


class WorkerRefused(StraitError):  # noqa: N818 - it says what happened
    """The platform does not take this worker, and will not however often it asks.

    Attributes:
        grpc_status: the name of the gRPC status, such as `UNAUTHENTICATED`.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"the platform refuses the worker: {text or code}")
        self.grpc_status = code
        self._text = text

    def __reduce__(self) -> tuple[type[WorkerRefused], tuple[str, str]]:
        return type(self), (self.grpc_status, self._text)


class ConnectionLost(Exception):  # noqa: N818 - it says what happened
    """A stream could not be opened, or has ended; the text says why."""
