"""Settings of a client: from arguments, the environment and `strait.json`.

An argument wins over an environment variable, which wins over the file, which wins over the
default. A token is never read from a file, and never shown.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from strait.errors import ConfigFileNotFoundError, ConfigurationError

DEFAULT_BASE_URL = "https://api.strait.dev"
DEFAULT_TIMEOUT_MS = 30_000
FILE_NAME = "strait.json"

Headers: TypeAlias = dict[str, str]
JsonDict: TypeAlias = dict[str, Any]


class AuthType(StrEnum):
    """What kind of token a client has."""

    BEARER = "bearer"
    API_KEY = "apiKey"
    RUN_TOKEN = "runToken"  # noqa: S105 - the name of a kind, no token
    NONE = "none"


@dataclass(frozen=True, slots=True)
class AuthMode:
    """A token and its kind; the token is neither in `repr` nor in any message.

    Attributes:
        type: the kind of token.
        token: the token itself, without blanks around it.
    """

    type: AuthType
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "token", _clean_token(self.token, self.type))

    @classmethod
    def none(cls) -> AuthMode:
        """Return the mode of a client that sends no token, for the few open operations."""
        return cls(AuthType.NONE)


def _clean_token(token: object, kind: AuthType) -> str:
    if not isinstance(token, str):
        raise ConfigurationError(f"the token must be a text, not {type(token).__name__}")
    token = token.strip()
    if kind is not AuthType.NONE and not token:
        raise ConfigurationError("the token is empty: pass `api_key` or set `STRAIT_API_KEY`")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigurationError("the token has characters that no header can carry")
    return token


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of a client.

    Attributes:
        base_url: the address of the platform, without a slash at its end.
        auth: the token; None when none was found.
        default_headers: headers of every request.
        timeout_ms: the longest that one attempt may take, in milliseconds.
        project_id: the project of `strait.json`, or of `STRAIT_PROJECT`.
    """

    base_url: str = DEFAULT_BASE_URL
    auth: AuthMode | None = None
    default_headers: dict[str, str] = field(default_factory=dict)
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    project_id: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", check_base_url(self.base_url, "base_url"))
        check_timeout_ms(self.timeout_ms, "timeout_ms")


def config_from_env() -> Config:
    """Return the settings that the environment has.

    It reads `STRAIT_BASE_URL` and `STRAIT_API_KEY`, which are required, and `STRAIT_AUTH_TYPE`
    (`apiKey`, `bearer` or `runToken`), `STRAIT_TIMEOUT_MS` and `STRAIT_PROJECT`.

    Raises:
        ConfigurationError: a variable is missing or wrong; `issues` has a line for each.
    """
    layer = Layer.of_environment()
    layer.require(base_url=True, token=True)
    return layer.config()


