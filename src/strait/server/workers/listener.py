"""The address that workers connect to: gRPC, plain on this machine only, else with TLS."""

from __future__ import annotations

import errno
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from grpc import aio

from strait.server.settings import Settings, is_loopback_address
from strait.server.workers.health import Health
from strait.server.workers.service import WorkerService
from strait.store.connection import StoreError
from strait.worker_protocol.worker_pb2_grpc import add_WorkerServiceServicer_to_server

if TYPE_CHECKING:
    from strait.server.platform import Platform

# `contract/runs.md` §10.
_MAX_RECEIVED_BYTES = 1024 * 1024
_MAX_SENT_BYTES = 4 * 1024 * 1024
_OPTIONS = (
    ("grpc.max_receive_message_length", _MAX_RECEIVED_BYTES),
    ("grpc.max_send_message_length", _MAX_SENT_BYTES),
    # A connection that is dead without saying so is found out by pings.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Workers may ping too, but not faster than this.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    # A port that is taken is an error, not shared.
    ("grpc.so_reuseport", 0),
)
# Streams were ended before; this is for what is on its way.
_GRACE_SECS = 0.5


class Listener:
    """Serves the worker protocol.

    Attributes:
        address: where, as `host:port`.
    """

    def __init__(self, platform: Platform, settings: Settings) -> None:
        self._platform = platform
        self._settings = settings
        self._health = Health()
        self._server: aio.Server | None = None
        self.address = ""

    async def start(self) -> None:
        """Bind the address and begin to serve.

        Raises:
            StoreError: the address is open to others and there is no certificate, or that cannot be
                read.
            OSError: the address is taken.
        """
        host = self._settings.grpc_host or self._settings.host
        shown = f"[{host}]" if ":" in host else host
        credentials = _credentials(self._settings, host)
        server = aio.server(options=_OPTIONS)
        add_WorkerServiceServicer_to_server(WorkerService(self._platform), server)
        server.add_generic_rpc_handlers((self._health.handler(),))
        wanted = f"{shown}:{self._settings.grpc_port}"
        try:
            if credentials is None:
                port = server.add_insecure_port(wanted)
            else:
                port = server.add_secure_port(wanted, credentials)
        except RuntimeError as error:
            raise OSError(
                errno.EADDRINUSE, f"workers cannot be served at {wanted}: the address is in use"
            ) from error
        await server.start()
        self._server = server
        self.address = f"{shown}:{port}"

    async def stop(self) -> None:
        """Serve no more; the streams were ended before."""
        self._health.stop()
        if self._server is not None:
            await self._server.stop(_GRACE_SECS)


def _credentials(settings: Settings, host: str) -> grpc.ServerCredentials | None:
    certificate, key = settings.grpc_tls_cert, settings.grpc_tls_key
    if certificate is None and key is None:
        if host == "localhost" or is_loopback_address(host):
            return None
        raise StoreError(
            f"workers would send their keys to {host} in plain text; give `--grpc-tls-cert` and "
            "`--grpc-tls-key`, or `--grpc-host 127.0.0.1`"
        )
    if certificate is None or key is None:
        raise StoreError("`--grpc-tls-cert` and `--grpc-tls-key` go together; one is missing")
    pair = (_read(key), _read(certificate))
    try:
        # gRPC would say no more than that it cannot bind the address.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise StoreError(
            f"`{certificate}` and `{key}` are no certificate and its key: give PEM files that "
            "belong together, the key without a password"
        ) from error
    return grpc.ssl_server_credentials([pair])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(f"`{path}` cannot be read: {error.strerror}") from error
