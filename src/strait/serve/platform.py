"""The host's way to the platform: connections that all share, one client for each run's token."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from strait.client.aio import AsyncClient
from strait.client.transports import AsyncTransportName, async_transport_for
from strait.client.transports.wiring import Wiring
from strait.errors import ConfigurationError
from strait.serve import tracing

if TYPE_CHECKING:
    import httpx

    from strait.authoring.run_api import RunContextClient
    from strait.client.transports.protocol import AsyncTransport

_TIMEOUT_SECS = 30.0


class PlatformPool:
    """Makes the clients of runs; they share their connections.

    Each step of a handler is a call, so the fastest transport that is installed is taken: with the
    extra `worker` that is aiohttp. Without it the SDK's own shares the connections out among small
    pools: one large pool of `httpx` looks at all of them for each request, and came to a standstill
    when a thousand attempts asked at once for what they had on record.

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
            transport=self._transport() if self._given is None else None,
            timeout_ms=round(_TIMEOUT_SECS * 1000),
            middleware=tracing.carrying(),
        )
        return client.sdk_runs

    def _transport(self) -> AsyncTransport:
        if self._own is None:
            self._own = prepare()
        return self._own

    async def close(self) -> None:
        """Give the connections back."""
        own, self._own = self._own, None
        if own is not None:
            await own.close()


def prepare() -> AsyncTransport:
    """Return a transport of the fastest library that is there.

    To import it takes longer than to host a job: call this once in a thread, where the first run
    is not to wait for that.
    """
    fastest: AsyncTransportName = "aiohttp" if find_spec("aiohttp") else "httpx"
    return async_transport_for(fastest, None, Wiring())
