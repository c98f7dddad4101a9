"""What to do about each error of a platform, a client or a database; see `strait.cli.failures`."""

from __future__ import annotations

import sys

from strait.cli.failures import ExitCode
from strait.cli.output import short
from strait.errors import (
    ConfigurationError,
    ConflictError,
    DecodeError,
    HttpError,
    NotFoundError,
    RateLimitedError,
    RunFailedError,
    StraitError,
    StraitTimeoutError,
    TransportError,
    UnauthorizedError,
    UnsupportedByPlatform,
    ValidationError,
)

_SERVER_FAILED = 500
# One that a client follows is none of them: a page of a login, or of a proxy.
_REDIRECTS = range(300, 400)
_NOT_SERVED = 501


def line_of(error: BaseException) -> tuple[str, ExitCode] | None:
    """Return the line of an error and its exit code; None if it is none of these."""
    if not isinstance(error, StraitError):
        return _of_store(error)
    what, advice, code = _where(error) + str(error), *_advice(error)
    return (f"{what} — {advice}" if advice else what), code


def _where(error: StraitError) -> str:
    """Return the line of the user's code that cannot be imported, as the beginning of a line."""
    # Whoever raised one has imported it.
    discovery = sys.modules.get("strait.serve.discovery")
    if discovery is None or not isinstance(error, discovery.DiscoveryError) or not error.place:
        return ""
    return f"{short(error.place.path)}:{error.place.line}: "


def _advice(error: StraitError) -> tuple[str, ExitCode]:
    match error:
        case HttpError():
            return _of_answer(error)
        case TransportError():
            return (
                "is the platform running? `strait dev` starts one here, `strait doctor` looks",
                ExitCode.UNREACHABLE,
            )
        case DecodeError():
            return "is STRAIT_BASE_URL the address of a platform?", ExitCode.UNREACHABLE
        case ConfigurationError():
            return "`strait config` shows what is set, and where", ExitCode.USAGE
        case ValidationError():
            return "", ExitCode.USAGE
        case StraitTimeoutError():
            return "it goes on; `strait runs watch` follows it", ExitCode.TIMEOUT
        case RunFailedError() | UnsupportedByPlatform():
            return "", ExitCode.NO
        case _:
            return "", ExitCode.NO


def _of_answer(error: HttpError) -> tuple[str, ExitCode]:
    match error:
        case UnauthorizedError(status=401):
            return (
                "set STRAIT_API_KEY to a key of this platform; `strait doctor` looks",
                ExitCode.DENIED,
            )
        case UnauthorizedError():
            return "use a key that has the scope, or ask who may give one", ExitCode.DENIED
        case NotFoundError():
            return "`strait config` shows which platform and project was asked", ExitCode.NOT_FOUND
        case ConflictError():
            return "look at how it stands, and try again", ExitCode.CONFLICT
        case RateLimitedError():
            secs = error.retry_after
            when = f"in {secs:g} s" if secs is not None else "later"
            return f"try again {when}", ExitCode.CONFLICT
    if error.status in _REDIRECTS:
        return "is STRAIT_BASE_URL the address of a platform?", ExitCode.UNREACHABLE
    if error.status == _NOT_SERVED:
        return "`docs/compatibility.md` says what can be used instead", ExitCode.NO
    if error.status >= _SERVER_FAILED:
        request = f"; tell its operator of request {error.request_id}" if error.request_id else ""
        return f"try again{request}", ExitCode.UNREACHABLE
    return "", ExitCode.NO


def _of_store(error: BaseException) -> tuple[str, ExitCode] | None:
    # Whoever raised one has imported it; a command that did not does without sqlite.
    connection, owner = (
        sys.modules.get(f"strait.store.{name}") for name in ("connection", "owner")
    )
    if owner is not None and isinstance(error, owner.OwnedError):
        return str(error), ExitCode.CONFLICT
    if connection is not None and isinstance(error, connection.StoreError):
        return str(error), ExitCode.NO
    return None
