"""What both clients are made of: checked settings, and requests that are built from them."""

from __future__ import annotations

import inspect
import math
import os
import platform
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypedDict

from strait._version import __version__
from strait.client import headers as header
from strait.client.address import query_string, segment
from strait.client.body import encode
from strait.client.effects import Request
from strait.client.flows import Hooks
from strait.client.middleware import Middleware
from strait.client.operation import Operation, RequestOptions, StreamOperation
from strait.client.policy import NO_RETRY, Policy, with_max_retries
from strait.client.streams import IDLE_SECS
from strait.config import (
    DEFAULT_BASE_URL,
    DEFAULT_TIMEOUT_MS,
    AuthMode,
    AuthType,
    Layer,
    check_base_url,
    check_timeout_ms,
)
from strait.errors import ConfigurationError, UnsupportedByPlatform, ValidationError
from strait.retry import RetryOptions

_READS = frozenset({"GET", "HEAD", "OPTIONS", "PUT"})
_CREDENTIALS = ("authorization", "x-internal-secret")


class CommonOptions(TypedDict, total=False):
    """What a client of either kind can be given by keyword."""

    base_url: str
    bearer_token: str | None
    api_key: str | None
    run_token: str | None
    auth: AuthMode | None
    default_headers: Mapping[str, str] | None
    timeout_ms: int | None
    middleware: Sequence[Middleware] | None
    retry: RetryOptions | None
    project_id: str


class Settings:
    """The settings of a client, checked; immutable and shared by all of its services."""

    __slots__ = ("base_url", "headers", "hooks", "project_id", "retry", "timeout")

    def __init__(
        self,
        *,
        base_url: str,
        auth: AuthMode | None,
        default_headers: Mapping[str, str] | None,
        timeout: float | None,
        middleware: Sequence[Middleware] | None,
        retry: RetryOptions | None,
        project_id: str,
    ) -> None:
        self.base_url = check_base_url(base_url or DEFAULT_BASE_URL, "base_url")
        self.timeout = timeout
        self.retry = retry or NO_RETRY
        self.project_id = project_id
        self.hooks = Hooks(list(middleware or ()))
        self.headers = {"accept": "application/json", **_identity()}
        if auth is not None and auth.token:
            self.headers["authorization"] = f"Bearer {auth.token}"
        self.headers.update(header.checked(default_headers or {}))

    def __repr__(self) -> str:
        return f"Settings(base_url={self.base_url!r})"

    def request(
        self,
        operation: Operation[Any],
        arguments: Sequence[object],
        query: Mapping[str, Any] | None,
        body: object,
        options: RequestOptions,
    ) -> Request:
        """Return the request of a call.

        Raises:
            ValidationError: an argument has no form on the wire.
            UnsupportedByPlatform: no platform has the operation.
        """
        if operation.missing:
            raise UnsupportedByPlatform(operation.id, operation.missing)
        url = self._url(operation.path, operation.arguments, arguments)
        if query and (text := query_string(query, operation.comma)):
            url = f"{url}?{text}"
        headers = self.headers.copy()
        headers["accept"] = operation.accept
        if operation.idempotent:
            body = _lift_key(body, headers)
        content = None
        if body is not None:
            content = encode(body)
            headers["content-type"] = "application/json"
        if options:
            _add_options(headers, options)
        if operation.idempotent and "idempotency-key" not in headers:
            headers["idempotency-key"] = os.urandom(16).hex()
        timeout = options.get("timeout", self.timeout)
        return Request(operation.method, url, headers, content, timeout)

    def stream_request(
        self,
        operation: StreamOperation[Any],
        arguments: Sequence[object],
        query: Mapping[str, Any] | None,
        options: RequestOptions,
    ) -> Request:
        """Return the request that opens a stream."""
        url = self._url(operation.path, operation.arguments, arguments)
        if query and (text := query_string(query)):
            url = f"{url}?{text}"
        headers = {**self.headers, "accept": "text/event-stream", "cache-control": "no-store"}
        _add_options(headers, options)
        return Request(
            "GET", url, headers, timeout=options.get("timeout", self.timeout), idle=IDLE_SECS
        )

    def policy(self, operation: Operation[Any] | None, options: RequestOptions) -> Policy:
        """Return how a call is retried; without an operation, one that only reads."""
        deadline = options.get("deadline")
        if deadline is not None and not (math.isfinite(deadline) and deadline > 0):
            raise ValidationError(f"`deadline` must be seconds above 0, not {deadline!r}")
        return Policy(
            retry=with_max_retries(self.retry, options.get("max_retries")),
            safe=operation is None or operation.repeatable or operation.method in _READS,
            keyed=operation is not None and operation.idempotent,
            clock=time.monotonic,
            deadline=None if deadline is None else time.monotonic() + deadline,
        )

    def _url(self, path: Sequence[str], names: Sequence[str], arguments: Sequence[object]) -> str:
        url = self.base_url + path[0]
        for name, value, rest in zip(names, arguments, path[1:], strict=True):
            url += segment(value, name) + rest
        return url


