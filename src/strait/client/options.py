"""What clients are given: the arguments that both kinds have, checked, and what fills gaps."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict

from strait.client.credentials import Credential, TokenSource
from strait.client.middleware import AnyMiddleware, Middleware
from strait.config import DEFAULT_TIMEOUT_MS, AuthMode, AuthType, Layer, check_timeout_ms
from strait.errors import ConfigurationError, ValidationError
from strait.retry import RetryOptions

if TYPE_CHECKING:
    import ssl

    from strait.client.tracing import Meter, Tracer
    from strait.client.transports.wiring import Limits

_CREDENTIALS = ("authorization", "x-internal-secret")
ResponseFormat: TypeAlias = Literal["model", "dict"]


class CommonOptions(TypedDict, total=False):
    """What a client of either kind can be given by keyword."""

    base_url: str
    bearer_token: str | TokenSource | None
    api_key: str | TokenSource | None
    run_token: str | TokenSource | None
    auth: AuthMode | TokenSource | None
    default_headers: Mapping[str, str] | None
    timeout_ms: int | None
    middleware: Sequence[AnyMiddleware] | None
    retry: RetryOptions | None
    project_id: str
    response_format: ResponseFormat
    strict_responses: bool
    tracer: Tracer | None
    meter: Meter | None
    app_info: tuple[str, str] | None
    verify: ssl.SSLContext | str | bool
    cert: str | tuple[str, str] | tuple[str, str, str] | None
    proxy: str | None
    limits: Limits | None


def one_auth(
    auth: AuthMode | TokenSource | None,
    bearer_token: str | TokenSource | None,
    api_key: str | TokenSource | None,
    run_token: str | TokenSource | None,
    default_headers: Mapping[str, str] | None,
    found: Layer | None = None,
) -> AuthMode | Credential | None:
    """Return the one credential that was given, or else the one that was found.

    Raises:
        ConfigurationError: there is none, or more than one.
    """
    given = [
        (name, mode)
        for name, mode in (
            ("auth", _mode(AuthType.BEARER, auth)),
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
    if found is not None and found.token is not None:
        return found.config().auth
    raise ConfigurationError(
        "no credential: pass `api_key`, or set `STRAIT_API_KEY`; "
        "`auth=AuthMode.none()` is for the few operations that need none"
    )


def gaps(base_url: str, timeout_ms: int | None, project_id: str) -> Layer:
    """Return what the environment says, where the caller's own arguments leave a gap.

    Raises:
        ConfigurationError: a variable that is to be used is wrong.
    """
    given = {"STRAIT_BASE_URL": base_url or None, "STRAIT_TIMEOUT_MS": timeout_ms}
    found = Layer.of_environment(without=[k for k, value in given.items() if value is not None])
    return replace(
        found,
        timeout_ms=found.timeout_ms if timeout_ms is None else timeout_ms,
        project_id=project_id or found.project_id,
    )


def _mode(
    kind: AuthType, token: AuthMode | str | TokenSource | None
) -> AuthMode | Credential | None:
    if token is None or isinstance(token, AuthMode):
        return token
    return Credential(kind, token) if callable(token) else AuthMode(kind, token)


def timeout_secs(timeout_ms: int | None, *, injected: bool) -> float | None:
    """Return seconds; an injected HTTP client keeps its own timeout unless one is given."""
    if timeout_ms is None:
        return None if injected else DEFAULT_TIMEOUT_MS / 1000
    check_timeout_ms(timeout_ms, "timeout_ms")
    return timeout_ms / 1000


def check_middleware(middleware: Sequence[AnyMiddleware] | None) -> None:
    """Check that all middleware can be called.

    Raises:
        ValidationError: it is no list, or an entry is neither `Middleware` nor a layer.
    """
    entries: object = middleware
    if entries is not None and not isinstance(entries, Sequence):
        kind = type(entries).__name__
        raise ValidationError(
            f"`middleware` must be a list, such as `[Middleware(…)]`, not `{kind}`"
        )
    for entry in middleware or ():
        if not isinstance(entry, Middleware) and not callable(entry):
            raise ValidationError(
                "an entry of `middleware` must be `Middleware` or a function "
                f"`layer(request, call_next)`, not {entry!r}"
            )


def refuse_async_hooks(middleware: Sequence[AnyMiddleware] | None) -> None:
    """Check that a sync client has no middleware that it could not wait for.

    Raises:
        ValidationError: it has one, or what is no middleware.
    """
    check_middleware(middleware)
    for entry in middleware or ():
        parts: tuple[object, ...] = (entry,)
        if isinstance(entry, Middleware):
            parts = (entry.on_request, entry.on_response, entry.on_error)
        for part in parts:
            if inspect.iscoroutinefunction(part) or inspect.iscoroutinefunction(
                getattr(part, "__call__", None)  # noqa: B004 - an object whose call is a coroutine
            ):
                name = getattr(part, "__name__", type(part).__name__)
                raise ValidationError(
                    f"middleware `{name}` is a coroutine function: it needs an `AsyncClient`"
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
    config = (replace(layer, token=None) if own else layer).config()
    found: CommonOptions = {
        "base_url": config.base_url,
        "timeout_ms": layer.timeout_ms,
        "project_id": config.project_id,
    }
    if not own:
        found["auth"] = config.auth
    return found
