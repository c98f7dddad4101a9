"""How a `Client` calls: the driver that carries out the effects of flows by blocking."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from strait.client import pace
from strait.client.body import merged as merged_body
from strait.client.effects import (
    Authorize,
    Close,
    Effect,
    Emit,
    Flow,
    Notify,
    Open,
    Opened,
    Read,
    Response,
    Send,
    Sleep,
    StreamFlow,
)
from strait.client.flows import call as call_flow
from strait.client.handles import RunHandle, new_run_id
from strait.client.operation import (
    Operation,
    RequestOptions,
    StreamOperation,
    StreamOptions,
    Tracked,
)
from strait.client.pages import Cursor, Page
from strait.client.plain import plain, plain_stream
from strait.client.responses import APIResponse, ResponseInfo
from strait.client.results import PageData
from strait.client.settings import Settings, merged, merged_stream
from strait.client.sse import MAX_EVENT_CHARS, ServerEvent
from strait.client.streams import follow
from strait.client.strictness import strict
from strait.client.tracing import told
from strait.client.transports.protocol import Body, Transport
from strait.client.waiting import send_until, wait
from strait.errors import StraitError

T = TypeVar("T")
logger = logging.getLogger("strait")


class Driver:
    """Carries out effects; it holds the body that was opened last."""

    __slots__ = ("_exchange", "body")

    def __init__(self, exchange: Transport) -> None:
        self._exchange = exchange
        self.body: Body | None = None

    def run(self, flow: Flow[T]) -> T:
        """Carry out a flow to its end and return its result."""
        try:
            effect = next(flow)
            while True:
                try:
                    answer = self.carry_out(effect)
                except StraitError as error:
                    effect = flow.throw(error)
                else:
                    effect = flow.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result
        except BaseException:
            self.close()
            raise

    def carry_out(self, effect: Effect) -> object:
        """Carry out one effect and return its answer."""
        match effect:
            case Send(request, deadline):
                return self._exchange.send(request, deadline)
            case Sleep(seconds):
                pace.sleep(seconds)
            case Notify(hook, context):
                notify(hook, context)
            case Authorize(credential, stale):
                return credential.token(stale)
            case Open(request):
                self.close()
                response, self.body = self._exchange.open(request)
                return response
            case Read():
                return self.body.read() if self.body else b""
            case Close():
                self.close()
        return None

    def close(self) -> None:
        """Close the body, if one is open."""
        body, self.body = self.body, None
        if body is not None:
            body.close()


def notify(hook: Callable[[Any], object], context: object) -> None:
    """Call a hook; an exception of its own is logged and goes no further."""
    try:
        hook(context)
    except Exception:
        logger.warning("middleware hook %r failed", hook, exc_info=True)


class EventStream(Generic[T]):
    """The items of an event stream, as they come; it reconnects by itself.

    Use it in a `with` block, or close it, when it is left before its end. A `with` block opens the
    stream as it begins, so that nothing that happens inside of it is missed; without one it is
    opened for its first item.

    Attributes:
        last_event: the event that the newest item came in.
    """

    def __init__(self, flow: StreamFlow, exchange: Transport) -> None:
        self.last_event: ServerEvent | None = None
        self._flow = flow
        self._driver = Driver(exchange)
        self._over = False

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        """Return the next item.

        Raises:
            StraitError: the stream failed more often in a row than the client retries.
        """
        if self._over:
            raise StopIteration
        try:
            while isinstance(effect := self._advance(), Opened):
                pass
        except BaseException:
            self.close()
            raise
        result: T
        result, self.last_event = effect.item
        return result

    def _advance(self) -> Opened | Emit:
        effect = self._flow.send(None)
        while True:
            if isinstance(effect, Opened | Emit):
                return effect
            try:
                answer = self._driver.carry_out(effect)
            except StraitError as error:
                effect = self._flow.throw(error)
            else:
                effect = self._flow.send(answer)

    def close(self) -> None:
        """End the stream and give its connection back."""
        self._over = True
        self._flow.close()
        self._driver.close()

    def __enter__(self) -> Self:
        """Open the stream; one that has nothing to follow is empty.

        Raises:
            StraitError: it cannot be opened.
        """
        try:
            self._advance()
        except StopIteration:
            self.close()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class StreamedResponse(ResponseInfo):
    """An answer whose body is read as it comes. Use it in a `with` block.

    It is asked for when the block begins; an answer other than success is raised there.
    """

    __slots__ = ("_driver", "_opened")

    def __init__(self, opened: Callable[[], tuple[Response, Driver]]) -> None:
        self._opened = opened
        self._driver: Driver | None = None

    def iter_bytes(self) -> Iterator[bytes]:
        """Return the body in the pieces that it comes in."""
        body = self._driver.body if self._driver else None
        while body is not None and (chunk := body.read()):
            yield chunk

    def read(self) -> bytes:
        """Return all that is left of the body."""
        return b"".join(self.iter_bytes())

    def close(self) -> None:
        """Give the connection back."""
        if self._driver is not None:
            self._driver.close()

    def __enter__(self) -> Self:
        response, self._driver = self._opened()
        super().__init__(response)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class SyncCaller:
    """What the services of a `Client` call: one method for each kind of result."""

    def __init__(self, settings: Settings, exchange: Transport) -> None:
        self.settings = settings
        self.exchange = exchange

    def call(
        self,
        operation: Operation[T],
        options: RequestOptions,
        arguments: Sequence[object] = (),
        *,
        query: Mapping[str, Any] | None = None,
        body: object = None,
        fields: Mapping[str, Any] | None = None,
    ) -> T:
        """Carry out an operation and return its result."""
        settings = self.settings
        if settings.defaults:
            options = merged(settings.defaults, options)
        if settings.plain:
            operation = plain(operation)
        elif settings.strict:
            operation = strict(operation)
        if fields is not None:
            body = merged_body(body, fields, operation.nullable)
        request = settings.request(operation, arguments, query, body, options)
        policy = settings.policy(operation, options)
        with told(settings.telemetry, operation, request) as seen:
            flow = call_flow(seen, request, policy, settings.hooks)
            return Driver(self.exchange).run(flow)

    def page(
        self,
        operation: Operation[PageData[T]],
        options: RequestOptions,
        arguments: Sequence[object] = (),
        *,
        query: Mapping[str, Any] | None = None,
        place: str = "cursor",
    ) -> Page[T]:
        """Carry out a list operation; `place` is the parameter that asks for the next page."""

        def fetch(cursor: Cursor) -> PageData[T]:
            onwards = {**(query or {}), place: cursor}
            return self.call(operation, options, arguments, query=onwards)

        first: Any = self.call(operation, options, arguments, query=query)
        # Plain JSON has no way to its next page, and is what was asked for.
        page: Page[T] = first if self.settings.plain else Page(first, fetch)
        return page

    def stream(
        self,
        operation: StreamOperation[T],
        options: StreamOptions,
        arguments: Sequence[object] = (),
        *,
        query: Mapping[str, Any] | None = None,
    ) -> EventStream[T]:
        """Return the stream of an operation; it is opened when its first item is asked for."""
        settings = self.settings
        if settings.defaults:
            options = merged_stream(settings.defaults, options)
        if settings.plain:
            operation = plain_stream(operation)
        request = settings.stream_request(operation, arguments, query, options)
        policy = settings.stream_policy(options)
        size = options.get("max_event_size", MAX_EVENT_CHARS)
        flow = follow(operation, request, policy, settings.hooks, size)
        return EventStream(flow, self.exchange)

    def wait(
        self, kind: Tracked[T], run_id: str, options: RequestOptions, seconds: float | None
    ) -> T:
        """Wait until a run has ended, and return it."""
        return Driver(self.exchange).run(wait(kind, run_id, self.settings, options, seconds))

    def handle(self, kind: Tracked[T], run_id: str) -> RunHandle[T]:
        """Return the handle of a run."""
        return RunHandle(self, kind, run_id)

    def started(self, kind: Tracked[T], triggered: object) -> RunHandle[T]:
        """Return the handle of the run that a trigger has just started."""
        return RunHandle(self, kind, new_run_id(triggered))

    def until(
        self,
        operation: Operation[T],
        options: RequestOptions,
        arguments: Sequence[object],
        seconds: float,
        *,
        body: object,
        fields: Mapping[str, Any],
    ) -> T:
        """Carry out an operation, again and again while what it is for does not exist yet."""
        body = merged_body(body, fields, operation.nullable)
        sending = send_until(operation, arguments, body, self.settings, options, seconds)
        with sending as flow:
            return Driver(self.exchange).run(flow)


class SyncRawCaller(SyncCaller):
    """Returns whole answers rather than the results that are in them."""

    def call(self, operation: Operation[Any], *args: Any, **kwargs: Any) -> Any:
        """Carry out an operation and return its answer."""
        parse = plain(operation).decode if self.settings.plain else operation.decode
        caller = SyncCaller(self.settings.with_models(), self.exchange)
        whole = operation.with_decode(lambda response: APIResponse(response, parse))
        return caller.call(whole, *args, **kwargs)

    def page(self, operation: Operation[Any], *args: Any, **kwargs: Any) -> Any:
        """Carry out a list operation and return its answer; what is parsed is a page."""
        place = kwargs.pop("place", "cursor")
        onwards = SyncCaller(self.settings, self.exchange)

        def fetch(cursor: Cursor) -> PageData[Any]:
            options, arguments = args[0], args[1] if len(args) > 1 else ()
            query = {**(kwargs.get("query") or {}), place: cursor}
            return onwards.call(operation, options, arguments, query=query)

        response = self.call(operation, *args, **kwargs)
        if self.settings.plain:
            return response
        return response.parsed_by(lambda answer: Page(operation.decode(answer), fetch))


class SyncStreamedCaller(SyncCaller):
    """Returns answers whose bodies are read as they come."""

    def call(
        self,
        operation: Operation[Any],
        options: RequestOptions,
        arguments: Sequence[object] = (),
        *,
        query: Mapping[str, Any] | None = None,
        body: object = None,
        fields: Mapping[str, Any] | None = None,
    ) -> Any:
        """Prepare an operation; it is carried out when the block of its result begins."""
        settings = self.settings
        options = merged(settings.defaults, options)
        if fields is not None:
            body = merged_body(body, fields, operation.nullable)

        def opened() -> tuple[Response, Driver]:
            request = settings.request(operation, arguments, query, body, options)
            head = operation.with_decode(lambda response: response)
            policy = settings.policy(operation, options)
            driver = Driver(self.exchange)
            with told(settings.telemetry, head, request) as seen:
                flow = call_flow(seen, request, policy, settings.hooks, streamed=True)
                return driver.run(flow), driver

        return StreamedResponse(opened)

    def page(self, operation: Operation[Any], *args: Any, **kwargs: Any) -> Any:
        """Prepare a list operation."""
        kwargs.pop("place", None)
        return self.call(operation, *args, **kwargs)