def config_from_file(path: str | None = None, search_dir: str | None = None) -> Config:
    """Return the settings of a `strait.json`, with those of the environment over them.

    Args:
        path: the file itself.
        search_dir: the folder that has a `strait.json`; by default the working directory.

    Raises:
        ConfigFileNotFoundError: there is no such file.
        ConfigurationError: the file, or a variable, is wrong.
    """
    return Layer.of_file(path, search_dir).under(Layer.of_environment()).config()


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says; None where it says nothing."""

    base_url: str | None = None
    token: str | None = field(default=None, repr=False)
    auth_type: AuthType | None = None
    timeout_ms: int | None = None
    project_id: str | None = None

    @classmethod
    def of_environment(cls) -> Layer:
        """Read the variables; one that is set and empty counts as not set.

        Raises:
            ConfigurationError: a variable is wrong.
        """
        environ = {name: value for name, value in os.environ.items() if value.strip()}
        url = environ.get("STRAIT_BASE_URL")
        kind = environ.get("STRAIT_AUTH_TYPE")
        timeout = environ.get("STRAIT_TIMEOUT_MS")
        return cls(
            base_url=None if url is None else check_base_url(url, "STRAIT_BASE_URL"),
            token=environ.get("STRAIT_API_KEY"),
            auth_type=None if kind is None else check_auth_type(kind, "STRAIT_AUTH_TYPE"),
            timeout_ms=None if timeout is None else _timeout_of_text(timeout),
            project_id=environ.get("STRAIT_PROJECT"),
        )

    @classmethod
    def of_file(cls, path: str | None = None, search_dir: str | None = None) -> Layer:
        """Read a `strait.json`; it never gives a token.

        Raises:
            ConfigFileNotFoundError: there is no such file.
            ConfigurationError: the file is no JSON object, or a value in it is wrong.
        """
        file = Path(path) if path is not None else Path(search_dir or ".") / FILE_NAME
        document = _read_json(file)
        sdk = _object(document, "sdk", file)
        url = _text(sdk, "sdk.base_url", file)
        kind = _text(sdk, "sdk.auth_type", file)
        timeout = sdk.get("timeout_ms")
        if "timeout_ms" in sdk:
            check_timeout_ms(timeout, f"`{file}`: `sdk.timeout_ms`")
        return cls(
            base_url=None if url is None else check_base_url(url, f"`{file}`: `sdk.base_url`"),
            auth_type=None if kind is None else check_auth_type(kind, f"`{file}`: `sdk.auth_type`"),
            timeout_ms=timeout,
            project_id=_text(_object(document, "project", file), "project.id", file),
        )

    def under(self, upper: Layer) -> Layer:
        """Return both, where what `upper` says wins."""
        return Layer(
            base_url=self.base_url if upper.base_url is None else upper.base_url,
            token=self.token if upper.token is None else upper.token,
            auth_type=upper.auth_type or self.auth_type,
            timeout_ms=upper.timeout_ms or self.timeout_ms,
            project_id=self.project_id if upper.project_id is None else upper.project_id,
        )

    def require(self, *, base_url: bool, token: bool) -> None:
        """Say which variables are missing.

        Raises:
            ConfigurationError: one is.
        """
        issues = [
            f"`{name}` is not set"
            for name, wanted, value in (
                ("STRAIT_BASE_URL", base_url, self.base_url),
                ("STRAIT_API_KEY", token, self.token),
            )
            if wanted and value is None
        ]
        if issues:
            raise ConfigurationError("; ".join(issues), issues)

    def config(self) -> Config:
        """Return the settings, with defaults for what was not said."""
        kind = self.auth_type or AuthType.API_KEY
        return Config(
            base_url=self.base_url or DEFAULT_BASE_URL,
            auth=None if self.token is None else AuthMode(kind, self.token),
            timeout_ms=self.timeout_ms or DEFAULT_TIMEOUT_MS,
            project_id=self.project_id or "",
        )


def _read_json(file: Path) -> Mapping[str, Any]:
    try:
        text = file.read_text("utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigFileNotFoundError(f"config file not found: `{file}`") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"`{file}` cannot be read: {error}") from error
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"invalid JSON in config file `{file}`: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"`{file}` must hold a JSON object")
    return document


def _object(document: Mapping[str, Any], key: str, file: Path) -> Mapping[str, Any]:
    section = document.get(key, {})
    if not isinstance(section, dict):
        raise ConfigurationError(f"`{file}`: `{key}` must be an object, not {section!r}")
    return section


def _text(section: Mapping[str, Any], key: str, file: Path) -> str | None:
    name = key.rpartition(".")[2]
    if name not in section:
        return None
    value = section[name]
    if not isinstance(value, str):
        raise ConfigurationError(f"`{file}`: `{key}` must be a text, not {value!r}")
    return value


def check_base_url(url: str, name: str) -> str:
    """Return an address of a platform without the slash at its end.

    Raises:
        ConfigurationError: it is no address, or has a query, a fragment or a user.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        fits = None
    if not fits or not (url.isascii() and url.isprintable()) or " " in url:
        raise ConfigurationError(f"{_ticked(name)} must be an http(s) address, not {url!r}")
    if parts.query or parts.fragment or parts.username is not None or url.endswith(("?", "#")):
        # The address is not shown: what stands in it may be a secret.
        raise ConfigurationError(f"{_ticked(name)} must have no query, no fragment and no user")
    return url.rstrip("/")


def check_timeout_ms(value: object, name: str) -> None:
    """Check that a value is a number of milliseconds.

    Raises:
        ConfigurationError: it is not a whole number above 0.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ConfigurationError(f"{_ticked(name)} must be a whole number above 0, not {value!r}")


def check_auth_type(name: str, where: str) -> AuthType:
    """Return the kind of token that has this name.

    Raises:
        ConfigurationError: there is none.
    """
    if name in {AuthType.BEARER, AuthType.API_KEY, AuthType.RUN_TOKEN}:
        return AuthType(name)
    raise ConfigurationError(f"{_ticked(where)} must be apiKey, bearer or runToken, not {name!r}")


def _timeout_of_text(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ConfigurationError(
            f"`STRAIT_TIMEOUT_MS` must be a whole number above 0, not {text!r}"
        )
    return int(text)


def _ticked(name: str) -> str:
    return name if "`" in name else f"`{name}`"
