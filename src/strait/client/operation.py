"""Operations: what the generated services know of each call, and what a caller may change of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypedDict, TypeVar

from strait.client.effects import Response
from strait.retry import RetryOptions

T = TypeVar("T")
U = TypeVar("U")


class WaitOptions(TypedDict, total=False):
    """What a call that waits can be told beside its own arguments.

    Attributes:
        deadline: seconds that each request may take with all its attempts and waits.
        headers: further headers, over those of the client.
        idempotency_key: the key under which the platform does this once only.
        max_retries: how often to try each request again; 0 is never.
        retry: how often to try each request, and how long to wait, in place of the client's own.
    """

    deadline: float
    headers: Mapping[str, str]
    idempotency_key: str
    max_retries: int
    retry: RetryOptions


class RequestOptions(WaitOptions, total=False):
    """What any call can be told beside its own arguments.

    Attributes:
        timeout: seconds that an attempt may wait for the connection, and for each piece of what is
            sent and of the answer; `deadline` bounds all of it.
        deadline: seconds that the call may take with all its attempts and waits.
        headers: further headers, over those of the client.
        idempotency_key: the key under which the platform does this once only.
        max_retries: how often to try again; 0 is never.
        retry: how often to try, and how long to wait, in place of the client's own.
        extra_query: further parameters, such as those of a newer platform.
        extra_body: further fields of the body; null is sent.
    """

    timeout: float
    extra_query: Mapping[str, Any]
    extra_body: Mapping[str, Any]


class StreamOptions(RequestOptions, total=False):
    """What the opening of an event stream can be told beside its own arguments.

    Attributes:
        idle_timeout: seconds that the stream may be silent before it counts as broken; 60 by
            default, four times the distance of the platform's signs of life.
        max_event_size: characters that one event may have; 8 Mi by default.
        max_reconnects: how often in a row to open it again; by default as often as any other call
            is tried again.
    """

    idle_timeout: float
    max_event_size: int
    max_reconnects: int


def of_each_request(options: WaitOptions) -> RequestOptions:
    """Return the options of the requests that a call makes which waits."""
    found: RequestOptions = {}
    if "deadline" in options:
        found["deadline"] = options["deadline"]
    if "headers" in options:
        found["headers"] = options["headers"]
    if "idempotency_key" in options:
        found["idempotency_key"] = options["idempotency_key"]
    if "max_retries" in options:
        found["max_retries"] = options["max_retries"]
    if "retry" in options:
        found["retry"] = options["retry"]
    return found


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """An operation of the API, as far as a client needs it.

    Attributes:
        id: the id in the description.
        method: the HTTP method.
        path: the address, cut where its parameters stand; one part more than there are.
        arguments: the Python names of those parameters.
        decode: makes the result of a successful answer.
        idempotent: whether the platform honours `Idempotency-Key`.
        repeatable: whether it may be sent twice without harm.
        settled: the status that says "done before" after an answer was lost; 0 for none.
        nullable: the fields of the body of which null is a value.
        comma: the parameters whose lists are one text with commas.
        missing: why no present platform has it; empty when one does.
        accept: the media types to ask for.
        name: what it is called in Python, such as `jobs.create`; empty for raw requests.
    """

    id: str
    method: str
    path: tuple[str, ...]
    decode: Callable[[Response], T]
    arguments: tuple[str, ...] = ()
    idempotent: bool = False
    repeatable: bool = False
    settled: int = 0
    nullable: frozenset[str] = frozenset()
    comma: frozenset[str] = frozenset()
    missing: str = ""
    accept: str = "application/json"
    name: str = ""

    @property
    def template(self) -> str:
        """The path with the names of its parameters, such as `/v1/jobs/{job_id}`."""
        names = (*(f"{{{name}}}" for name in self.arguments), "")
        return "".join(part + name for part, name in zip(self.path, names, strict=True))

    def with_decode(self, decode: Callable[[Response], U]) -> Operation[U]:
        """Return the operation with another kind of result."""
        other: Any = replace(self, decode=decode)  # type: ignore[arg-type] # the type changes
        changed: Operation[U] = other
        return changed


@dataclass(frozen=True, slots=True)
class StreamOperation(Generic[T]):
    """An operation that answers with server-sent events.

    Attributes:
        id: the id in the description.
        path: the address, cut where its parameters stand.
        arguments: the Python names of those parameters.
        decode: makes an item of the data of an event.
        ends_field: the field of an item that tells of its end; empty for none.
        ends_values: the values of it that do.
        reopens: whether the stream goes on after the server closed it.
        name: what it is called in Python, such as `runs.stream`; empty for raw requests.
    """

    id: str
    path: tuple[str, ...]
    decode: Callable[[bytes], T]
    arguments: tuple[str, ...] = ()
    ends_field: str = ""
    ends_values: frozenset[str] = frozenset()
    reopens: bool = True
    name: str = ""


@dataclass(frozen=True, slots=True)
class Tracked(Generic[T]):
    """A kind of run that can be waited for.

    Attributes:
        name: what one is called, such as `workflow run`.
        get: returns one.
        cancel: cancels one.
        ends: the statuses in which one has ended.
        stream: follows one; None where the platform has no such stream.
        result: the field with what a good one leaves; empty where that is the run itself.
    """

    name: str
    get: Operation[T]
    cancel: Operation[T]
    ends: frozenset[str]
    stream: StreamOperation[Any] | None = None
    result: str = "result"
