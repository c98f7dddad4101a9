"""The records of a run's steps, as the platform keeps them in the run's state."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from strait.authoring.flow import Flow, as_json, items_of, run_flow, run_flow_async
from strait.authoring.validation import Checks
from strait.clock import from_timestamp
from strait.reserved import STEP_PREFIX, step_key

if TYPE_CHECKING:
    from strait.authoring.run_api import RunContextClient
    from strait.errors import Json

LONGEST_NAME = 256
# What need not be said.
_EMPTY: tuple[object, ...] = (None, "", (), {})


@dataclass(frozen=True, slots=True)
class Place:
    """A step of a run: its name, and which of that name it is.

    Attributes:
        name: the name.
        occurrence: counted from 0.
        at: the file and line that asked for it.
        idempotency_key: the same in every attempt, for what the step calls.
    """

    name: str
    occurrence: int
    at: str
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Record:
    """A step that is over, as it is kept.

    Attributes:
        name: the name of the step.
        occurrence: which of that name, from 0.
        fingerprint: of its arguments.
        status: `completed` or `failed`.
        started_at: RFC 3339.
        finished_at: RFC 3339; of the moment before it was recorded.
        attempts: how often it was tried in this attempt of the run.
        at: the file and line that asked for it.
        idempotency_key: what it could give to whom it called.
        output: what it returned, perhaps sealed or elsewhere.
        error: `type` and `message` of what it raised for good.
        undo: whether it is to be undone when the run fails for good.
        redact: paths in its output that nobody is shown.
        codec: the name of the codec that sealed its output.
        arguments: a short digest of each argument; of a step with secrets, none.
        input: its arguments for people to look at, `args` and `kwargs`, unless they are long; of a
            step with secrets, none.
    """

    name: str
    occurrence: int
    fingerprint: str
    status: str
    started_at: str
    finished_at: str
    attempts: int
    at: str
    idempotency_key: str
    output: Json = None
    error: dict[str, str] | None = None
    undo: bool = False
    redact: tuple[str, ...] = ()
    codec: str = ""
    arguments: dict[str, str] | None = None
    input: dict[str, Json] | None = None

    def to_json(self) -> dict[str, Json]:
        """Return the value of its state key."""
        said: dict[str, Json] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            if value not in _EMPTY:
                said[name] = value
        if not self.undo:
            del said["undo"]
        # A result of None is a result.
        return said if self.error is not None else {**said, "output": self.output}

    @classmethod
    def from_json(cls, value: dict[str, Json]) -> Record:
        """Return the record of a state key; what it does not know is of a later version."""
        known = {name: value[name] for name in cls.__slots__ if name in value}
        return cls(**{**known, "redact": tuple(known.get("redact", ()))})


class Journal:
    """What of a run is recorded, read once in an attempt.

    Args:
        api: returns the service that calls go to.
        run_id: the run.
    """

    def __init__(self, api: Callable[[], RunContextClient], run_id: str) -> None:
        self._api = api
        self._run_id = run_id
        self._counts: Counter[str] = Counter()
        self._kept: dict[str, Json] | None = None
        # What this attempt wrote; a read that began before must not hide it.
        self._written: dict[str, Json] = {}
        self._asked: set[str] = set()
        self._reading: asyncio.Future[None] | None = None

    def next_place(self, name: str, at: str) -> Place:
        """Return the place of the next step of a name; the same calls give the same places."""
        Checks("step").text("name", name, longest=LONGEST_NAME)
        occurrence = self._counts[name]
        self._counts[name] += 1
        identity = f"{self._run_id}\n{name}\n{occurrence}"
        key = sha256(identity.encode()).hexdigest()[:32]
        return Place(name, occurrence, at, f"strait-{key}")

    def find(self, place: Place) -> Flow[Record | None]:
        """Return the record of a step, if it is over."""
        key = step_key(place.name, place.occurrence)
        self._asked.add(key)
        value = yield from self.value(key)
        return None if value is None else Record.from_json(value)

    def value(self, key: str) -> Flow[Json]:
        """Return what is kept under a key of the runtime; None if nothing is."""
        if key in self._written:
            return self._written[key]
        if self._kept is None:
            yield self._read_once
        return self._written.get(key, (self._kept or {}).get(key))

    def _read_once(self) -> object:
        """Read what is kept; branches that ask meanwhile wait for the same answer."""
        if not inspect.iscoroutinefunction(self._api().heartbeat_run):
            run_flow(self.read())
            return None
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # a test context of a plain handler has none
            return run_flow_async(self.read())
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(run_flow_async(self.read()))
        return asyncio.shield(self._reading)

    def read(self) -> Flow[None]:
        """Read what is kept, anew if it was read before."""
        rows = yield lambda: self._api().list_state(self._run_id)
        entries = sorted((as_json(row) for row in items_of(rows)), key=_kept_at)
        self._kept = {entry["state_key"]: entry["value"] for entry in entries}

    def write(self, key: str, value: Json) -> Flow[None]:
        """Keep a value; it is on disk when this returns."""
        body = {"key": key, "value": value}
        yield lambda: self._api().set_state(self._run_id, body)
        self._written[key] = value

    def keep(self, place: Place, record: Record) -> Flow[None]:
        """Record a step that is over."""
        yield from self.write(step_key(place.name, place.occurrence), record.to_json())

    def in_order(self) -> list[str]:
        """Return all keys that are known, in the order in which they came to be kept.

        It is the platform's order: the clock of the host may have been set back meanwhile.
        """
        return list({**(self._kept or {}), **self._written})

    def records(self) -> list[Record]:
        """Return all records that are known, in the order in which the steps ended."""
        known: dict[str, Any] = {**(self._kept or {}), **self._written}
        found = [Record.from_json(value) for key, value in known.items() if _is_step(key)]
        return sorted(found, key=lambda record: record.finished_at)

    def undoable(self) -> list[tuple[str, int]]:
        """Return name and occurrence of the steps that were done and can be undone."""
        done = (record for record in self.records() if record.undo and record.error is None)
        return [(record.name, record.occurrence) for record in done]

    def not_asked(self) -> list[Record]:
        """Return the records of steps that this attempt has not come to, oldest first."""
        left = {key: value for key, value in (self._kept or {}).items() if key not in self._asked}
        found = [Record.from_json(value) for key, value in left.items() if _is_step(key)]
        return sorted(found, key=lambda record: record.finished_at)

    def has_more(self) -> bool:
        """Say whether steps are recorded that this attempt has not come to yet."""
        return any(_is_step(key) and key not in self._asked for key in self._kept or ())


def _kept_at(entry: dict[str, Json]) -> tuple[int, str]:
    try:
        instant = from_timestamp(entry.get("updated_at") or "")
    except ValueError:
        instant = 0  # a platform that does not tell
    value = entry["value"]
    return instant, str(value.get("finished_at", "")) if isinstance(value, dict) else ""


def _is_step(key: str) -> bool:
    return key.startswith(STEP_PREFIX)
