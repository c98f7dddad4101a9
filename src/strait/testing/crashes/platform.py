"""A run in memory that outlives its handlers: what is recorded of it, and where they crash.

A `MemoryRun` is the platform's side. Each attempt talks to it by an `Incarnation` of its own, which
is dead for good once it has crashed, so that whatever of a dead attempt still runs writes nothing.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from strait.authoring.harness import TIMED_OUT, RecordingRuns, TestRunRecord
from strait.clock import from_timestamp
from strait.errors import NotFoundError
from strait.reserved import (
    SLEEP_PREFIX,
    STATE_PREFIX,
    STEP_PREFIX,
    VERSION_PREFIX,
    child_outcome_key,
    event_state_key,
    spawn_key,
)

if TYPE_CHECKING:
    from strait.authoring.recorded.step import CurrentStep
    from strait.errors import Json


class Crash(BaseException):
    """The process of the handler is gone."""


@dataclass(frozen=True, slots=True)
class CrashAt:
    """Where a life is to crash.

    Attributes:
        number: at which of the things that it records, from 0.
        before: whether before that is recorded, and not right behind it.
    """

    number: int
    before: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """What comes from outside of the run.

    Attributes:
        events: `{event_key: payload}`; `TIMED_OUT` for one that does not come in time.
        children: `{job_slug: result}`.
    """

    events: Mapping[str, Json] = field(default_factory=dict)
    children: Mapping[str, Json] = field(default_factory=dict)

    def event(self, key: str) -> dict[str, Json]:
        """Return what the platform keeps of an event.

        Raises:
            LookupError: it is not scripted.
        """
        if key not in self.events:
            raise LookupError(f"no event `{key}` is scripted; give `events={{{key!r}: …}}`")
        scripted = copy.deepcopy(self.events[key])
        came = {"timed_out": True} if scripted is TIMED_OUT else {"payload": scripted}
        return {"event_key": key, **came}

    def child(self, slug: str, run_id: str) -> dict[str, Json]:
        """Return what the platform keeps of the end of a child.

        Raises:
            LookupError: it is not scripted.
        """
        if slug not in self.children:
            raise LookupError(f"no child is scripted; give `children={{{slug!r}: …}}`")
        result = copy.deepcopy(self.children[slug])
        return {"run_id": run_id, "status": "completed", "result": result}


class MemoryRun:
    """A run as its platform knows it, over all of its attempts.

    Args:
        script: what comes from outside.
        crash_at: where its handler crashes, once; None for nowhere.
        state: entries of the run's state that are there from the start.

    Attributes:
        record: everything that was done.
        kept: what the runtime keeps in the run's state.
        recorded: a word on each thing that was recorded, in order.
        calls: how often the function of each step was called.
        again: steps that were carried out although they were on record.
        crashed_at: where it crashed; empty if it has not.
        under_way: the steps that the crash kept from being recorded.
        unscripted: what the script lacks; None if it has everything.
    """

    def __init__(
        self, script: Script, crash_at: CrashAt | None, state: Mapping[str, Json] | None
    ) -> None:
        self.script = script
        self.crash_at = crash_at
        self.record = TestRunRecord(state_store=dict(state or {}))
        self.kept: dict[str, Json] = {}
        self.recorded: list[str] = []
        self.calls: Counter[str] = Counter()
        self.again: list[str] = []
        self.crashed_at = ""
        self.under_way: frozenset[str] = frozenset()
        self.unscripted: LookupError | None = None
        self._slept_us = 0

    def now(self) -> float:
        """Return the time of the run in unix seconds: what it sleeps passes at once."""
        return time.time() + self._slept_us / 1e6

    def sleep_until(self, timestamp: str) -> None:
        """Let time pass."""
        ahead = from_timestamp(timestamp) - round(self.now() * 1e6)
        self._slept_us += max(ahead, 0)

    def crashes(self, word: str, *, before: bool) -> bool:
        """Say whether the handler crashes here, at the next thing that it records."""
        at = self.crash_at
        if at is None or self.crashed_at or at.before != before:
            return False
        if at.number != len(self.recorded) - (not before):
            return False
        self.crashed_at = f"before {word} was recorded" if before else f"behind {word}"
        self.under_way = frozenset(self.calls) - frozenset(self.recorded)
        return True


class Incarnation(RecordingRuns):
    """`client.sdk_runs` of one attempt.

    Args:
        run: the run.

    Attributes:
        died: set when the attempt has crashed.
    """

    def __init__(self, run: MemoryRun) -> None:
        super().__init__(run.record, run.kept)
        self._run = run
        self.died = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._dead = False

    @property
    def dead(self) -> bool:
        """Whether the attempt has crashed."""
        return self._dead

    def watch(self, step: CurrentStep) -> None:
        """Note that the function of a step is about to be called."""
        self._alive()
        name = shown(step.name, step.occurrence)
        self._run.calls[name] += 1
        if name in self._run.recorded:
            self._run.again.append(name)

    def _alive(self) -> None:
        if self._dead:
            raise Crash

    def _crash(self) -> None:
        self._dead = True
        self._loop.call_soon_threadsafe(self.died.set)
        raise Crash

    def _open(self, body: Json) -> Json:
        self._alive()
        return super()._open(body)

    def _is_recorded(self, word: str) -> None:
        """Note something on record, and crash behind it if this is the place."""
        self._run.recorded.append(word)
        if self._run.crashes(word, before=False):
            self._crash()

    async def set_state(self, run_id: str, body: dict[str, Json], /) -> None:
        """Write a key; of the runtime's own, this is where a handler may crash."""
        word = _word(body["key"], body["value"])
        if word is None:
            await super().set_state(run_id, body)
            return
        self._alive()
        if body["key"].startswith(STEP_PREFIX) and self._run.crashes(word, before=True):
            self._crash()
        await super().set_state(run_id, body)
        self._is_recorded(word)

    async def get_state(self, run_id: str, key: str, /) -> dict[str, Json]:
        """Return a key, or answer 404."""
        for row in await self.list_state(run_id):
            if row["state_key"] == key:
                return row
        raise NotFoundError(404, "state key not found")

    async def spawn_run(self, run_id: str, body: dict[str, Json], /) -> dict[str, Json]:
        """Start a child, or find the one that the same call of an earlier attempt has started."""
        self._alive()
        key = spawn_key(body.get("spawn_key", ""))
        child: dict[str, Json] = {"id": self.kept.get(key, ""), "parent_run_id": run_id}
        if not child["id"]:
            child = await super().spawn_run(run_id, body)
            self.kept[key] = child["id"]
            self._is_recorded(f"the child `{body['job_slug']}`")
        if body.get("await_completion"):
            self._come(children=[child["id"]])
        return child

    async def wait_for_event_run(self, run_id: str, body: dict[str, Json], /) -> dict[str, Json]:
        """Let the run wait; the event is there when its handler is called again."""
        answer = await super().wait_for_event_run(run_id, body)
        key = body["event_key"]
        occurrence = sum(wait["event_key"] == key for wait in self._run.record.events) - 1
        self._come(waits=[{"event_key": key, "occurrence": occurrence}])
        self._is_recorded(f"the wait for `{key}`")
        return answer

    async def suspend_run(self, run_id: str, body: dict[str, Json], /) -> dict[str, Json]:
        """Let the run wait; what it waits for is there when its handler is called again."""
        waits = self._open(body)
        if waits.get("wake_at"):
            self._run.sleep_until(waits["wake_at"])
        self._come(waits.get("waits", ()), waits.get("children", ()))
        return {"status": "waiting"}

    def _come(self, waits: Any = (), children: Any = ()) -> None:
        """Bring what was scripted.

        Raises:
            LookupError: it was not.
        """
        try:
            for wait in waits:
                key = event_state_key(wait["event_key"], wait["occurrence"])
                self.kept[key] = self._run.script.event(wait["event_key"])
            for child in children:
                slug = self._run.record.spawns[int(child.rpartition("_")[2]) - 1]["job_slug"]
                self.kept[child_outcome_key(child)] = self._run.script.child(slug, child)
        except LookupError as error:
            self._run.unscripted = error
            raise


def shown(name: str, occurrence: int) -> str:
    """Return what a report calls a step."""
    return f"step `{name}`" + (f" ({occurrence + 1})" if occurrence else "")


def _word(key: str, value: Json) -> str | None:
    """Return what a report calls what the runtime keeps under a key; None if it is the user's."""
    if not key.startswith(STATE_PREFIX):
        return None
    if key.startswith(STEP_PREFIX):
        return shown(value["name"], value["occurrence"])
    if key.startswith(SLEEP_PREFIX):
        return f"the {'end' if value.get('over') else 'beginning'} of sleep `{value['name']}`"
    if key.startswith(VERSION_PREFIX):
        return f"version `{value['change_id']}`"
    return f"`{key}`"
