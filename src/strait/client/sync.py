"""`Client`: the driver that carries out the effects of a flow by blocking, and its shell."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack

from strait.client._generated.attributes import SyncServices
from strait.client.body import merged
from strait.client.effects import Close, Emit, Flow, Notify, Open, Read, Send, Sleep, StreamFlow
from strait.client.flows import call as call_flow
from strait.client.middleware import Middleware
from strait.client.operation import Operation, RequestOptions, StreamOperation
from strait.client.pages import Cursor, Page
from strait.client.policy import DEFAULT_RETRY
from strait.client.raw import raw, raw_stream
from strait.client.results import PageData
from strait.client.settings import (
    CommonOptions,
    Settings,
    found_settings,
    one_auth,
    refuse_async_hooks,
    timeout_secs,
)
from strait.client.sse import ServerEvent
from strait.client.streams import follow
from strait.client.transport import SyncBody, SyncTransport
from strait.config import AuthMode, Layer
from strait.errors import Json, StraitError
from strait.retry import RetryOptions

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
logger = logging.getLogger("strait")


class ClientOptions(CommonOptions, total=False):
    """What a `Client` can be given by keyword."""

    http_client: httpx.Client | None


def drive(flow: Flow[T], transport: SyncTransport) -> T:
    """Carry out a flow to its end and return its result."""
    try:
        effect = next(flow)
        while True:
            answer: object = None
            try:
                match effect:
                    case Send(request, deadline):
                        answer = transport.send(request, deadline)
                    case Sleep(seconds):
                        time.sleep(seconds)
                    case Notify(hook, context):
                        notify(hook, context)
            except StraitError as error:
                effect = flow.throw(error)
            else:
                effect = flow.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result


def notify(hook: Callable[[Any], object], context: object) -> None:
    """Call a hook; an exception of its own is logged and goes no further."""
    try:
        hook(context)
    except Exception:
        logger.warning("middleware hook %r failed", hook, exc_info=True)


class EventStream(Generic[T]):
    """The items of an event stream, as they come; it reconnects by itself.

    Use it in a `with` block, or close it, when it is left before its end.

    Attributes:
        last_event: the event that the newest item came in.
    """

    def __init__(self, flow: StreamFlow, transport: SyncTransport) -> None:
        self.last_event: ServerEvent | None = None
        self._flow = flow
        self._transport = transport
        self._body: SyncBody | None = None
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
            return self._next()
        except BaseException:
            self.close()
            raise

    def _next(self) -> T:
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
                        answer, self._body = self._transport.open(request)
                    case Read():
                        answer = self._body.read() if self._body else b""
                    case Close():
                        self._close_body()
                    case Sleep(seconds):
                        time.sleep(seconds)
                    case Notify(hook, context):
                        notify(hook, context)
            except StraitError as error:
                effect = self._flow.throw(error)
            else:
                effect = self._flow.send(answer)

    def _close_body(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()

    def close(self) -> None:
        """End the stream and give its connection back."""
        self._over = True
        self._flow.close()
        self._close_body()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SyncCaller:
    """What the services of a `Client` call: one method for each kind of result."""

    def __init__(self, settings: Settings, transport: SyncTransport) -> None:
        self.settings = settings
        self.transport = transport

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
        if fields is not None:
            body = merged(body, fields, operation.nullable)
        settings = self.settings
        request = settings.request(operation, arguments, query, body, options)
        flow = call_flow(operation, request, settings.policy(operation, options), settings.hooks)
        return drive(flow, self.transport)

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

        return Page(self.call(operation, options, arguments, query=query), fetch)

    def stream(
        self,
        operation: StreamOperation[T],
        options: RequestOptions,
        arguments: Sequence[object] = (),
        *,
        query: Mapping[str, Any] | None = None,
    ) -> EventStream[T]:
        """Return the stream of an operation; it is opened when its first item is asked for."""
        settings = self.settings
        request = settings.stream_request(operation, arguments, query, options)
        flow = follow(operation, request, settings.policy(None, options), settings.hooks)
        return EventStream(flow, self.transport)


class Client(SyncServices):
    """A client of a Strait platform.

    Every service is an attribute: `client.jobs`, `client.runs`, and so on. A client may be used by
    many threads at once. Close it, or use it in a `with` block, to give its connections back.

    Args:
        base_url: the address of the platform; by default the hosted one.
        bearer_token: an OIDC token.
        api_key: an API key (`strait_…`).
        run_token: the token of a run, for `client.sdk_runs`.
        auth: the credential in another form; give one of the four.
        default_headers: headers of every request.
        timeout_ms: milliseconds that one attempt may take; 30,000 by default, or what
            `http_client` has.
        http_client: your own `httpx.Client`; closing it stays with you.
        middleware: hooks that watch every attempt.
        retry: how often to try, and how long to wait; None is once.
        project_id: the project that authored jobs belong to unless they say so themselves.

    Raises:
        ConfigurationError: a setting is missing or wrong.
        ValidationError: `http_client` or `middleware` belongs to an `AsyncClient`.
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
        http_client: httpx.Client | None = None,
        middleware: Sequence[Middleware] | None = None,
        retry: RetryOptions | None = DEFAULT_RETRY,
        project_id: str = "",
    ) -> None:
        refuse_async_hooks(middleware)
        self._settings = Settings(
            base_url=base_url,
            auth=one_auth(auth, bearer_token, api_key, run_token, default_headers),
            default_headers=default_headers,
            timeout=timeout_secs(timeout_ms, injected=http_client is not None),
            middleware=middleware,
            retry=retry,
            project_id=project_id,
        )
        self._transport = SyncTransport(http_client)
        self._caller = SyncCaller(self._settings, self._transport)
        self._owned = contextlib.ExitStack()

    @classmethod
    def from_env(cls, **overrides: Unpack[ClientOptions]) -> Self:
        """Return a client with the settings of the environment; arguments win over them.

        Raises:
            ConfigurationError: something required is in neither.
        """
        found = found_settings(overrides, Layer.of_environment(), base_url_required=True)
        options: ClientOptions = {**found, **overrides}
        return cls(**options)

    @classmethod
    def from_file(
        cls,
        path: str | None = None,
        search_dir: str | None = None,
        **overrides: Unpack[ClientOptions],
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
        options: ClientOptions = {**found, **overrides}
        return cls(**options)

    @classmethod
    def local(cls, db: str | None = None, **overrides: Unpack[ClientOptions]) -> Self:
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
            found: ClientOptions = {
                "base_url": platform.base_url,
                "api_key": platform.api_key,
                "project_id": platform.project_id,
                **overrides,
            }
            client = cls(**found)
        except BaseException:
            platform.stop()
            raise
        client._owned.callback(platform.stop)
        return client

    @property
    def base_url(self) -> str:
        """The address of the platform."""
        return self._settings.base_url

    @property
    def project_id(self) -> str:
        """The project that the client was given, or an empty text."""
        return self._settings.project_id

    def do_request(
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
        return self._caller.call(raw(method, path), options, query=query, body=body)

    def do_stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        **options: Unpack[RequestOptions],
    ) -> EventStream[Json]:
        """Follow any event stream; its items are the JSON of the events.

        Args:
            method: `GET`; event streams have no other.
            path: the path below `base_url`, escaped already.
            query: parameters; None values are left out.
            **options: see `RequestOptions`.
        """
        return self._caller.stream(raw_stream(method, path), options, query=query)

    def close(self) -> None:
        """Give the connections back; calls after this raise `TransportError`."""
        self._transport.close()
        self._owned.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r})"
