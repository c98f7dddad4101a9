"""What the server counts while it runs, and how `GET /metrics` tells it.

Counting is on the way of every run, so it is an addition to a plain number. Everything else
(waiting runs, timers, the size of the database) is looked up when somebody asks, and the library
that writes the text is imported then.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from strait.clock import SECOND
from strait.store.runs import ACTIVE, UNFINISHED

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from strait.server.platform import Platform

_LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
_SIZES = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0)


class Histogram:
    """Counts of values by the smallest bound that holds them."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return (bound, how many values are at most that), as Prometheus counts them."""
        so_far, found = 0, []
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            so_far += count
            found.append(("+Inf" if bound == float("inf") else repr(bound), float(so_far)))
        return found


class Figures:
    """The counters of one server; they begin at nought with each start.

    Attributes:
        requests: answered requests by (operation, status).
        ended: runs that ended, by status.
        dispatch_secs: from the moment a run might start to the call of its handler.
        commit_secs: how long the disk took for one commit.
        commit_operations: how many operations shared a commit.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.ended: Counter[str] = Counter()
        self.dispatch_secs = Histogram(_LATENCIES)
        self.commit_secs = Histogram(_LATENCIES)
        self.commit_operations = Histogram(_SIZES)

    def run_ended(self, status: str) -> None:
        """Count a run that is over."""
        self.ended[status] += 1

    def committed(self, seconds: float, operations: int) -> None:
        """Count a commit."""
        self.commit_secs.observe(seconds)
        self.commit_operations.observe(operations)


class Present(NamedTuple):
    """What only the database knows."""

    runs: dict[str, int]
    deliveries: int


def present_counts(db: sqlite3.Connection) -> Present:
    """Count the runs that are not over, by status, and the messages that wait to be delivered."""
    counts = db.execute(
        f"SELECT status, count(*) FROM runs WHERE {UNFINISHED} GROUP BY status"
    ).fetchall()
    (deliveries,) = db.execute(
        "SELECT count(*) FROM deliveries WHERE status = 'pending'"
    ).fetchone()
    return Present(dict.fromkeys(ACTIVE, 0) | dict(counts), deliveries)


class Exposition:
    """The metrics of a platform, in the form that the library collects."""

    def __init__(self, platform: Platform, present: Present) -> None:
        self._platform = platform
        self._counts = present

    def text(self) -> bytes:
        """Return them as Prometheus text."""
        from prometheus_client.core import CollectorRegistry  # noqa: PLC0415 - only who asks pays
        from prometheus_client.exposition import generate_latest  # noqa: PLC0415

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """Yield every family of metrics."""
        yield from self._counted()
        yield from self._present()

    def _counted(self) -> Iterator[Metric]:
        figures = self._platform.figures
        yield _counter(
            "strait_http_requests",
            "Answered requests.",
            ("operation", "status"),
            (((operation, str(status)), n) for (operation, status), n in figures.requests.items()),
        )
        yield _counter(
            "strait_runs_ended",
            "Runs that ended since the server started.",
            ("status",),
            (((status,), n) for status, n in figures.ended.items()),
        )
        for name, about, histogram in (
            (
                "strait_dispatch_latency_seconds",
                "From the moment a run might start to the call of its handler.",
                figures.dispatch_secs,
            ),
            ("strait_commit_seconds", "How long the disk took.", figures.commit_secs),
            (
                "strait_commit_operations",
                "Operations that shared a commit.",
                figures.commit_operations,
            ),
        ):
            yield _histogram(name, about, histogram)

    def _present(self) -> Iterator[Metric]:
        platform, present = self._platform, self._counts.runs
        yield _gauge(
            "strait_runs",
            "Runs that are not over.",
            ("status",),
            (((status,), n) for status, n in present.items()),
        )
        files = [Path(f"{platform.database}{suffix}") for suffix in ("", "-wal")]
        size = sum(file.stat().st_size for file in files if file.exists())
        age = max(0, platform.clock.now() - platform.started_at) / SECOND
        for name, about, value in (
            ("strait_queue_depth", "Runs that wait for their turn.", present["queued"]),
            ("strait_workers", "Workers that are connected.", platform.workers.connected),
            ("strait_dispatches", "Handlers that are being called.", platform.dispatcher.in_flight),
            ("strait_timers", "Instants that are being waited for.", len(platform.timers)),
            ("strait_event_streams", "Open event streams.", platform.streams.total),
            (
                "strait_deliveries_pending",
                "Messages to the outside that were not delivered yet.",
                self._counts.deliveries,
            ),
            ("strait_database_bytes", "Size of the database with its log.", size),
            ("strait_uptime_seconds", "Since the server started.", age),
        ):
            yield _gauge(name, about, (), [((), value)])


_Samples = Iterable[tuple[tuple[str, ...], float]]


def _counter(name: str, about: str, labels: tuple[str, ...], samples: _Samples) -> Metric:
    from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415

    family = CounterMetricFamily(name, about, labels=labels)
    for values, value in sorted(samples):
        family.add_metric(values, value)
    return family


def _gauge(name: str, about: str, labels: tuple[str, ...], samples: _Samples) -> Metric:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

    family = GaugeMetricFamily(name, about, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _histogram(name: str, about: str, histogram: Histogram) -> Metric:
    from prometheus_client.core import HistogramMetricFamily  # noqa: PLC0415

    family = HistogramMetricFamily(name, about)
    family.add_metric((), histogram.buckets(), histogram.total)
    return family
