"""How an `AsyncClient` calls: the driver that carries out the effects of flows by awaiting."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
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
from strait.client.handles import AsyncRunHandle, new_run_id
from strait.client.operation import (
    Operation,
    RequestOptions,
    StreamOperation,
    StreamOptions,
    Tracked,
)
from strait.client.pages import AsyncPage, AsyncPager, Cursor
from strait.client.plain import plain, plain_stream
from strait.client.responses import APIResponse, ResponseInfo
from strait.client.results import PageData
from strait.client.settings import Settings, merged, merged_stream
from strait.client.sse import MAX_EVENT_CHARS, ServerEvent
from strait.client.streams import follow
from strait.client.strictness import strict
from strait.client.tracing import told
from strait.client.transports.protocol import AsyncBody, AsyncTransport
from strait.client.waiting import send_until, wait
from strait.errors import StraitError

T = TypeVar("T")
logger = logging.getLogger("strait")


class AsyncDriver:
    """Carries out effects; it holds the body that was opened last."""

    __slots__ = ("_exchange", "body")

    def __init__(self, exchange: AsyncTransport) -> None:
        self._exchange = exchange
        self.body: AsyncBody | None = None

    async def run(self, flow: Flow[T]) -> T:
        """Carry out a flow to its end and return its result."""
        try:
            effect = next(flow)
            while True:
                try:
                    answer = await self.carry_out(effect)
                except StraitError as error:
                    effect = flow.throw(error)
                else:
                    effect = flow.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result
        except BaseException:
            await self.close()
            raise

    async def carry_out(self, effect: Effect) -> object:
        """Carry out one effect and return its answer."""
        match effect:
            case Send(request, deadline):
                return await self._exchange.send(request, deadline)
            case Sleep(seconds):
                await pace.sleep_async(seconds)
            case Notify(hook, context):
                await notify(hook, context)
            case Authorize(credential, stale):
                return await credential.token_async(stale)
            case Open(request):
                await self.close()
                response, self.body = await self._exchange.open(request)
                return response
            case Read():
                return await self.body.read() if self.body else b""
            case Close():
                await self.close()
        return None

    async def close(self) -> None:
        """Close the body, if one is open."""
        body, self.body = self.body, None
        if body is not None:
            await body.close()


async def notify(hook: Callable[[Any], object], context: object) -> None:
    """Call a hook, and await it; an exception of its own is logged and goes no further."""
    try:
        answer = hook(context)
        if inspect.isawaitable(answer):
            await answer
    except Exception:
        logger.warning("middleware hook %r failed", hook, exc_info=True)


class AsyncEventStream(Generic[T]):
    """The items of an event stream, as they come; it reconnects by itself.

    Use it in an `async with` block, or close it, when it is left before its end. The block opens
    the stream as it begins, so that nothing that happens inside of it is missed; without one it is
    opened for its first item.

    Attributes:
        last_event: the event that the newest item came in.
    """

    def __init__(self, flow: StreamFlow, exchange: AsyncTransport) -> None:
        self.last_event: ServerEvent | None = None
        self._flow = flow
        self._driver = AsyncDriver(exchange)
        self._over = False

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        """Return the next item.

        Raises:
            StraitError: the stream failed more often in a row than the client retries.
        """
        if self._over:
            raise StopAsyncIteration
        try:
            while isinstance(effect := await self._advance(), Opened):
                pass
        except BaseException:
            await self.close()
            raise
        result: T
        result, self.last_event = effect.item
        return result

    async def _advance(self) -> Opened | Emit:
        try:
            effect = self._flow.send(None)
            while True:
                if isinstance(effect, Opened | Emit):
                    return effect
                try:
                    answer = await self._driver.carry_out(effect)
                except StraitError as error:
                    effect = self._flow.throw(error)
                else:
                    effect = self._flow.send(answer)
        except StopIteration:
            raise StopAsyncIteration from None

    async def close(self) -> None:
        """End the stream and give its connection back."""
        self._over = True
        self._flow.close()
        await self._driver.close()

    async def __aenter__(self) -> Self:
        """Open the stream; one that has nothing to follow is empty.

        Raises:
            StraitError: it cannot be opened.
        """
        try:
            await self._advance()
        except StopAsyncIteration:
            await self.close()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class AsyncStreamedResponse(ResponseInfo):
    """An answer whose body is read as it comes. Use it in a `async with` block.

    It is asked for when the block begins; an answer other than success is raised there.
    """

    __slots__ = ("_driver", "_opened")

    def __init__(self, opened: Callable[[], Awaitable[tuple[Response, AsyncDriver]]]) -> None:
        self._opened = opened
        self._driver: AsyncDriver | None = None

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """Return the body in the pieces that it comes in."""
        body = self._driver.body if self._driver else None
        while body is not None and (chunk := await body.read()):
            yield chunk

    async def read(self) -> bytes:
        """Return all that is left of the body."""
        return b"".join([chunk async for chunk in self.iter_bytes()])

    async def close(self) -> None:
        """Give the connection back."""
        if self._driver is not None:
            await self._driver.close()

    async def __aenter__(self) -> Self:
        response, self._driver = await self._opened()
        super().__init__(response)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


class AsyncCaller:
    """What the services of a `AsyncClient` call: one method for each kind of result."""

    def __init__(self, settings: Settings, exchange: AsyncTransport) -> None:
        self.settings = settings
        self.exchange = exchange

    async def call(
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
            return await AsyncDriver(self.exchange).run(flow)

    def page(
        self,
        operation: Operation[PageData[T]],
        options: RequestOptions,
        arguments: Sequence[object] = (),
        *,
        query: Mapping[str, Any] | None = None,
        place: str = "cursor",
    ) -> AsyncPager[T]:
        """Prepare a list operation; `place` is the parameter that asks for the next page."""

        async def fetch(cursor: Cursor) -> PageData[T]:
            onwards = {**(query or {}), place: cursor}
            return await self.call(operation, options, arguments, query=onwards)

        async def first() -> AsyncPage[T]:
            found: Any = await self.call(operation, options, arguments, query=query)
            # Plain JSON has no way to its next page, and is what was asked for.
            page: AsyncPage[T] = found if self.settings.plain else AsyncPage(found, fetch)
            return page

        return AsyncPager(first, fetch)

    def stream(
        self,
        operation: StreamOperation[T],
        options: StreamOptions,
        arguments: Sequence[object] = (),
        *,
        query: Mapping[str, Any] | None = None,
    ) -> AsyncEventStream[T]:
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
        return AsyncEventStream(flow, self.exchange)

    async def wait(
        self, kind: Tracked[T], run_id: str, options: RequestOptions, seconds: float | None
    ) -> T:
        """Wait until a run has ended, and return it."""
        return await AsyncDriver(self.exchange).run(
            wait(kind, run_id, self.settings, options, seconds)
        )

    def handle(self, kind: Tracked[T], run_id: str) -> AsyncRunHandle[T]:
        """Return the handle of a run."""
        return AsyncRunHandle(self, kind, run_id)

    def started(self, kind: Tracked[T], triggered: object) -> AsyncRunHandle[T]:
        """Return the handle of the run that a trigger has just started."""
        return AsyncRunHandle(self, kind, new_run_id(triggered))

    async def until(
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
            return await AsyncDriver(self.exchange).run(flow)


class AsyncRawCaller(AsyncCaller):
    """Returns whole answers rather than the results that are in them."""

    async def call(self, operation: Operation[Any], *args: Any, **kwargs: Any) -> Any:
        """Carry out an operation and return its answer."""
        parse = plain(operation).decode if self.settings.plain else operation.decode
        caller = AsyncCaller(self.settings.with_models(), self.exchange)
        whole = operation.with_decode(lambda response: APIResponse(response, parse))
        return await caller.call(whole, *args, **kwargs)

    def page(self, operation: Operation[Any], *args: Any, **kwargs: Any) -> Any:
        """Carry out a list operation and return its answer; what is parsed is a page."""
        place = kwargs.pop("place", "cursor")
        onwards = AsyncCaller(self.settings, self.exchange)

        async def fetch(cursor: Cursor) -> PageData[Any]:
            options, arguments = args[0], args[1] if len(args) > 1 else ()
            query = {**(kwargs.get("query") or {}), place: cursor}
            return await onwards.call(operation, options, arguments, query=query)

        async def first() -> Any:
            response = await self.call(operation, *args, **kwargs)
            if self.settings.plain:
                return response
            return response.parsed_by(lambda answer: AsyncPage(operation.decode(answer), fetch))

        return first()


class AsyncStreamedCaller(AsyncCaller):
    """Opens answers whose bodies are read as they come."""

    async def call(
        self,
        operation: Operation[Any],
        options: RequestOptions,
        arguments: Sequence[object] = (),
        *,
        query: Mapping[str, Any] | None = None,
        body: object = None,
        fields: Mapping[str, Any] | None = None,
    ) -> Any:
        """Carry out an operation up to the head of its answer."""
        settings = self.settings
        options = merged(settings.defaults, options)
        if fields is not None:
            body = merged_body(body, fields, operation.nullable)
        request = settings.request(operation, arguments, query, body, options)
        head = operation.with_decode(lambda response: response)
        policy = settings.policy(operation, options)
        driver = AsyncDriver(self.exchange)
        with told(settings.telemetry, head, request) as seen:
            flow = call_flow(seen, request, policy, settings.hooks, streamed=True)
            return await driver.run(flow), driver

    def page(self, operation: Operation[Any], *args: Any, **kwargs: Any) -> Any:
        """Carry out a list operation up to the head of its answer."""
        kwargs.pop("place", None)
        return self.call(operation, *args, **kwargs)


class AsyncStreamedMethods:
    """The methods of a service, each of which returns an answer to be entered, not awaited."""

    def __init__(self, service: object) -> None:
        self._service = service

    def __getattr__(self, name: str) -> Callable[..., AsyncStreamedResponse]:
        method = getattr(self._service, name)
        return lambda *args, **kwargs: AsyncStreamedResponse(lambda: method(*args, **kwargs))
