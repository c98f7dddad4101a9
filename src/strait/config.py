"""Settings of a client: from arguments, the environment and `strait.json`.

An argument wins over an environment variable, which wins over the file, which wins over the
default. A token is never read from a file, and never shown.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from strait.config_file import read_json, section, text
from strait.errors import ConfigFileNotFoundError, ConfigurationError

DEFAULT_BASE_URL = "https://api.strait.dev"
DEFAULT_TIMEOUT_MS = 30_000
FILE_NAME = "strait.json"
_VARIABLES = {
    "STRAIT_BASE_URL": "base_url",
    "STRAIT_API_KEY": "token",
    "STRAIT_AUTH_TYPE": "auth_type",
    "STRAIT_TIMEOUT_MS": "timeout_ms",
    "STRAIT_PROJECT": "project_id",
}

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


def config_from_file(
    path: str | None = None, search_dir: str | None = None, profile: str | None = None
) -> Config:
    """Return the settings of a `strait.json`, with those of the environment over them.

    Args:
        path: the file itself.
        search_dir: the folder that has a `strait.json`; by default the working directory.
        profile: a section of `environments` in the file; by default `STRAIT_PROFILE`.

    Raises:
        ConfigFileNotFoundError: there is no such file.
        ConfigurationError: the file, its profile or a variable is wrong.
    """
    return layers(path, search_dir, profile).config()


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says; None where it says nothing.

    Attributes:
        base_url: the address of the platform.
        token: the token.
        auth_type: what kind of token it is.
        timeout_ms: the longest that one attempt may take, in milliseconds.
        project_id: the project.
        token_variable: the variable that a profile says the token is in.
        sources: where each value stands, by the name of its attribute.
    """

    base_url: str | None = None
    token: str | None = field(default=None, repr=False)
    auth_type: AuthType | None = None
    timeout_ms: int | None = None
    project_id: str | None = None
    token_variable: str | None = None
    sources: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_environment(cls, *, without: Collection[str] = ()) -> Layer:
        """Read the variables; one that is set and empty counts as not set.

        Args:
            without: variables that are not looked at, and so not checked either.

        Raises:
            ConfigurationError: a variable is wrong.
        """
        found = {
            name: value
            for name in _VARIABLES
            if name not in without and (value := os.environ.get(name, "")).strip()
        }
        url = found.get("STRAIT_BASE_URL")
        kind = found.get("STRAIT_AUTH_TYPE")
        timeout = found.get("STRAIT_TIMEOUT_MS")
        return cls(
            base_url=None if url is None else check_base_url(url, "STRAIT_BASE_URL"),
            token=found.get("STRAIT_API_KEY"),
            auth_type=None if kind is None else check_auth_type(kind, "STRAIT_AUTH_TYPE"),
            timeout_ms=None if timeout is None else _timeout_of_text(timeout),
            project_id=found.get("STRAIT_PROJECT"),
            sources={_VARIABLES[name]: f"`{name}`" for name in found},
        )

    @classmethod
    def of_file(
        cls, path: str | None = None, search_dir: str | None = None, profile: str | None = None
    ) -> Layer:
        """Read a `strait.json`; it never gives a token.

        Raises:
            ConfigFileNotFoundError: there is no such file.
            ConfigurationError: the file is no JSON object, a value in it is wrong, or it has no
                such profile.
        """
        _check_path(path, "path")
        _check_path(search_dir, "search_dir")
        file = Path(path) if path is not None else Path(search_dir or ".") / FILE_NAME
        document = read_json(file)
        layer = cls._of_section(section(document, "sdk", file), "sdk", file)
        project = text(section(document, "project", file), "project.id", file)
        if project is not None:
            source = {"project_id": f"`{file}`: `project.id`"}
            layer = layer.under(cls(project_id=project, sources=source))
        if profile is None:
            return layer
        profiles = section(document, "environments", file)
        if profile not in profiles:
            known = ", ".join(f"`{name}`" for name in sorted(profiles)) or "none"
            raise ConfigurationError(f"`{file}` has no profile {profile!r}; it has {known}")
        name = f"environments.{profile}"
        return layer.under(cls._of_section(section(profiles, profile, file, name), name, file))

    @classmethod
    def _of_section(cls, values: Mapping[str, Any], name: str, file: Path) -> Layer:
        url = text(values, f"{name}.base_url", file)
        kind = text(values, f"{name}.auth_type", file)
        timeout = values.get("timeout_ms")
        if "timeout_ms" in values:
            check_timeout_ms(timeout, f"`{file}`: `{name}.timeout_ms`")
        where = {key: f"`{file}`: `{name}.{key}`" for key in values}
        return cls(
            base_url=None if url is None else check_base_url(url, where["base_url"]),
            auth_type=None if kind is None else check_auth_type(kind, where["auth_type"]),
            timeout_ms=timeout,
            token_variable=text(values, f"{name}.api_key_env", file),
            sources={k: v for k, v in where.items() if k in cls.__dataclass_fields__},
        )

    def under(self, upper: Layer) -> Layer:
        """Return both, where what `upper` says wins."""
        said = {
            name: value
            for name in ("base_url", "token", "auth_type", "timeout_ms", "project_id")
            if (value := getattr(upper, name)) is not None
        }
        said["token_variable"] = upper.token_variable or self.token_variable
        return replace(self, **said, sources={**self.sources, **upper.sources})

    def with_token_of_profile(self) -> Layer:
        """Return the layer with the token that is in the variable of its profile.

        What the profile says wins over `STRAIT_API_KEY`: else the key of one platform would be
        sent to another.

        Raises:
            ConfigurationError: the variable is not set.
        """
        if self.token_variable is None:
            return self
        token = os.environ.get(self.token_variable, "")
        if not token.strip():
            raise ConfigurationError(
                f"`{self.token_variable}` is not set, which the file names as `api_key_env`"
            )
        sources = {**self.sources, "token": f"`{self.token_variable}`"}
        return replace(self, token=token, sources=sources)

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


