"""`AsyncClient`: the driver that carries out the effects of a flow by awaiting, and its shell."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack

from strait.client._generated.attributes import AsyncServices
from strait.client.body import merged
from strait.client.effects import Close, Emit, Flow, Notify, Open, Read, Send, Sleep, StreamFlow
from strait.client.flows import call as call_flow
from strait.client.middleware import Middleware
from strait.client.operation import Operation, RequestOptions, StreamOperation
from strait.client.pages import AsyncPage, AsyncPager, Cursor
from strait.client.policy import DEFAULT_RETRY
from strait.client.raw import raw, raw_stream
from strait.client.results import PageData
from strait.client.settings import (
    CommonOptions,
    Settings,
    found_settings,
    one_auth,
    timeout_secs,
)
from strait.client.sse import ServerEvent
from strait.client.streams import follow
from strait.client.transport import AsyncBody, AsyncTransport
from strait.config import AuthMode, Layer
from strait.errors import Json, StraitError
from strait.retry import RetryOptions

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
logger = logging.getLogger("strait")


class AsyncClientOptions(CommonOptions, total=False):
    """What an `AsyncClient` can be given by keyword."""

    http_client: httpx.AsyncClient | None


async def drive(flow: Flow[T], transport: AsyncTransport) -> T:
    """Carry out a flow to its end and return its result."""
    try:
        effect = next(flow)
        while True:
            answer: object = None
            try:
                match effect:
                    case Send(request, deadline):
                        answer = await transport.send(request, deadline)
                    case Sleep(seconds):
                        await asyncio.sleep(seconds)
                    case Notify(hook, context):
                        await notify(hook, context)
            except StraitError as error:
                effect = flow.throw(error)
            else:
                effect = flow.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result


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

    Use it in an `async with` block, or close it, when it is left before its end.

    Attributes:
        last_event: the event that the newest item came in.
    """

    def __init__(self, flow: StreamFlow, transport: AsyncTransport) -> None:
        self.last_event: ServerEvent | None = None
        self._flow = flow
        self._transport = transport
        self._body: AsyncBody | None = None
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
            return await self._next()
        except BaseException:
            await self.close()
            raise

    async def _next(self) -> T:
        try:
            effect = self._flow.send(None)
            while True:
                answer: object = None
                try:
                    match effect:
                        case Emit((item, event)):
                            self.last_event = event
                            result: T = item
                            return result
                        case Open(request):
                            answer, self._body = await self._transport.open(request)
                        case Read():
                            answer = await self._body.read() if self._body else b""
                        case Close():
                            await self._close_body()
                        case Sleep(seconds):
                            await asyncio.sleep(seconds)
                        case Notify(hook, context):
                            await notify(hook, context)
                except StraitError as error:
                    effect = self._flow.throw(error)
                else:
                    effect = self._flow.send(answer)
        except StopIteration:
            raise StopAsyncIteration from None

    async def _close_body(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            await body.close()

    async def close(self) -> None:
        """End the stream and give its connection back."""
        self._over = True
        self._flow.close()
        await self._close_body()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class AsyncCaller:
    """What the services of a `AsyncClient` call: one method for each kind of result."""

    def __init__(self, settings: Settings, transport: AsyncTransport) -> None:
        self.settings = settings
        self.transport = transport

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
        if fields is not None:
            body = merged(body, fields, operation.nullable)
        settings = self.settings
        request = settings.request(operation, arguments, query, body, options)
        flow = call_flow(operation, request, settings.policy(operation, options), settings.hooks)
        return await drive(flow, self.transport)

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
            return AsyncPage(await self.call(operation, options, arguments, query=query), fetch)

        return AsyncPager(first)

    def stream(
        self,
        operation: StreamOperation[T],
        options: RequestOptions,
        arguments: Sequence[object] = (),
        *,
        query: Mapping[str, Any] | None = None,
    ) -> AsyncEventStream[T]:
        """Return the stream of an operation; it is opened when its first item is asked for."""
        settings = self.settings
        request = settings.stream_request(operation, arguments, query, options)
        flow = follow(operation, request, settings.policy(None, options), settings.hooks)
        return AsyncEventStream(flow, self.transport)


class AsyncClient(AsyncServices):
    """A client of a Strait platform for `asyncio`.

    Every service is an attribute: `client.jobs`, `client.runs`, and so on. Close it, or use it in
    an `async with` block, to give its connections back.

    Args:
        base_url: the address of the platform; by default the hosted one.
        bearer_token: an OIDC token.
        api_key: an API key (`strait_…`).
        run_token: the token of a run, for `client.sdk_runs`.
        auth: the credential in another form; give one of the four.
        default_headers: headers of every request.
        timeout_ms: milliseconds that one attempt may take; 30,000 by default, or what
            `http_client` has.
        http_client: your own `httpx.AsyncClient`; closing it stays with you.
        middleware: hooks that watch every attempt.
        retry: how often to try, and how long to wait; None is once.
        project_id: the project that authored jobs belong to unless they say so themselves.

    Raises:
        ConfigurationError: a setting is missing or wrong.
        ValidationError: `http_client` is not for an `AsyncClient`.
    """

    def __init__(
        self,
        *,
        base_url: str = "",
        bearer_token: str | None = None,
        api_key: str | None = None,
        run_token: str | None = None,
        auth: AuthMode | None = None,
        default_headers: Mapping[str, str] | None = None,
        timeout_ms: int | None = None,
        http_client: httpx.AsyncClient | None = None,
        middleware: Sequence[Middleware] | None = None,
        retry: RetryOptions | None = DEFAULT_RETRY,
        project_id: str = "",
    ) -> None:
        self._settings = Settings(
            base_url=base_url,
            auth=one_auth(auth, bearer_token, api_key, run_token, default_headers),
            default_headers=default_headers,
            timeout=timeout_secs(timeout_ms, injected=http_client is not None),
            middleware=middleware,
            retry=retry,
            project_id=project_id,
        )
        self._transport = AsyncTransport(http_client)
        self._caller = AsyncCaller(self._settings, self._transport)
        self._owned = AsyncExitStack()

    @classmethod
    def from_env(cls, **overrides: Unpack[AsyncClientOptions]) -> Self:
        """Return a client with the settings of the environment; arguments win over them.

        Raises:
            ConfigurationError: something required is in neither.
        """
        found = found_settings(overrides, Layer.of_environment(), base_url_required=True)
        options: AsyncClientOptions = {**found, **overrides}
        return cls(**options)

    @classmethod
    def from_file(
        cls,
        path: str | None = None,
        search_dir: str | None = None,
        **overrides: Unpack[AsyncClientOptions],
    ) -> Self:
        """Return a client with the settings of a `strait.json`.

        The environment wins over the file, and arguments win over both. The token is never read
        from the file.

        Raises:
            ConfigFileNotFoundError: there is no such file.
            ConfigurationError: something is wrong or missing.
        """
        layer = Layer.of_file(path, search_dir).under(Layer.of_environment())
        found = found_settings(overrides, layer, base_url_required=False)
        options: AsyncClientOptions = {**found, **overrides}
        return cls(**options)

    @classmethod
    def local(cls, db: str | None = None, **overrides: Unpack[AsyncClientOptions]) -> Self:
        """Return a client of an embedded platform that lives inside this process.

        Args:
            db: the file that it keeps its state in, and that it then owns; by default it keeps
                everything in a temporary directory, which goes when the client is closed.
            **overrides: further arguments of the client.

        Raises:
            StraitError: the platform cannot be started, such as when the extra is not installed.
        """
        # By name, because the embedded platform stands above the client.
        platform = import_module("strait.local").start(db)
        try:
            found: AsyncClientOptions = {
                "base_url": platform.base_url,
                "api_key": platform.api_key,
                "project_id": platform.project_id,
                **overrides,
            }
            client = cls(**found)
        except BaseException:
            platform.stop()
            raise
        client._owned.push_async_callback(asyncio.to_thread, platform.stop)
        return client

    @property
    def base_url(self) -> str:
        """The address of the platform."""
        return self._settings.base_url

    @property
    def project_id(self) -> str:
        """The project that the client was given, or an empty text."""
        return self._settings.project_id

    async def do_request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Json = None,
        **options: Unpack[RequestOptions],
    ) -> Json:
        """Send any request and return the JSON of its answer; an empty answer is `{}`.

        Args:
            method: the HTTP method.
            path: the path below `base_url`, escaped already.
            query: parameters; None values are left out.
            body: anything that JSON has, or a model.
            **options: see `RequestOptions`.
        """
        return await self._caller.call(raw(method, path), options, query=query, body=body)

    def do_stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        **options: Unpack[RequestOptions],
    ) -> AsyncEventStream[Json]:
        """Follow any event stream; its items are the JSON of the events.

        Args:
            method: `GET`; event streams have no other.
            path: the path below `base_url`, escaped already.
            query: parameters; None values are left out.
            **options: see `RequestOptions`.
        """
        return self._caller.stream(raw_stream(method, path), options, query=query)

    async def close(self) -> None:
        """Give the connections back; calls after this raise `TransportError`."""
        await self._transport.close()
        await self._owned.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r})"
