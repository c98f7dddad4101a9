"""Serving a platform over HTTP: uvicorn inside this process, started and stopped in order."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

from strait._version import __version__
from strait.clock import Clock
from strait.in_loop import InLoopServer
from strait.server.app import App
from strait.server.connections import BoundedConfig
from strait.server.outside import Outside
from strait.server.platform import Platform
from strait.server.settings import Settings
from strait.store.connection import StoreError

if TYPE_CHECKING:
    from strait.server.workers.listener import Listener

logger = logging.getLogger("strait.server")


class Server:
    """An embedded platform and the address that it is served under.

    Use it as an async context manager: inside, requests are answered; afterwards everything is
    written and closed.

    Attributes:
        base_url: the address of the API.
        grpc_addr: where workers connect, as `host:port`; "" if that is not served.
    """

    def __init__(
        self, settings: Settings, *, clock: Clock | None = None, outside: Outside | None = None
    ) -> None:
        self.platform = Platform(settings, clock=clock, outside=outside)
        self._socket: socket.socket | None = None
        self._http: InLoopServer | None = None
        self._listener: Listener | None = None
        self.base_url = ""
        self.grpc_addr = ""

    async def __aenter__(self) -> Server:
        """Bind the address, start the platform, and answer requests.

        Raises:
            StoreError: the database cannot be opened.
            OSError: the address is taken.
        """
        settings = self.platform.settings
        self._listener = self._workers_listener()
        self._socket = bind(settings.host, settings.port)
        try:
            await self.platform.start()
            if self._listener is not None:
                await self._listen(self._listener)
        except BaseException:
            self._socket.close()
            raise
        host, port = self._socket.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        self.base_url = f"http://{shown}:{port}"
        self.platform.owner.announce(self.base_url, self.grpc_addr)
        config = BoundedConfig(
            App(self.platform),
            max_connections=settings.max_connections,
            head_secs=settings.head_secs,
            body_secs=settings.body_secs,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
            timeout_graceful_shutdown=1,
        )
        self._http = InLoopServer(config)
        await self._http.begin(self._socket)
        logger.info("strait %s serves %s", __version__, self.base_url)
        return self

    def _workers_listener(self) -> Listener | None:
        if self.platform.settings.grpc_port is None:
            return None
        try:
            # Nobody whose jobs are all called over HTTP needs it.
            from strait.server.workers.listener import Listener  # noqa: PLC0415 - needs grpc
        except ModuleNotFoundError as error:
            raise StoreError(
                f"`--grpc-port` needs `{error.name}`: pip install 'strait-python[grpc]'"
            ) from None
        return Listener(self.platform, self.platform.settings)

    async def _listen(self, listener: Listener) -> None:
        try:
            await listener.start()
        except BaseException:
            await self.platform.drain()
            await self.platform.close()
            raise
        self.grpc_addr = listener.address

    async def __aexit__(self, *_: object) -> None:
        """Let handlers finish, stop answering, write what is left."""
        seconds = self.platform.settings.drain_secs
        logger.info("stopping: handlers have %g s to finish what they do", seconds)
        await self.platform.drain()
        if self._listener is not None:
            await self._listener.stop()
        if self._http is not None:
            await self._http.end()
        if self._socket is not None:
            self._socket.close()
        await self.platform.close()
        logger.info("stopped")


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address; port 0 takes a free one.

    Raises:
        OSError: the address is taken, or there is no such host; the text names it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it each answer
    # would wait 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
        listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
    except OSError as error:
        listener.close()
        text = f"cannot listen on {host}:{port}: {error.strerror}"
        raise OSError(error.errno, text) from error
    except BaseException:
        listener.close()
        raise
    return listener
