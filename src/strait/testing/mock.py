"""`MockPlatform`: the API of a platform, scripted, behind a real client.

It is a transport of httpx, so everything that a client does is done: requests are built and
encoded, answers are decoded, retries are made. Each request is held against the description of
the API as the platform would, so a test cannot pass with a request that no platform takes.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

import httpx

from strait.authoring.flow import as_json
from strait.client import AsyncClient, Client
from strait.retry import RetryOptions
from strait.testing._extra import server_is_missing

try:
    from strait.testing.operations import Operations
except ModuleNotFoundError as _missing:
    raise server_is_missing(_missing, "the mock platform") from _missing

if TYPE_CHECKING:
    from strait.client.settings import CommonOptions
    from strait.errors import Json

_BASE_URL = "http://platform.test"
_API_KEY = "strait_mock"
_PROJECT = "proj_mock"


class MockRequestError(AssertionError):
    """A request that no platform would take, or that the test has no answer for.

    It is no `StraitError`, so that code which handles those cannot hide it from the test.
    """


@dataclass(frozen=True, slots=True)
class MockAnswer:
    """An answer, said in full.

    Attributes:
        body: JSON, or None for no body.
        status: the HTTP status; 0 is the one that the operation succeeds with.
        headers: further headers, such as `Retry-After`.
        content: the bytes of the body, in place of JSON.
    """

    body: Json = None
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None

    @classmethod
    def events(cls, *items: Json) -> MockAnswer:
        """Return an event stream with these items, for operations that answer with one.

        Clients follow a stream until an item says that it is the last, and connect again where
        it merely breaks off; the next answer of the operation is what they get then.
        """
        content = "".join(f"data: {json.dumps(_plain(item))}\n\n" for item in items)
        return cls(headers={"content-type": "text/event-stream"}, content=content.encode())

    @classmethod
    def error(
        cls,
        status: int,
        message: str,
        *,
        code: str = "",
        details: list[str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> MockAnswer:
        """Return a refusal in the platform's envelope."""
        said: dict[str, Json] = {"code": code or f"status_{status}", "message": message}
        if details:
            said["details"] = details
        return cls({"error": said, "request_id": "req_mock"}, status, headers or {})


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request that was made.

    Attributes:
        operation: the id of the operation, such as `trigger-job`.
        method: the HTTP method.
        path: the path, without the query.
        path_params: the values of the parameters in it, unquoted.
        query: the parameters of the query; of a repeated one the last.
        body: the JSON of the body; None without one.
        headers: the headers, with names in lower case.
    """

    operation: str
    method: str
    path: str
    path_params: Mapping[str, str]
    query: Mapping[str, str]
    body: Json
    headers: Mapping[str, str]


Answer: TypeAlias = Any
"""JSON, a model, a `MockAnswer`, an exception to raise, or a function of the request for one."""


# Who waits for a run follows its stream, and looks at it where there is nothing to follow.
_STREAM, _LOOK = "stream-run", "get-run"
_NOTHING_TO_FOLLOW = MockAnswer.error(410, "run has reached a terminal state")


class MockPlatform(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport that answers as the test says, and records what it is asked.

    Operations are named as the client's methods (`jobs.create`), by their id (`create-job`), or
    by verb and path (`POST /v1/jobs`).

        mock = MockPlatform()
        mock.answer("jobs.trigger", {"id": "run_1", "status": "queued"})
        with mock.client() as client:
            client.jobs.trigger("job_1", payload={"a": 1})
        assert mock.requests[0].body == {"payload": {"a": 1}}

    Attributes:
        requests: every request, in the order in which they came.
    """

    def __init__(self) -> None:
        self.requests: list[RecordedRequest] = []
        self._operations = Operations()
        self._answers: dict[str, deque[Answer]] = defaultdict(deque)
        self._used: set[str] = set()

    def answer(self, operation: str, *answers: Answer) -> None:
        """Say what an operation answers from now on.

        Args:
            operation: the operation.
            *answers: one for each request, in order; the last one stays. Each is JSON or a
                model (the body of a success), a `MockAnswer`, an exception (raised as if by the
                network: `httpx.ConnectError("refused")`), or a function that takes the
                `RecordedRequest` and returns one of those. Without any, the operation succeeds
                with no body.

        Raises:
            MockRequestError: there is no such operation.
        """
        self._answers[self._id_of(operation)] = deque(answers or (MockAnswer(),))

    def requests_of(self, operation: str) -> list[RecordedRequest]:
        """Return the requests of one operation, in their order."""
        wanted = self._id_of(operation)
        return [request for request in self.requests if request.operation == wanted]

    @property
    def unused(self) -> list[str]:
        """The ids of the operations that have an answer and were never asked."""
        return sorted(set(self._answers) - self._used)

    def client(self, **options: Unpack[CommonOptions]) -> Client:
        """Return a client of this platform; `options` are those of `Client`."""
        return Client(**_defaults(options), http_client=httpx.Client(transport=self))

    def async_client(self, **options: Unpack[CommonOptions]) -> AsyncClient:
        """Return an asynchronous client of this platform."""
        return AsyncClient(**_defaults(options), http_client=httpx.AsyncClient(transport=self))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of an `httpx.Client`."""
        return self._handle(request, request.read())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of an `httpx.AsyncClient`."""
        return self._handle(request, await request.aread())

    def _handle(self, request: httpx.Request, body: bytes) -> httpx.Response:
        operation, params, fault = self._operations.read(
            request.method, request.url.raw_path, dict(request.headers), body
        )
        if fault:
            raise MockRequestError(f"{request.method} {request.url.path}: {fault}")
        recorded = RecordedRequest(
            operation=operation,
            method=request.method,
            path=request.url.path,
            path_params=params,
            query=dict(request.url.params),
            body=json.loads(body) if body else None,
            headers={name.lower(): value for name, value in request.headers.items()},
        )
        self.requests.append(recorded)
        return self._response(recorded, self._next(recorded))

    def _next(self, request: RecordedRequest) -> Answer:
        scripted = self._answers.get(request.operation)
        if not scripted and request.operation == _STREAM and _LOOK in self._answers:
            return _NOTHING_TO_FOLLOW
        if not scripted:
            raise MockRequestError(
                f"{request.method} {request.path}: `{request.operation}` was called and has no "
                f'answer; give it one with `mock.answer("{request.operation}", ...)`'
            )
        self._used.add(request.operation)
        return scripted.popleft() if len(scripted) > 1 else scripted[0]

    def _response(self, request: RecordedRequest, answer: Answer) -> httpx.Response:
        if isinstance(answer, BaseException):
            raise answer
        # A model is JSON here, though it could be called as a class could.
        if callable(answer) and not hasattr(answer, "to_dict"):
            return self._response(request, answer(request))
        said = answer if isinstance(answer, MockAnswer) else MockAnswer(_plain(answer))
        status = said.status or self._operations.success(request.operation)
        if said.body is None:
            return httpx.Response(status, headers=said.headers, content=said.content)
        return httpx.Response(status, headers=said.headers, json=said.body)

    def _id_of(self, operation: str) -> str:
        found = self._operations.id_of(operation)
        if not found:
            raise MockRequestError(
                f"there is no operation `{operation}`; name it as a method of the client "
                "(`jobs.create`), by its id (`create-job`) or by `POST /v1/jobs`"
            )
        return found


def _plain(answer: Answer) -> Json:
    """Return models, also those in a list or as the values of a mapping, as JSON."""
    if isinstance(answer, list):
        return [_plain(item) for item in answer]
    said = as_json(answer)
    return {name: _plain(value) for name, value in said.items()} if isinstance(said, dict) else said


def _defaults(options: CommonOptions) -> CommonOptions:
    known: CommonOptions = {
        "base_url": _BASE_URL,
        "project_id": _PROJECT,
        "retry": RetryOptions(delay_ms=0),  # nothing gets better by waiting here
        **options,
    }
    if not {"auth", "api_key", "bearer_token", "run_token"} & set(options):
        known["api_key"] = _API_KEY
    return known
