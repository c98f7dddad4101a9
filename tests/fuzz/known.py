"""What the fuzzer has learnt from answers: the ids of things that are there, by their kind."""

from __future__ import annotations

import random
import re
from collections import defaultdict, deque
from itertools import pairwise
from typing import Any

from strait.server._generated.routes import ROUTES

_REMEMBERED = 40
# Names of fields that name a thing without ending in `_id`.
_NAMING = {"slug", "event_key", "step_ref", "key", "stream_id", "name", "next_cursor", "version"}


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
    return found


COLLECTIONS = _collections()


class Known:
    """The newest ids of every kind that a project has shown."""

    def __init__(self) -> None:
        self._ids: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))

    def learn(self, path: str, answer: Any) -> None:
        """Take the ids out of an answer to a request of this path."""
        literal = [part for part in path.split("/") if part in COLLECTIONS]
        self._walk(answer, COLLECTIONS[literal[-1]] if literal else "", 0)

    def pick(self, kind: str, rng: random.Random) -> str | None:
        """Return one of a kind, if there is any."""
        ids = self._ids.get(kind)
        return rng.choice(ids) if ids else None

    def _walk(self, value: Any, kind: str, depth: int) -> None:
        if isinstance(value, list):
            for item in value[:10]:
                self._walk(item, kind, depth + 1)
        elif isinstance(value, dict) and depth < 4:
            for name, inner in value.items():
                if isinstance(inner, dict | list):
                    self._walk(inner, kind if name == "data" else kind_of(name), depth + 1)
                elif isinstance(inner, str | int) and not isinstance(inner, bool) and inner != "":
                    self._note(kind, name, str(inner))

    def _note(self, kind: str, name: str, text: str) -> None:
        if name == "id":
            self._add(kind, text)
        elif name.endswith("_id") or name in _NAMING:
            self._add(kind_of(name), text)

    def _add(self, kind: str, text: str) -> None:
        ids = self._ids[kind]
        if text not in ids:
            ids.append(text)
