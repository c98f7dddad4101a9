"""Limits of requests: of one API key, always; of one address, where the platform's are asked for.

With `--limits platform` a program meets here what it would meet there (`contract/runs.md` §7.7):
requests a minute by address, a thousand a minute by key, five minutes for one call of a handler,
and endpoints on a few ports only.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from strait.clock import SECOND
from strait.engine.model import Job
from strait.server.errors import ApiError
from strait.server.schema import Route
from strait.store import meta

PLATFORM = "platform"
NONE = "none"
# The longest that the platform holds one call of a handler open (§4.3).
DISPATCH_SECS = 300
# Where endpoints outside of this machine may listen (§4.6).
PORTS = frozenset({80, 443, 8080, 8443, 3000, 4000, 5000, 9000})

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_MINUTE = 60
_OF_ALL = 100
_OF_KEY = (1_000, _MINUTE)
# Requests a minute and address by operation; those of one name share their count.
_BY_OPERATION = {
    "trigger-job": ("trigger", 10),
    "trigger-workflow": ("trigger", 10),
    "send-event": ("events", 10),
    "send-event-by-prefix": ("events", 10),
    "dispatch-event": ("events", 10),
    "bulk-trigger-job": ("bulk", 5),
    "create-job": ("jobs", 30),
    "batch-create-jobs": ("batch", 10),
    "create-api-key": ("api-keys", 10),
    "rotate-api-key": ("api-keys", 10),
    "create-secret": ("secrets", 20),
    "delete-secret": ("secrets", 20),
    "test-webhook": ("webhook-test", 5),
    "verify-job-endpoint": ("verify", 10),
}
_SWEEP_AT = 10_000


def check_ports(kind: str, job: Job) -> None:
    """Check that the platform would call the endpoints of a job.

    Handlers on this machine are left alone: they move to a public address before the job does.

    Raises:
        ApiError: 400 naming the port.
    """
    if kind != PLATFORM:
        return
    for field in ("endpoint_url", "fallback_endpoint_url"):
        url = urlsplit(str(getattr(job, field)))
        port = url.port or (443 if url.scheme == "https" else 80)
        if url.hostname and url.hostname not in _LOOPBACK and port not in PORTS:
            allowed = ", ".join(map(str, sorted(PORTS)))
            raise ApiError(
                400, f"invalid {field}: the platform calls no port {port}, only {allowed}"
            )


class Rate(NamedTuple):
    """What is left of a limit, as the answer's headers tell."""

    limit: int
    remaining: int

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return them."""
        return (
            (b"x-ratelimit-limit", str(self.limit).encode()),
            (b"x-ratelimit-remaining", str(self.remaining).encode()),
        )


class RateLimits:
    """Counts requests in windows of fixed length, each begun by its first request.

    Args:
        kind: `none` or `platform`.
    """

    def __init__(self, kind: str) -> None:
        self._platform = kind == PLATFORM
        self._windows: dict[tuple[str, str], tuple[int, int]] = {}

    def check_address(self, route: Route, address: str, now: int) -> None:
        """Count a request of an address.

        Raises:
            ApiError: 429 with `Retry-After`.
        """
        if not self._platform or route.plane == "health":
            return
        self._take("all", address, _OF_ALL, _MINUTE, now)
        rule = _BY_OPERATION.get(route.id)
        if rule is not None:
            self._take(rule[0], address, rule[1], _MINUTE, now)

    def check_key(self, key: meta.ApiKey, now: int) -> Rate | None:
        """Count a request under a key, and return what is left; None where there is no limit.

        Raises:
            ApiError: 429 with `Retry-After`.
        """
        limit, window_secs = key.rate_limit_requests, key.rate_limit_window_secs or _MINUTE
        if not limit and self._platform:
            limit, window_secs = _OF_KEY
        return self._take("key", key.id, limit, window_secs, now) if limit else None

    def _take(self, what: str, who: str, limit: int, window_secs: int, now: int) -> Rate:
        ends_at, count = self._windows.get((what, who), (now, 0))
        if ends_at <= now:
            ends_at, count = now + window_secs * SECOND, 0
        if count >= limit:
            secs = str(-(-(ends_at - now) // SECOND))
            headers = {
                "Retry-After": secs,
                "X-RateLimit-Limit": str(limit),
                "X-RateLimit-Remaining": "0",
            }
            details = [f"retry_after_seconds={secs}"]
            raise ApiError(429, "rate limit exceeded", details=details, headers=headers)
        self._windows[what, who] = (ends_at, count + 1)
        if len(self._windows) > _SWEEP_AT:
            self._windows = {key: kept for key, kept in self._windows.items() if kept[0] > now}
        return Rate(limit, limit - count - 1)
