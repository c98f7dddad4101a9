"""What is known of an answer beside its result: request id, rate limit, headers, attempts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Generic, TypeVar

from strait.client.effects import Response
from strait.errors import DecodeError, Json
from strait.rate_limit import RateLimit

T = TypeVar("T")
U = TypeVar("U")


class ResponseInfo:
    """How a result came about.

    Attributes:
        status: the HTTP status.
        headers: the headers of the answer, by names of any case.
        attempts: how often the request was sent.
        elapsed: seconds that the call took, with all its attempts and waits.
    """

    __slots__ = ("attempts", "elapsed", "headers", "status")

    def __init__(self, response: Response) -> None:
        self.status = response.status
        self.headers = response.headers
        self.attempts = response.attempts
        self.elapsed = response.elapsed

    @property
    def request_id(self) -> str | None:
        """The platform's id of the request, which its support asks for."""
        return self.headers.get("x-request-id")

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the platform says of its rate limit, or None."""
        return RateLimit.of(self.headers)

    @property
    def retries_taken(self) -> int:
        """How often the request was sent again."""
        return self.attempts - 1

    def __repr__(self) -> str:
        return f"{type(self).__name__}(status={self.status}, request_id={self.request_id!r})"


class APIResponse(ResponseInfo, Generic[T]):
    """A whole answer, and the result that is in it.

    Attributes:
        content: the body as it came.
    """

    __slots__ = ("_parse", "content")

    def __init__(self, response: Response, parse: Callable[[Response], T]) -> None:
        super().__init__(response)
        self.content = response.content
        self._parse = parse

    def parse(self) -> T:
        """Return what the method itself would have returned.

        Raises:
            DecodeError: the body is not what the operation has.
        """
        return self._parse(self._response())

    def parsed_by(self, parse: Callable[[Response], U]) -> APIResponse[U]:
        """Return the same answer with another result in it."""
        return APIResponse(self._response(), parse)

    def _response(self) -> Response:
        return Response(self.status, self.headers, self.content, self.attempts, self.elapsed)

    def text(self) -> str:
        """Return the body as text; bytes that are no UTF-8 are replaced."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Json:
        """Return the body as JSON.

        Raises:
            DecodeError: it is none.
        """
        try:
            return json.loads(self.content)
        except ValueError as error:
            raise DecodeError(f"the answer is no JSON: {error}", self.text(), error) from error


def response_info(result: object) -> ResponseInfo | None:
    """Return how a result came about: a model or a page that a client has returned.

        job = client.jobs.get("job_1")
        strait.response_info(job).request_id

    Results that are plain texts, bytes, dicts or None carry nothing, and neither do the items of a
    page or copies of a model: for these the answer is None. `with_raw_response` works for all.
    """
    found = getattr(result, "_response", None)
    return found if isinstance(found, ResponseInfo) else None
