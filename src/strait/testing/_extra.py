"""Saying what to install when a part of `strait.testing` lacks the server extra."""

from __future__ import annotations

from strait.errors import ConfigurationError


def server_is_missing(missing: ModuleNotFoundError, what: str) -> ConfigurationError:
    """Return the error for a module that the extra `server` would bring."""
    return ConfigurationError(
        f"{what} needs `{missing.name}`; install it with `pip install 'strait-python[server]'`"
    )
