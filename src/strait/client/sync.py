"""`Client`: services over the driver that blocks."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self, Unpack

from strait.client._generated.attributes import SyncServices
from strait.client.credentials import TokenSource
from strait.client.identity import library_of
from strait.client.layers import layered
from strait.client.middleware import AnyMiddleware
from strait.client.operation import RequestOptions
from strait.client.options import (
    CommonOptions,
    ResponseFormat,
    found_settings,
    gaps,
    one_auth,
    refuse_async_hooks,
    timeout_secs,
)
from strait.client.policy import DEFAULT_RETRY
from strait.client.settings import Settings, unshared
from strait.client.sync_calls import SyncCaller
from strait.client.tracing import Meter, Tracer
from strait.client.transports import AnyTransport, transport_for
from strait.client.transports.wiring import Limits, Wiring
from strait.client.verbs import SyncVerbs
from strait.config import AuthMode, Layer, layers
from strait.retry import RetryOptions

if TYPE_CHECKING:
    import httpx
    import httpx2


class ClientOptions(CommonOptions, total=False):
    """What a `Client` can be given by keyword."""

    http_client: httpx.Client | httpx2.Client | None
    transport: AnyTransport | None


class Client(SyncVerbs, SyncServices):
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
        timeout_ms: milliseconds that an attempt may wait for the connection, and for each piece of
            the answer; 30,000 by default, or what `http_client` has. `deadline` bounds all of it.
        http_client: your own `httpx.Client` or `httpx2.Client`; closing it stays with you.
        transport: what sends requests: `httpx` (the default) or `httpx2`, a `Transport` of your
            own, or a transport of httpx, such as a `MockPlatform`. It is closed with the client.
        middleware: hooks that watch every attempt, and layers around it.
        retry: how often to try, and how long to wait; None is once.
        project_id: the project that authored jobs belong to unless they say so themselves.
        response_format: `dict` gives plain JSON where results would be models and pages.
        strict_responses: whether a field of another type than it should be is a
            `ResponseValidationError`; by default it is kept as it came, with one warning.
        tracer: a tracer of OpenTelemetry, for a span of each call.
        meter: a meter of OpenTelemetry, for how long calls take.
        app_info: name and version of your program, for the `User-Agent`.
        verify: the certificates that are trusted: a context, a file or folder of authorities, or
            False for any at all.
        cert: a certificate that the client shows: a file, or files of certificate and key, and
            the key's password.
        proxy: the address of a proxy; by default what `HTTPS_PROXY` and its siblings say.
        limits: how many connections there may be, an `httpx.Limits`.

    What is not given is taken from `STRAIT_BASE_URL`, `STRAIT_API_KEY` and their siblings. A token
    may be a function that returns it: it is called when a token is needed first, and after a 401.

    Raises:
        ConfigurationError: a setting, or the extra of a transport, is missing or wrong.
        ValidationError: `http_client` or `middleware` belongs to an `AsyncClient`.
    """

    def __init__(
        self,
        *,
        base_url: str = "",
        bearer_token: str | TokenSource | None = None,
        api_key: str | TokenSource | None = None,
        run_token: str | TokenSource | None = None,
        auth: AuthMode | TokenSource | None = None,
        default_headers: Mapping[str, str] | None = None,
        timeout_ms: int | None = None,
        http_client: httpx.Client | httpx2.Client | None = None,
        transport: AnyTransport | None = None,
        middleware: Sequence[AnyMiddleware] | None = None,
        retry: RetryOptions | None = DEFAULT_RETRY,
        project_id: str = "",
        response_format: ResponseFormat = "model",
        strict_responses: bool = False,
        tracer: Tracer | None = None,
        meter: Meter | None = None,
        app_info: tuple[str, str] | None = None,
        verify: ssl.SSLContext | str | bool = True,
        cert: str | tuple[str, str] | tuple[str, str, str] | None = None,
        proxy: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        refuse_async_hooks(middleware)
        found = gaps(base_url, timeout_ms, project_id)
        self._settings = Settings(
            base_url=base_url or found.base_url or "",
            auth=one_auth(auth, bearer_token, api_key, run_token, default_headers, found),
            default_headers=default_headers,
            timeout=timeout_secs(found.timeout_ms, injected=http_client is not None),
            middleware=middleware,
            retry=retry,
            project_id=found.project_id or "",
            response_format=response_format,
            strict_responses=strict_responses,
            tracer=tracer,
            meter=meter,
            app_info=app_info,
            library=library_of(transport, http_client),
        )
        wiring = Wiring(verify=verify, cert=cert, proxy=proxy, limits=limits)
        sender = transport_for(transport, http_client, wiring)
        self._exchange = layered(sender, middleware)
        self._caller = SyncCaller(self._settings, self._exchange)
        self._is_copy = False
        self._over = threading.Event()
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
        *,
        profile: str | None = None,
        **overrides: Unpack[ClientOptions],
    ) -> Self:
        """Return a client with the settings of a `strait.json`.

        The environment wins over the file, and arguments win over both. The token is never read
        from the file; where its profile names a variable (`api_key_env`), it is that one's value.

        Args:
            path: the file itself.
            search_dir: the folder that has a `strait.json`; by default the working directory.
            profile: a section of `environments` in the file; by default `STRAIT_PROFILE`.
            **overrides: further arguments of the client.

        Raises:
            ConfigFileNotFoundError: there is no such file.
            ConfigurationError: something is wrong or missing.
        """
        layer = layers(path, search_dir, profile)
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

    @property
    def is_closed(self) -> bool:
        """Whether the client is closed, or the one that it is a copy of."""
        return self._over.is_set()

    def with_options(self, **options: Unpack[RequestOptions]) -> Self:
        """Return a client with options for all of its calls, which shares the connections.

        A call's own options win; headers are joined. To close the copy does nothing.

        Args:
            **options: see `RequestOptions`.

        Raises:
            ValidationError: an option is unknown or out of range.
        """
        settings = self._settings.with_defaults(options)
        # Not `copy`, which would take the services of this client along.
        other = object.__new__(type(self))
        vars(other).update(
            _settings=settings,
            _exchange=self._exchange,
            _caller=SyncCaller(settings, self._exchange),
            _owned=self._owned,
            _is_copy=True,
            _over=self._over,
        )
        return other

    def close(self) -> None:
        """Give the connections back; calls after this raise `TransportError`."""
        if self._is_copy:
            return
        self._over.set()
        self._exchange.close()
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

    def __copy__(self) -> Self:
        return self.with_options()

    def __getstate__(self) -> NoReturn:
        raise unshared(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r})"
