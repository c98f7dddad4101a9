"""What can be set about an embedded server."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one embedded server.

    Attributes:
        database: the SQLite file, or None for a database that lives in a temporary directory and
            goes with the server.
        host: the address to bind; anything but loopback is open to the network.
        port: the port to bind; 0 takes a free one.
        internal_secret: when set, requests with `X-Internal-Secret` may make projects and keys.
        encryption_key: what secrets are sealed with; by default a key that is kept in a file beside
            the database.
        max_in_flight: how many handlers are called at the same time.
        max_body_bytes: the largest request body.
        keepalive_secs: how often a silent event stream sends a comment.
        stream_max_secs: when an event stream is ended; clients connect again.
        stream_stall_secs: how long a reader of a stream may leave a frame unread before its
            connection is cut.
        max_streams: how many event streams may be open at the same time.
        max_project_streams: how many of them in one project.
        query_secs: how long one analytical query may take.
        drain_secs: how long a clean stop waits for handlers that are running.
        open_metrics: answer `GET /metrics` without the internal secret.
        limits: `none`, or `platform` to refuse what the hosted platform refuses (see `limits`).
        traces: make OpenTelemetry spans of triggers and dispatches.
        root_path: the path prefix that a proxy serves this server under.
        trusted_proxies: addresses and networks whose `X-Forwarded-*` headers are believed.
        retain_days: how long runs are kept after their end, with all that belongs to them; 0, the
            default, is for ever.
        retain_runs: how many of the newest runs are kept, and of the newest workflow runs; 0, the
            default, is all. None goes within a day of its end, when its key still answers for it.
        archive_dir: where the rows of old runs are written before they are deleted; by default
            nowhere.
        allowed_hosts: names beside those of loopback that requests may be sent to (`Host`).
        allow_origin: sites whose pages may call this server from a browser; `*` is all of them.
        allow_private_endpoints: call endpoints in private networks (10/8, 172.16/12, 192.168/16,
            fc00::/7), such as handlers in other containers. Whoever may make jobs or webhooks can
            then have requests sent to everything in there.
        allow_loopback: call endpoints on this machine even where the address to bind is not
            loopback.
        max_connections: how many clients may be connected at the same time.
        head_secs: how long the head of a request may take to come.
        body_secs: how long its body may take after that.
        hold: start no runs until `scheduler.start()` is called, for who starts handlers first.
        grpc_port: the port on which workers connect; 0 takes a free one, None serves none.
        grpc_host: the address that it is bound to; by default `host`.
        grpc_tls_cert: the certificate chain of that address, a PEM file. Without one only an
            address of this machine may be bound.
        grpc_tls_key: the key of the certificate, a PEM file.
        worker_lease_secs: how long a worker whose stream broke may take to come back before its
            tasks are given to another.
    """

    database: Path | None = None
    host: str = "127.0.0.1"
    port: int = 7676
    internal_secret: str = field(default="", repr=False)
    encryption_key: str = field(default="", repr=False)
    max_in_flight: int = 1_024
    max_body_bytes: int = 1024 * 1024
    keepalive_secs: float = 15.0
    stream_max_secs: float = 1_800.0
    stream_stall_secs: float = 30.0
    max_streams: int = 5_000
    max_project_streams: int = 1_000
    query_secs: float = 10.0
    drain_secs: float = 10.0
    open_metrics: bool = False
    limits: str = "none"
    traces: bool = False
    root_path: str = ""
    trusted_proxies: tuple[str, ...] = ()
    retain_days: int = 0
    retain_runs: int = 0
    archive_dir: Path | None = None
    allowed_hosts: tuple[str, ...] = ()
    allow_origin: tuple[str, ...] = ()
    allow_loopback: bool = False
    allow_private_endpoints: bool = False
    max_connections: int = 4_096
    head_secs: float = 10.0
    body_secs: float = 60.0
    hold: bool = False
    grpc_port: int | None = None
    grpc_host: str = ""
    grpc_tls_cert: Path | None = None
    grpc_tls_key: Path | None = None
    worker_lease_secs: float = 15.0

    @property
    def is_local(self) -> bool:
        """Whether the address to bind can be reached from this machine only."""
        return self.host == "localhost" or is_loopback_address(self.host)

    def without_effect(self) -> list[str]:
        """Return a line for each setting that needs another one, which is not there."""
        lines = []
        if self.archive_dir is not None and not (self.retain_days or self.retain_runs):
            lines.append(
                "nothing will be archived: runs are kept for ever without `--retain-days` or "
                "`--retain-runs`"
            )
        if self.grpc_port is None and (self.grpc_tls_cert or self.grpc_tls_key):
            lines.append("no workers will be served: `--grpc-tls-cert` needs `--grpc-port`")
        return lines


def is_loopback_address(host: str) -> bool:
    """Return whether a host is an address of this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
