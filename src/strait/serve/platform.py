"""The host's way to the platform: one pool of connections, one client for each run's token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from strait.client.aio import AsyncClient
from strait.client.transports.wiring import shared_ssl_context
from strait.errors import ConfigurationError

if TYPE_CHECKING:
    from strait.authoring.run_api import RunContextClient

_TIMEOUT_SECS = 30.0
_LIMITS = httpx.Limits(max_connections=256, max_keepalive_connections=64)


class PlatformPool:
    """Makes the clients of runs; they share their connections.

    Args:
        base_url: the address of the platform. It comes from the host's configuration, never from
            a dispatch: whoever could choose it would be sent the run's token.
        http: the HTTP client to use, which stays the caller's to close; by default an own one.
    """

    def __init__(self, base_url: str, http: httpx.AsyncClient | None = None) -> None:
        self.base_url = base_url
        self._given = http
        self._own: httpx.AsyncClient | None = None

    def runs(self, token: str) -> RunContextClient:
        """Return `client.sdk_runs` of a client with this run's token.

        Raises:
            ConfigurationError: the dispatch had no token.
        """
        if not token:
            raise ConfigurationError(
                "the dispatch had no `X-Run-Token`; without one a run cannot speak to its platform"
            )
        client = AsyncClient(
            base_url=self.base_url,
            run_token=token,
            http_client=self._http(),
            timeout_ms=round(_TIMEOUT_SECS * 1000),
        )
        return client.sdk_runs

    def _http(self) -> httpx.AsyncClient:
        if self._given is not None:
            return self._given
        if self._own is None:
            self._own = httpx.AsyncClient(verify=shared_ssl_context(), limits=_LIMITS)
        return self._own

    async def close(self) -> None:
        """Give the connections back."""
        own, self._own = self._own, None
        if own is not None:
            await own.aclose()
