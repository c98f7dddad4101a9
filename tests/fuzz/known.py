"""What the fuzzer has learnt from answers: the ids of things that are there, by their kind."""

from __future__ import annotations

import random
import re
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from strait.server._generated.routes import ROUTES

_REMEMBERED = 40
# A state is soon over: of what was seen in one, only the newest may still be in it.
_FRESH = 8
# Names of fields that name a thing without ending in `_id`.
_NAMING = {
    "slug", "event_key", "step_ref", "key", "stream_id", "name", "next_cursor", "version",
    "state_key", "memory_key", "user_code", "device_code",
}  # fmt: skip
# What a collection holds where its parameter does not say, and what names such a thing in a path.
_HELD = {
    "throttles": "throttle", "memory": "memory_key", "state": "state_key",
    "compare": "workflow_run", "subscribe": "subscription",
}  # fmt: skip
_NAMED_BY = {"throttle": "name"}
_OWNERS = {"project", "org", "environment", "created_by"}


class Thing(NamedTuple):
    """Something that is there.

    Attributes:
        text: what names it in a path.
        around: what it belongs to or names itself, as kinds and texts: the job of a version.
    """

    text: str
    around: frozenset[tuple[str, str]] = frozenset()


def kind_of(name: str) -> str:
    """Return the kind that a parameter or a field names: `jobID` and `job_id` are a `job`."""
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    snake = re.sub(r"^(other|from|to|target|parent|depends_on|sub|compensation)_(?=.)", "", snake)
    return re.sub(r"_ids?$", "", snake)


def _collections() -> dict[str, str]:
    """Which kind is listed under which segment of a path: `jobs` lists each `job`."""
    found = {}
    for route in ROUTES:
        segments = route.path.split("/")
        for collection, parameter in pairwise(segments):
            if parameter.startswith("{") and not collection.startswith("{"):
                kind = kind_of(parameter[1:-1])
                found[collection] = kind if kind != "id" else collection.rstrip("s")
    return found | _HELD


COLLECTIONS = _collections()


class Known:
    """The newest things of every kind that a project has shown, and of every state of a kind."""

    def __init__(self) -> None:
        self._things: dict[str, deque[Thing]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))

    def learn(self, path: str, answer: Any, around: Iterable[tuple[str, str]] = ()) -> None:
        """Take the ids out of an answer to a request of this path, made with these ids."""
        self._walk(answer, _told_by(path), frozenset(around), 0)

    def pick(self, kind: str, rng: random.Random, states: Sequence[str] = ()) -> str | None:
        """Return the name of one of a kind, if there is any."""
        thing = self.find(kind, rng, states)
        return thing.text if thing else None

    def find(
        self,
        kind: str,
        rng: random.Random,
        states: Sequence[str] = (),
        outer: Sequence[str] = (),
    ) -> Thing | None:
        """Return one of a kind, if there is any.

        Args:
            kind: its kind.
            rng: what chooses.
            states: it was last seen in one of these, if any was.
            outer: it is known which of these kinds it belongs to, if it is of any.
        """
        for state in rng.sample(states, len(states)):
            if fresh := list(self._things.get(f"{kind} {state}", ()))[-_FRESH:]:
                return rng.choice(fresh)
        things = list(self._things.get(kind, ()))
        placed = [thing for thing in things if set(outer) <= {kind for kind, _ in thing.around}]
        return rng.choice(placed or things) if things else None

    def sibling(self, kind: str, thing: Thing, rng: random.Random) -> str | None:
        """Return another one of a kind that belongs to the same, if there is any."""
        shared = {pair for pair in thing.around if pair[0] not in _OWNERS}
        found = [
            other.text
            for other in self._things.get(kind, ())
            if other.text != thing.text and shared & other.around
        ]
        return rng.choice(found) if found else None

    def _walk(self, value: Any, kind: str, around: frozenset[tuple[str, str]], depth: int) -> None:
        if isinstance(value, list):
            for item in value[:10]:
                self._walk(item, kind, around, depth + 1)
        elif isinstance(value, dict) and depth < 4:
            within = around | _references(value, kind)
            for name, inner in value.items():
                if isinstance(inner, dict | list):
                    below = kind if name == "data" else kind_of(name)
                    self._walk(inner, below, within, depth + 1)
                elif isinstance(inner, str | int) and not isinstance(inner, bool) and inner != "":
                    self._note(kind, name, Thing(str(inner), within), _state(value))

    def _note(self, kind: str, name: str, thing: Thing, state: str) -> None:
        if name == _NAMED_BY.get(kind, "id"):
            self._add(kind, thing, state)
        elif name.endswith("_id") or name in _NAMING:
            self._add(kind_of(name), thing, state)
        if name in {"slug", "name"}:
            self._add(f"{kind}_{name}", thing, "")

    def _add(self, kind: str, thing: Thing, state: str) -> None:
        for place in (kind, f"{kind} {state}") if state else (kind,):
            things = self._things[place]
            if thing not in things:
                things.append(thing)


def _told_by(path: str) -> str:
    """Return the kind of what has an `id` in the answers of a path."""
    if path.endswith(("/trigger", "/trigger/bulk")):
        return "workflow_run" if "/workflows/" in path else "run"
    literal = [part for part in path.split("/") if part in COLLECTIONS]
    return COLLECTIONS[literal[-1]] if literal else ""


def _references(value: dict[str, Any], kind: str) -> frozenset[tuple[str, str]]:
    return frozenset(
        (kind if name == "id" else kind_of(name), inner)
        for name, inner in value.items()
        if (name == "id" or name.endswith("_id")) and isinstance(inner, str) and inner
    )


def _state(value: dict[str, Any]) -> str:
    """Return what state something is in; what has a second version is `changed`."""
    status, version = value.get("status"), value.get("version")
    if isinstance(status, str):
        return status
    return "changed" if isinstance(version, int) and version > 1 else ""