def _lift_key(body: object, headers: dict[str, str]) -> object:
    """Move an idempotency key from the body, where the platform ignores it, into its header."""
    if not isinstance(body, dict) or "idempotency_key" not in body:
        return body
    rest = dict(body)
    key = rest.pop("idempotency_key")
    if key:
        headers.update(header.checked({"idempotency-key": key}))
    return rest


def _add_options(headers: dict[str, str], options: RequestOptions) -> None:
    if "headers" in options:
        headers.update(header.checked(options["headers"]))
    if key := options.get("idempotency_key"):
        headers.update(header.checked({"idempotency-key": key}))
        if len(key) > 256:
            raise ValidationError("`idempotency_key` must have 256 characters or fewer")
    timeout = options.get("timeout")
    if timeout is not None and not (math.isfinite(timeout) and timeout > 0):
        raise ValidationError(f"`timeout` must be seconds above 0, not {timeout!r}")


@cache
def _identity() -> Mapping[str, str]:
    agent = f"strait-python/{__version__} Python/{platform.python_version()} {platform.system()}"
    return {"user-agent": agent, "x-sdk-version": __version__}


def one_auth(
    auth: AuthMode | None,
    bearer_token: str | None,
    api_key: str | None,
    run_token: str | None,
    default_headers: Mapping[str, str] | None,
) -> AuthMode | None:
    """Return the one credential that was given.

    Raises:
        ConfigurationError: there is none, or more than one.
    """
    given = [
        (name, mode)
        for name, mode in (
            ("auth", auth),
            ("bearer_token", _mode(AuthType.BEARER, bearer_token)),
            ("api_key", _mode(AuthType.API_KEY, api_key)),
            ("run_token", _mode(AuthType.RUN_TOKEN, run_token)),
        )
        if mode is not None
    ]
    if len(given) > 1:
        names = " and ".join(f"`{name}`" for name, _ in given)
        raise ConfigurationError(f"give one credential, not {names}")
    if given:
        return given[0][1]
    if any(name.lower() in _CREDENTIALS for name in default_headers or ()):
        return None
    raise ConfigurationError(
        "no credential: pass `api_key`, or set `STRAIT_API_KEY` and use `from_env()`; "
        "`auth=AuthMode.none()` is for the few operations that need none"
    )


def _mode(kind: AuthType, token: str | None) -> AuthMode | None:
    return None if token is None else AuthMode(kind, token)


def timeout_secs(timeout_ms: int | None, *, injected: bool) -> float | None:
    """Return seconds; an injected HTTP client keeps its own timeout unless one is given."""
    if timeout_ms is None:
        return None if injected else DEFAULT_TIMEOUT_MS / 1000
    check_timeout_ms(timeout_ms, "timeout_ms")
    return timeout_ms / 1000


def refuse_async_hooks(middleware: Sequence[Middleware] | None) -> None:
    """Check that a sync client has no hook that it could not wait for.

    Raises:
        ValidationError: it has one.
    """
    for entry in middleware or ():
        for hook in (entry.on_request, entry.on_response, entry.on_error):
            if inspect.iscoroutinefunction(hook):
                raise ValidationError(
                    f"hook `{hook.__name__}` is a coroutine function: it needs an `AsyncClient`"
                )


def found_settings(
    overrides: CommonOptions, layer: Layer, *, base_url_required: bool
) -> CommonOptions:
    """Return what a file and the environment say, where the caller's own arguments do not.

    Raises:
        ConfigurationError: something required is in neither.
    """
    credentials = ("auth", "api_key", "bearer_token", "run_token")
    own = any(overrides.get(name) is not None for name in credentials) or any(
        name.lower() in _CREDENTIALS for name in overrides.get("default_headers") or ()
    )
    layer.require(base_url=base_url_required and not overrides.get("base_url"), token=not own)
    config = layer.config()
    found: CommonOptions = {
        "base_url": config.base_url,
        "timeout_ms": layer.timeout_ms,
        "project_id": config.project_id,
    }
    if not own:
        found["auth"] = config.auth
    return found
