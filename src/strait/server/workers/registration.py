"""What a worker says of itself when it connects, and the bounds of it (`contract/runs.md` §10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from strait.server.workers.fleet import Refusal

MAX_PROJECT_STREAMS = 1_000
MAX_KEY_STREAMS = 100
MAX_LOG_BYTES = 4_096
MAX_ERROR_BYTES = 8_192
_MAX_SLOTS = 1_024
_DEFAULT_QUEUE = "default"


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a task, as its worker tells it.

    Attributes:
        status: `success` or `failed`; in a registration also `abandoned`, or empty for a task that
            goes on.
        output: the JSON text of the result.
        duration_ms: how long it took; None if that is not known.
    """

    run_id: str
    assignment: str
    attempt: int
    status: str
    output: bytes = b""
    error: str = ""
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """The first message of a stream."""

    worker_id: str
    name: str = ""
    queues: tuple[str, ...] = ()
    job_slugs: tuple[str, ...] = ()
    sdk_version: str = ""
    sdk_language: str = ""
    hostname: str = ""
    slots_total: int = 0
    slots_available: int = 0
    in_flight: tuple[Told, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def served_queues(self) -> frozenset[str]:
        """The queues that it serves; who names none serves the one that jobs have by default."""
        return frozenset(self.queues) or frozenset({_DEFAULT_QUEUE})


def check(registration: Registration) -> None:
    """Check the bounds of a registration.

    Raises:
        Refusal: `INVALID_ARGUMENT`, naming the field.
    """
    if not registration.worker_id:
        raise _invalid("worker_id is required")
    for name, longest in _LENGTHS.items():
        _text(name, getattr(registration, name), longest)
    _count("queues", registration.queues, 64)
    for queue in registration.queues:
        _text("queue", queue, 128)
    _count("job_slugs", registration.job_slugs, 256)
    _count("in_flight_tasks", registration.in_flight, 256)
    _count("metadata", registration.metadata, 64)
    if not 0 <= registration.slots_total <= _MAX_SLOTS:
        raise _invalid(f"slots_total must be between 0 and {_MAX_SLOTS}")
    if not 0 <= registration.slots_available <= registration.slots_total:
        raise _invalid("slots_available must be between 0 and slots_total")


_LENGTHS = {
    "worker_id": 128,
    "name": 128,
    "sdk_version": 64,
    "sdk_language": 32,
    "hostname": 255,
}


def _text(name: str, value: str, longest: int) -> None:
    if len(value.encode()) > longest:
        raise _invalid(f"{name} must have at most {longest} bytes")
    if "\x00" in value:
        raise _invalid(f"{name} must not contain a NUL")


def _count(name: str, values: Iterable[object], most: int) -> None:
    if len(list(values)) > most:
        raise _invalid(f"{name} must have at most {most} entries")


def _invalid(text: str) -> Refusal:
    return Refusal("INVALID_ARGUMENT", text)
