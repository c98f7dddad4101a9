"""What both clients are made of: checked settings, and requests that are built from them."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

from strait.client import headers as header
from strait.client import identity, logs
from strait.client.address import query_string, segment
from strait.client.body import check_mapping, encode
from strait.client.body import merged as merged_body
from strait.client.credentials import Credential
from strait.client.effects import Request
from strait.client.flows import Hooks
from strait.client.middleware import AnyMiddleware, Middleware
from strait.client.operation import (
    Operation,
    RequestOptions,
    StreamOperation,
    StreamOptions,
)
from strait.client.options import CommonOptions as CommonOptions  # noqa: PLC0414 - also known here
from strait.client.options import ResponseFormat, check_middleware
from strait.client.policy import NO_RETRY, Policy, with_max_retries
from strait.client.streams import IDLE_SECS
from strait.client.tracing import Meter, Telemetry, Tracer
from strait.config import DEFAULT_BASE_URL, AuthMode, check_base_url
from strait.errors import ConfigurationError, UnsupportedByPlatform, ValidationError
from strait.retry import RetryOptions, is_count, retry_scope

_READS = frozenset({"GET", "HEAD", "OPTIONS", "PUT"})
_MAX_KEY_CHARS = 256
_FORMATS = ("model", "dict")


class Settings:
    """The settings of a client, checked; immutable and shared by all of its services.

    Attributes:
        base_url: the address of the platform.
        credential: where tokens come from, if they change.
        defaults: options of every call that does not say otherwise itself.
        headers: headers of every request.
        hooks: the hooks that watch every attempt.
        plain: whether results are plain JSON rather than models.
        project_id: the project that authored jobs belong to.
        retry: how often to try, and how long to wait.
        strict: whether a field of another type than it should be is an error.
        timeout: seconds that one attempt may take; None leaves it to the HTTP client.
        telemetry: what tells OpenTelemetry of calls; None for nothing.
    """

    __slots__ = (
        "base_url",
        "credential",
        "defaults",
        "headers",
        "hooks",
        "plain",
        "project_id",
        "retry",
        "strict",
        "telemetry",
        "timeout",
    )

    def __init__(
        self,
        *,
        base_url: str,
        auth: AuthMode | Credential | None,
        default_headers: Mapping[str, str] | None,
        timeout: float | None,
        middleware: Sequence[AnyMiddleware] | None,
        retry: RetryOptions | None,
        project_id: str,
        response_format: ResponseFormat = "model",
        tracer: Tracer | None = None,
        meter: Meter | None = None,
        app_info: tuple[str, str] | None = None,
        library: str = "httpx",
        strict_responses: bool = False,
    ) -> None:
        logs.set_up()
        if response_format not in _FORMATS:
            raise ValidationError(
                f"`response_format` must be `model` or `dict`, not {response_format!r}"
            )
        check_middleware(middleware)
        check_retry(retry)
        self.base_url = check_base_url(base_url or DEFAULT_BASE_URL, "base_url")
        self.timeout = timeout
        self.retry = retry or NO_RETRY
        self.project_id = _project(project_id)
        self.hooks = Hooks([entry for entry in middleware or () if isinstance(entry, Middleware)])
        self.plain = response_format == "dict"
        self.strict = strict_responses
        self.telemetry = Telemetry.of(tracer, meter)
        self.defaults: RequestOptions = {}
        self.headers = {"accept": "application/json", **identity.headers(library, app_info)}
        self.credential: Credential | None = None
        if isinstance(auth, Credential):
            self.credential = auth
        elif auth is not None and auth.token:
            self.headers["authorization"] = f"Bearer {auth.token}"
        self.headers.update(header.checked(default_headers or {}))
        if "authorization" in self.headers:
            self.credential = None

    def with_defaults(self, options: RequestOptions) -> Settings:
        """Return settings in which every call has these options, unless it has its own.

        Raises:
            ValidationError: an option is out of range.
        """
        check_options(options)
        other = copy(self)
        other.defaults = merged(self.defaults, options)
        return other

    def with_models(self) -> Settings:
        """Return settings in which results have the form that their operation says."""
        other = copy(self)
        other.plain = False
        return other

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
        if extra := options.get("extra_query"):
            query = {**(query or {}), **extra}
        if more := options.get("extra_body"):
            body = merged_body(body, more, frozenset(more))
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
            scope = retry_scope.get()
            headers["idempotency-key"] = (
                scope.key(operation.method, url, content) if scope else os.urandom(16).hex()
            )
        timeout = options.get("timeout", self.timeout)
        return Request(operation.method, url, headers, content, timeout, operation=operation.name)

    def stream_request(
        self,
        operation: StreamOperation[Any],
        arguments: Sequence[object],
        query: Mapping[str, Any] | None,
        options: StreamOptions,
    ) -> Request:
        """Return the request that opens a stream."""
        url = self._url(operation.path, operation.arguments, arguments)
        if extra := options.get("extra_query"):
            query = {**(query or {}), **extra}
        if query and (text := query_string(query)):
            url = f"{url}?{text}"
        headers = {**self.headers, "accept": "text/event-stream", "cache-control": "no-store"}
        check_stream_options(options)
        _add_headers(headers, options)
        idle = options.get("idle_timeout", IDLE_SECS)
        timeout = options.get("timeout", self.timeout)
        return Request("GET", url, headers, None, timeout, idle, operation.name)

    def policy(self, operation: Operation[Any] | None, options: RequestOptions) -> Policy:
        """Return how a call is retried; without an operation, one that only reads."""
        deadline = options.get("deadline")
        credential = self.credential
        if credential is not None and _has_authorization(options):
            credential = None
        # Inside of `with_retry` that is what tries again; a stream outlives it.
        outer = operation is not None and retry_scope.get() is not None
        retry = options.get("retry", self.retry)
        is_told = "retry" in options or not outer
        max_retries = options.get("max_retries", None if is_told else 0)
        return Policy(
            retry=with_max_retries(retry, max_retries),
            safe=operation is None or operation.repeatable or operation.method in _READS,
            keyed=operation is not None and operation.idempotent,
            clock=time.monotonic,
            deadline=None if deadline is None else time.monotonic() + deadline,
            credential=credential,
        )

    def stream_policy(self, options: StreamOptions) -> Policy:
        """Return how a stream is opened again."""
        found = self.policy(None, options)
        if "max_reconnects" not in options:
            return found
        return replace(found, retry=with_max_retries(found.retry, options["max_reconnects"]))

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
    check_options(options)
    _add_headers(headers, options)


def _add_headers(headers: dict[str, str], options: RequestOptions) -> None:
    if "headers" in options:
        headers.update(header.checked(options["headers"]))
    if key := options.get("idempotency_key"):
        headers.update(header.checked({"idempotency-key": key}))


def check_options(options: RequestOptions) -> None:
    """Check the options of a call.

    Raises:
        ValidationError: one is unknown or out of range.
    """
    _check_names(options, RequestOptions)
    _check_values(options)
    for name, given in (
        ("extra_query", options.get("extra_query")),
        ("extra_body", options.get("extra_body")),
    ):
        check_mapping(given, name)


def _check_values(options: RequestOptions) -> None:
    for name, secs in (("timeout", options.get("timeout")), ("deadline", options.get("deadline"))):
        if secs is not None and not _is_time(secs):
            raise ValidationError(f"`{name}` must be seconds above 0, not {secs!r}")
    check_retry(options.get("retry", NO_RETRY))
    retries = options.get("max_retries")
    if retries is not None and not is_count(retries):
        raise ValidationError(f"`max_retries` must be a whole number, 0 or more, not {retries!r}")
    key: object = options.get("idempotency_key") or ""
    if not isinstance(key, str):
        raise ValidationError(f"`idempotency_key` must be a text, not {key!r}")
    if len(key) > _MAX_KEY_CHARS:
        raise ValidationError(f"`idempotency_key` must have {_MAX_KEY_CHARS} characters or fewer")


def check_retry(retry: RetryOptions | None) -> None:
    """Check that a policy is one; a number is easily taken for the count of retries.

    Raises:
        ValidationError: it is something else.
    """
    if retry is not None and not isinstance(retry, RetryOptions):
        raise ValidationError(
            f"`retry` must be `RetryOptions`, such as `RetryOptions(attempts=5)`, not {retry!r}"
        )


def _is_time(secs: object) -> bool:
    return isinstance(secs, int | float) and math.isfinite(secs) and secs > 0


def check_stream_options(options: StreamOptions) -> None:
    """Check the options of a stream.

    Raises:
        ValidationError: one is unknown or out of range.
    """
    _check_names(options, StreamOptions)
    _check_values(options)
    idle = options.get("idle_timeout", IDLE_SECS)
    if not _is_time(idle):
        raise ValidationError(f"`idle_timeout` must be seconds above 0, not {idle!r}")
    size = options.get("max_event_size", 1)
    if not is_count(size) or size < 1:
        raise ValidationError("`max_event_size` must be a number of characters above 0")
    if not is_count(options.get("max_reconnects", 0)):
        raise ValidationError("`max_reconnects` must be a whole number, and not negative")


def _check_names(options: Mapping[str, object], kind: type[RequestOptions]) -> None:
    unknown = options.keys() - kind.__annotations__.keys()
    if unknown:
        names = ", ".join(f"`{name}`" for name in sorted(unknown))
        known = ", ".join(f"`{name}`" for name in kind.__annotations__)
        raise ValidationError(f"{names} is no argument and no option; options are {known}")


def merged(defaults: RequestOptions, options: RequestOptions) -> RequestOptions:
    """Return both, where `options` wins; headers are joined."""
    if not defaults:
        return options.copy()
    both: RequestOptions = {**defaults, **options}
    if "headers" in defaults and "headers" in options:
        both["headers"] = {
            **header.checked(defaults["headers"]),
            **header.checked(options["headers"]),
        }
    return both


def merged_stream(defaults: RequestOptions, options: StreamOptions) -> StreamOptions:
    """Return the options of a stream over those of every call; headers are joined."""
    both: StreamOptions = {**defaults, **options}
    if "headers" in both:
        both["headers"] = {
            **header.checked(defaults.get("headers", {})),
            **header.checked(options.get("headers", {})),
        }
    return both


def _project(project_id: object) -> str:
    """Return the id of a project, or an empty text.

    Raises:
        ConfigurationError: it is no text.
    """
    if not isinstance(project_id, str):
        raise ConfigurationError(f"`project_id` must be a text, not {project_id!r}")
    return project_id


def _has_authorization(options: RequestOptions) -> bool:
    return any(name.lower() == "authorization" for name in options.get("headers", ()))


def unshared(client: object) -> TypeError:
    """Return the error for a client that is to be pickled, or copied with all that it holds."""
    kind = type(client).__name__
    return TypeError(
        f"`{kind}` cannot be pickled or deep-copied: it holds connections and a credential; make "
        f"one in each process, with `{kind}.from_env()` for example"
    )
