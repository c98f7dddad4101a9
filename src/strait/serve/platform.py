"""The host's way to the platform: connections that all share, one client for each run's token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strait.client.aio import AsyncClient
from strait.client.transports import async_transport_for
from strait.client.transports.wiring import Wiring
from strait.errors import ConfigurationError

if TYPE_CHECKING:
    import httpx

    from strait.authoring.run_api import RunContextClient
    from strait.client.transports.protocol import AsyncTransport

_TIMEOUT_SECS = 30.0


class PlatformPool:
    """Makes the clients of runs; they share their connections.

    A server that starts again hands out all that it had in hand at once, and each of a thousand
    attempts asks for what it has on record. One large pool of `httpx` looks at all connections for
    each of their requests, and came to a standstill under it; the SDK's own transport shares them
    out among small pools.

    Args:
        base_url: the address of the platform. It comes from the host's configuration, never from
            a dispatch: whoever could choose it would be sent the run's token.
        http: the HTTP client to use, which stays the caller's to close; by default an own one.
    """

    def __init__(self, base_url: str, http: httpx.AsyncClient | None = None) -> None:
        self.base_url = base_url
        self._given = http
        self._own: AsyncTransport | None = None

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
            http_client=self._given,
            transport=None if self._given is not None else self._transport(),
            timeout_ms=round(_TIMEOUT_SECS * 1000),
        )
        return client.sdk_runs

    def _transport(self) -> AsyncTransport:
        if self._own is None:
            self._own = async_transport_for(None, None, Wiring())
        return self._own

    async def close(self) -> None:
        """Give the connections back."""
        own, self._own = self._own, None
        if own is not None:
            await own.close()
