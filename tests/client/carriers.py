"""Every way in which a client can reach a platform, behind one harness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import httpx2

from strait import AsyncClient, Client

from .conftest import AT_ONCE, KEY, Harness, Platform


@dataclass(frozen=True)
class Carrier:
    """A transport: by name, or a client of the user of one of the libraries."""

    library: str
    is_async: bool
    is_given: bool = False

    def __str__(self) -> str:
        kind = "async" if self.is_async else "sync"
        return f"{kind}-{'given-' if self.is_given else ''}{self.library}"


OWN = [
    Carrier("httpx", is_async=False),
    Carrier("httpx2", is_async=False),
    Carrier("httpx", is_async=True),
    Carrier("httpx2", is_async=True),
    Carrier("aiohttp", is_async=True),
]
GIVEN = [
    Carrier(library, is_async=is_async, is_given=True)
    for library in ("httpx", "httpx2")
    for is_async in (False, True)
]


class CarrierHarness(Harness):
    """Makes clients that use one transport, and closes what it made."""

    def __init__(self, carrier: Carrier) -> None:
        super().__init__(Platform(), is_async=carrier.is_async)
        self.carrier = carrier
        self._given: list[Any] = []

    def client(self, **options: Any) -> Any:
        options = {"api_key": KEY, "retry": AT_ONCE, **options}
        if self.carrier.is_given:
            library: Any = {"httpx": httpx, "httpx2": httpx2}[self.carrier.library]
            http = (library.AsyncClient if self.is_async else library.Client)(timeout=30)
            self._given.append(http)
            options["http_client"] = http
        else:
            options["transport"] = self.carrier.library
        client = (AsyncClient if self.is_async else Client)(**options)
        self._clients.append(client)
        return client

    def streamed(self, call: Any) -> list[bytes]:
        """Return the pieces of a body that is read as it comes."""
        if self._runner is None:
            with call() as response:
                return list(response.iter_bytes())

        async def pieces() -> list[bytes]:
            async with call() as response:
                return [piece async for piece in response.iter_bytes()]

        return self._runner.run(pieces())

    def close(self) -> None:
        for http in self._given:
            self.run(http.aclose if self.is_async else http.close)
        super().close()
