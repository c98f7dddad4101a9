"""Wiring: certificates, proxies and limits, the same for every transport."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from strait.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROXIES = ("http", "https", "socks5", "socks5h")


@cache
def shared_ssl_context() -> ssl.SSLContext:
    """Return the one TLS context of the process; to build one takes longer than a request."""
    return httpx.create_ssl_context()


class Limits(Protocol):
    """How many connections there may be: an `httpx.Limits`, or one of `httpx2`."""

    max_connections: int | None
    max_keepalive_connections: int | None
    keepalive_expiry: float | None


@dataclass(frozen=True)
class Wiring:
    """How a client's own transport reaches the platform.

    Attributes:
        verify: the certificates that are trusted: a context, a file or folder of authorities, True
            for the usual ones, or False for any at all.
        cert: what the client shows: a file, or files of certificate and key, and a password.
        proxy: the address of a proxy; None is what the environment says.
        limits: how many connections there may be; None is what suits the transport.
    """

    verify: ssl.SSLContext | str | bool = True
    cert: str | tuple[str, str] | tuple[str, str, str] | None = None
    proxy: str | None = None
    limits: Limits | None = None

    @property
    def is_given(self) -> bool:
        """Whether anything is other than usual."""
        return self != Wiring()

    def check(self) -> None:
        """Find out now, rather than at the first call, what is wrong.

        Raises:
            ConfigurationError: a certificate cannot be read, or the proxy is no address.
        """
        if self.verify is not True or self.cert is not None:
            _ = self.context
        if self.proxy is not None:
            checked_proxy(self.proxy, "`proxy`")
        if self.limits is not None and not hasattr(self.limits, "max_keepalive_connections"):
            kind = type(self.limits).__name__
            raise ConfigurationError(f"`limits` must be `httpx.Limits(…)`, not `{kind}`")

    @cached_property
    def context(self) -> ssl.SSLContext:
        """What decides about TLS.

        Raises:
            ConfigurationError: a certificate cannot be read.
        """
        try:
            return self._context()
        except OSError as error:  # what `ssl` raises is one too
            raise ConfigurationError(f"`verify` or `cert` cannot be read: {error}") from error

    def _context(self) -> ssl.SSLContext:
        if isinstance(self.verify, ssl.SSLContext):
            context = self.verify
        elif self.verify is True and self.cert is None:
            return shared_ssl_context()
        elif isinstance(self.verify, str):
            is_folder = os.path.isdir(self.verify)
            context = ssl.create_default_context(
                cafile=None if is_folder else self.verify,
                capath=self.verify if is_folder else None,
            )
        else:
            context = httpx.create_ssl_context(verify=self.verify)
        if self.cert is not None:
            parts = (self.cert,) if isinstance(self.cert, str) else self.cert
            context.load_cert_chain(*parts)
        return context


class Proxies:
    """Which proxy leads to an address: the one that was given, or what the environment says.

    `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are read when an origin is met first.
    """

    def __init__(self, given: str | None) -> None:
        self._given = given
        self._known: dict[str, str | None] = {}

    def to(self, url: str) -> str | None:
        """Return the address of the proxy, or None for the straight way.

        Raises:
            ConfigurationError: the environment names something that is no proxy.
        """
        if self._given is not None:
            return self._given
        slash = url.find("/", 8)  # after `https://`
        origin = url if slash < 0 else url[:slash]
        try:
            return self._known[origin]
        except KeyError:
            proxy = self._known[origin] = _environment_proxy(origin)
            return proxy


def _environment_proxy(origin: str) -> str | None:
    parts = urlsplit(origin)
    proxies: Mapping[str, str] = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc):
        return None
    name = f"`{parts.scheme.upper()}_PROXY`" if parts.scheme in proxies else "`ALL_PROXY`"
    return checked_proxy(proxy if "://" in proxy else f"http://{proxy}", name)


def checked_proxy(proxy: str, name: str) -> str:
    """Return the address of a proxy.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        parts = urlsplit(proxy if isinstance(proxy, str) else "")
        fine = parts.scheme in _PROXIES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        # The address is not shown: it may have a password in it.
        raise ConfigurationError(f"{name} must be an http(s) or socks5 address")
    return proxy
