"""The platform's error envelope (`contract`: `ErrorResponse`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_CODES = {
    400: "bad_request",
    401: "authentication_required",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    422: "validation_failed",
    429: "rate_limited",
    503: "service_unavailable",
}


class ApiError(Exception):
    """An answer other than success.

    Attributes:
        status: the HTTP status.
        message: one sentence for the caller; never a traceback, never a secret.
        details: further lines, such as `name: failed on 'required'`.
        code: the `error.code`; by default the one that belongs to the status.
        headers: further response headers, such as `Retry-After`.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        details: Sequence[str] = (),
        code: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = tuple(details)
        self.code = code or _CODES.get(status, "internal_error")
        self.headers = dict(headers or {})

    def envelope(self, request_id: str) -> dict[str, object]:
        """Return the body of the answer."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.details:
            error["details"] = list(self.details)
        return {"error": error, "request_id": request_id}


class QuotaExceeded(ApiError):  # noqa: N818 - the name of the schema
    """The 402 of something that is used up; its body has no envelope (`QuotaExceeded`)."""

    def __init__(self, kind: str, message: str, *, limit: int, current: int) -> None:
        super().__init__(402, message, code="quota_exceeded")
        self._body = {
            "code": self.code,
            "kind": kind,
            "message": message,
            "limit": limit,
            "current": current,
        }

    def envelope(self, request_id: str) -> dict[str, object]:
        """Return the body of the answer."""
        return dict(self._body)


def invalid(*details: str) -> ApiError:
    """Return the 422 of a body that has the right types and wrong values."""
    return ApiError(422, "validation failed", details=details)


def not_found(what: str) -> ApiError:
    """Return the 404 for a thing that is not there, or not the caller's."""
    return ApiError(404, f"{what} not found")
