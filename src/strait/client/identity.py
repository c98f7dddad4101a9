"""Who the client says it is: `User-Agent` and `X-SDK-Version`."""

from __future__ import annotations

import platform
import re
from functools import cache
from importlib import import_module

from strait._version import __version__
from strait.errors import ConfigurationError

_LIBRARIES = ("httpx", "httpx2", "aiohttp")
# The token of RFC 9110, which is what the parts of a `User-Agent` are made of.
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)


def library_of(transport: object, http_client: object) -> str:
    """Return the library that sends the requests; empty where it is none that we know."""
    for given in (http_client, transport):
        if isinstance(given, str):
            return given
        if given is not None:
            packages = [parent.__module__.partition(".")[0] for parent in type(given).__mro__]
            return next((name for name in packages if name in _LIBRARIES), "")
    return "httpx"


@cache
def user_agent(library: str, app_info: tuple[str, str] | None = None) -> str:
    """Return `strait-python/1.0 Python/3.13.0 Linux httpx/0.28.1`, and the program behind it.

    Args:
        library: what sends the requests.
        app_info: name and version of the program, such as `("my-app", "1.0")`.

    Raises:
        ConfigurationError: name or version has characters that stand between such words.
    """
    words = [
        f"strait-python/{__version__}",
        f"Python/{platform.python_version()}",
        platform.system() or "unknown",
    ]
    if library in _LIBRARIES:
        words += _version(library)
    if app_info is not None:
        words.append("/".join(_checked(app_info)))
    return " ".join(words)


def _version(library: str) -> list[str]:
    try:
        return [f"{library}/{import_module(library).__version__}"]
    except ImportError:
        return []  # the transport says so, with what to install


def _checked(app_info: tuple[str, str]) -> tuple[str, str]:
    match app_info:
        case (str(name), str(version)) if _TOKEN.fullmatch(name) and _TOKEN.fullmatch(version):
            return name, version
    raise ConfigurationError(
        '`app_info` must be a name and a version without blanks, such as `("my-app", "1.0")`, '
        f"not {app_info!r}"
    )


def headers(library: str, app_info: tuple[str, str] | None = None) -> dict[str, str]:
    """Return the headers that say who asks."""
    return {"user-agent": user_agent(library, app_info), "x-sdk-version": __version__}
