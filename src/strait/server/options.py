"""The settings of a server that can be given from outside, each with one name.

From the name come its flag (`--query-secs`), its variable (`STRAIT_SERVER_QUERY_SECS`) and its key
in the section `server` of `strait.json` (`query_secs`). This module imports nothing of the server,
so that `strait --help` stays quick.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

PREFIX = "STRAIT_SERVER_"


def _whole(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def _positive(text: str) -> int:
    number = _whole(text)
    if number == 0:
        raise ValueError
    return number


def port(text: str) -> int:
    """Return a port from its text; 0 stands for any that is free."""
    number = _whole(text)
    if number > 65_535:
        raise ValueError
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError
    return number


def _some_seconds(text: str) -> float:
    number = _seconds(text)
    if number == 0:
        raise ValueError
    return number


def _flag(text: str) -> bool:
    return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[
        text.lower()
    ]


def _limits(text: str) -> str:
    if text not in {"none", "platform"}:
        raise ValueError
    return text


def _prefix(text: str) -> str:
    if text and not text.startswith("/"):
        raise ValueError
    return text.rstrip("/")


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _networks(text: str) -> tuple[str, ...]:
    networks = _list(text)
    for network in networks:
        if network != "*":
            ip_network(network)
    return networks


def _names(text: str) -> tuple[str, ...]:
    return _matching(r"[^\s/:@]+|\[[0-9A-Fa-f:.]+\]", _list(text))


def _origins(text: str) -> tuple[str, ...]:
    return _matching(r"\*|[A-Za-z][A-Za-z0-9+.-]*://[^\s/@?#]+/?", _list(text))


def _matching(pattern: str, parts: tuple[str, ...]) -> tuple[str, ...]:
    if not all(re.fullmatch(pattern, part) for part in parts):
        raise ValueError
    return parts


@dataclass(frozen=True, slots=True)
class Option:
    """A setting that can be given from outside.

    Attributes:
        name: the field of `Settings`.
        parse: from text to its value; a `ValueError` or `KeyError` refuses it.
        expected: what it may be, for who gave something else.
        about: what it does.
        secret: it is read from the environment only, and never shown.
        variables: further names of its variable.
    """

    name: str
    parse: Callable[[str], Any]
    expected: str
    about: str
    secret: bool = False
    variables: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        """The flag of the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper()


OPTIONS = (
    Option("limits", _limits, "`none` or `platform`",
           "`platform` refuses what the hosted platform refuses: rates, ports, long calls"),
    Option("max_in_flight", _positive, "a whole number from 1 on",
           "handlers called at the same time"),
    Option("max_body_bytes", _positive, "a whole number from 1 on", "the largest request body"),
    Option("query_secs", _some_seconds, "more than 0 seconds",
           "how long one query of analytics may take"),
    Option("drain_secs", _seconds, "seconds", "how long a clean stop waits for handlers"),
    Option("keepalive_secs", _some_seconds, "more than 0 seconds",
           "how often a silent event stream sends a comment"),
    Option("stream_max_secs", _some_seconds, "more than 0 seconds",
           "when an event stream is ended; clients connect again"),
    Option("stream_stall_secs", _some_seconds, "more than 0 seconds",
           "how long a reader of a stream may leave a frame unread"),
    Option("max_streams", _whole, "a whole number", "event streams that may be open at a time"),
    Option("max_project_streams", _whole, "a whole number", "event streams of one project"),
    Option("open_metrics", _flag, "`true` or `false`",
           "answer `GET /metrics` without the internal secret"),
    Option("traces", _flag, "`true` or `false`",
           "make OpenTelemetry spans of triggers and dispatches"),
    Option("root_path", _prefix, "a path like `/strait`",
           "the path prefix that a proxy serves this server under"),
    Option("trusted_proxies", _networks, "addresses or networks, with commas between",
           "whose `X-Forwarded-For` and `-Proto` are believed"),
    Option("retain_days", _whole, "a whole number of days",
           "drop runs so long after their end; 0 is never"),
    Option("retain_runs", _whole, "a whole number", "keep so many of the newest runs; 0 is all"),
    Option("archive_dir", Path, "a directory", "write old runs there before they are dropped"),
    Option("allowed_hosts", _names, "names, with commas between",
           "names beside `localhost` that requests may be sent to"),
    Option("allow_origin", _origins, "origins like `https://app.example`, with commas between",
           "sites whose pages may call this server from a browser"),
    Option("allow_private_endpoints", _flag, "`true` or `false`",
           "call endpoints in private networks, such as handlers in other containers"),
    Option("allow_loopback", _flag, "`true` or `false`",
           "call endpoints on this machine also where `--host` is open to the network"),
    Option("max_connections", _positive, "a whole number from 1 on",
           "clients connected at the same time"),
    Option("grpc_port", port, "a port from 0 to 65535",
           "serve the worker protocol (gRPC) on this port; 0 = any"),
    Option("grpc_host", str, "an address", "address to bind for workers; by default that of HTTP"),
    Option("grpc_tls_cert", Path, "a PEM file",
           "certificate chain for workers; needed where the address is not loopback"),
    Option("grpc_tls_key", Path, "a PEM file", "the key of that certificate"),
    Option("worker_lease_secs", _seconds, "seconds",
           "how long the tasks of a worker that lost its stream wait for it to come back"),
    Option("internal_secret", str, "a text", "lets requests make projects and keys", secret=True,
           variables=("INTERNAL_SECRET",)),
    Option("encryption_key", str, "a text", "what secrets are sealed with", secret=True,
           variables=("STRAIT_ENCRYPTION_KEY",)),
)  # fmt: skip