def layers(
    path: str | None = None, search_dir: str | None = None, profile: str | None = None
) -> Layer:
    """Return what a `strait.json` and the environment say, where the environment wins.

    Raises:
        ConfigFileNotFoundError: there is no such file.
        ConfigurationError: the file, a profile or a variable is wrong.
    """
    chosen = profile or os.environ.get("STRAIT_PROFILE", "").strip() or None
    file = Layer.of_file(path, search_dir, chosen)
    return file.under(Layer.of_environment()).with_token_of_profile()


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as a client would have it.

    Attributes:
        name: the argument of `Client`.
        value: what it is; of a token only whether there is one.
        source: where it stands: a variable, a place in the file, or `default`.
    """

    name: str
    value: str
    source: str


def explain(
    path: str | None = None,
    search_dir: str | None = None,
    profile: str | None = None,
    arguments: Mapping[str, str | int | None] | None = None,
) -> list[Setting]:
    """Return every setting that file and environment give, and where each of them stands.

    It is what `strait config` shows. Unlike `config_from_file` it needs no file.

    Args:
        path: the file itself.
        search_dir: the folder that has a `strait.json`; by default the working directory.
        profile: a section of `environments` in the file; by default `STRAIT_PROFILE`.
        arguments: what the client itself is given: `base_url`, `timeout_ms`, `project_id`.

    Raises:
        ConfigFileNotFoundError: `path` or `profile` is given, and there is no such file.
        ConfigurationError: the file, a profile or a variable is wrong.
    """
    try:
        layer = layers(path, search_dir, profile)
    except ConfigFileNotFoundError:
        if path is not None or profile is not None:
            raise
        layer = Layer.of_environment()
    layer = layer.under(_of_arguments(arguments or {}))
    config = layer.config()
    kind = config.auth.type.value if config.auth else AuthType.API_KEY.value
    values = {
        "base_url": config.base_url,
        "token": "not set" if config.auth is None else "set",
        "auth_type": kind,
        "timeout_ms": str(config.timeout_ms),
        "project_id": config.project_id or "not set",
    }
    return [
        Setting(name, value, layer.sources.get(name, "default")) for name, value in values.items()
    ]


def _of_arguments(arguments: Mapping[str, str | int | None]) -> Layer:
    given = {name: value for name, value in arguments.items() if value not in {None, ""}}
    url, timeout, project = (given.get(k) for k in ("base_url", "timeout_ms", "project_id"))
    if timeout is not None:
        check_timeout_ms(timeout, "timeout_ms")
    return Layer(
        base_url=None if url is None else check_base_url(str(url), "base_url"),
        timeout_ms=timeout if isinstance(timeout, int) else None,
        project_id=None if project is None else str(project),
        sources=dict.fromkeys(given, "argument"),
    )


def _check_path(path: object, name: str) -> None:
    """Check that a path is one; None says that there is none.

    Raises:
        ConfigurationError: it is something else.
    """
    if path is not None and not isinstance(path, str | os.PathLike):
        raise ConfigurationError(f"{_ticked(name)} must be a path, not {path!r}")


def check_base_url(url: str, name: str) -> str:
    """Return an address of a platform without the slash at its end.

    Raises:
        ConfigurationError: it is no address, or has a query, a fragment or a user.
    """
    if not isinstance(url, str):
        raise ConfigurationError(f"{_ticked(name)} must be an http(s) address, not {url!r}")
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
