"""Where the platform of a command is: said by flags, the environment, `strait.json`, or found here.

Whoever says where the platform is, or which key to use, is believed: flags before the environment
before the file. If nobody says either, it is the platform that runs in this directory, which
`strait dev` or `strait serve` have started.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from strait.cli.failures import CommandError, ExitCode
from strait.config import AuthMode, AuthType, Layer, check_base_url
from strait.errors import ConfigFileNotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from strait.client import Client

_DATABASE = Path(".strait") / "dev.db"
_DATABASE_VARIABLE = "STRAIT_SERVER_DB"
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the flags of a command say about its platform; None is nothing."""

    base_url: str | None = None
    project_id: str | None = None
    profile: str | None = None
    path: str | None = None
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Local:
    """The platform that a database of this directory is served by.

    Attributes:
        base_url: its address.
        project_id: the project of its key.
        api_key: a key of it.
        grpc_addr: where it listens for workers; "" if it does not.
    """

    base_url: str
    project_id: str
    api_key: str = field(repr=False)
    grpc_addr: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A platform, and what it is asked with.

    Attributes:
        base_url: its address.
        project_id: the project; empty if nothing says it.
        auth: the token; None where there is none.
        timeout_ms: how long an attempt of a request may take.
        source: who said where the platform is.
        is_local: whether it is the one that runs in this directory.
    """

    base_url: str
    project_id: str
    auth: AuthMode | None
    timeout_ms: int
    source: str
    is_local: bool

    def client(self, *, plain: bool = True) -> Client:
        """Return a client of it, whose results are plain JSON, or models.

        Raises:
            CommandError: there is no key.
        """
        if self.auth is None:
            raise CommandError(
                f"there is no key for {self.base_url}",
                "set STRAIT_API_KEY, or `api_key_env` of a profile in strait.json",
                ExitCode.DENIED,
            )
        from strait.cli.stranger import Acquaintance
        from strait.client import Client
        from strait.retry import RetryOptions

        return Client(
            base_url=self.base_url,
            auth=self.auth,
            project_id=self.project_id,
            timeout_ms=self.timeout_ms,
            response_format="dict" if plain else "model",
            middleware=[Acquaintance(self.base_url)],
            # A person waits for the answer: once more for a hiccup, no longer.
            retry=RetryOptions(attempts=2, delay_ms=200, max_delay_ms=2_000),
        )


def find(asked: Asked, environment: Mapping[str, str] = os.environ) -> Place:
    """Return the platform that a command is for.

    Raises:
        CommandError: nobody says where it is, and none runs in this directory.
        ConfigurationError: a flag, a variable or the file is wrong.
    """
    layer = said(asked, environment)
    local = local_platform(environment)
    if layer.base_url is None and layer.token is None:
        if local is None:
            raise CommandError(
                "no platform is set, and none runs in this directory",
                "start one with `strait dev`, or set STRAIT_BASE_URL and STRAIT_API_KEY",
                ExitCode.UNREACHABLE,
            )
        return _of_local(local, layer, "the platform of this directory")
    config = layer.config()
    source = layer.sources.get("base_url", "default")
    is_local = local is not None and _same_address(config.base_url, local.base_url)
    if local is not None and is_local and config.auth is None:
        return _of_local(local, layer, source)
    return Place(
        config.base_url,
        config.project_id,
        config.auth,
        config.timeout_ms,
        source,
        is_local=is_local,
    )


def _of_local(local: Local, layer: Layer, source: str) -> Place:
    # The key is for one project, whatever the file says for another platform.
    auth = AuthMode(AuthType.API_KEY, local.api_key)
    timeout_ms = layer.config().timeout_ms
    return Place(local.base_url, local.project_id, auth, timeout_ms, source, is_local=True)


def said(asked: Asked, environment: Mapping[str, str] = os.environ) -> Layer:
    """Return what flags, environment and file say, where the first wins.

    Raises:
        ConfigurationError: something of it is wrong.
    """
    profile = asked.profile or environment.get("STRAIT_PROFILE", "").strip() or None
    try:
        file = Layer.of_file(asked.path, None, profile)
    except ConfigFileNotFoundError:
        if asked.path is not None or profile is not None:
            raise
        file = Layer()
    layer = file.under(Layer.of_environment()).under(_of_flags(asked))
    return layer if asked.api_key else layer.with_token_of_profile()


def _of_flags(asked: Asked) -> Layer:
    given = {
        "base_url": asked.base_url and check_base_url(asked.base_url, "--base-url"),
        "token": asked.api_key,
        "project_id": asked.project_id,
    }
    flags = {"base_url": "--base-url", "token": "--api-key", "project_id": "--project"}
    sources = {name: f"`{flags[name]}`" for name, value in given.items() if value}
    return Layer(
        base_url=given["base_url"] or None,
        token=given["token"] or None,
        project_id=given["project_id"] or None,
        sources=sources,
    )


def database(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the database that a platform of this directory has."""
    return Path(environment.get(_DATABASE_VARIABLE) or _DATABASE)


def local_platform(environment: Mapping[str, str] = os.environ) -> Local | None:
    """Return the platform that says it serves the database of this directory."""
    file = database(environment)
    try:
        owner = json.loads(file.with_name(file.name + ".lock").read_text("utf-8"))
        kept = json.loads(file.with_name(file.name + ".key").read_text("utf-8"))
        found = Local(
            str(owner["address"]),
            str(kept["project_id"]),
            str(kept["api_key"]),
            str(owner.get("grpc_addr", "")),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.base_url else None


def _same_address(one: str, other: str) -> bool:
    first, second = urlsplit(one), urlsplit(other)
    hosts = {first.hostname, second.hostname}
    return first.port == second.port and (len(hosts) == 1 or hosts <= _LOOPBACK)


def describe(place: Place) -> str:
    """Return a platform in a few words, for a person."""
    project = f", project {place.project_id}" if place.project_id else ""
    where = " (this directory)" if place.is_local else ""
    return f"{place.base_url}{where}{project}"
