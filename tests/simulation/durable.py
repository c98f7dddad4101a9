"""Simulated hosts of durable handlers: recorded steps, sleeps, waits and undos.

What a handler does follows from its run alone, so that each attempt goes the same way. All that it
knows of earlier attempts it reads from the run's state, as `strait.authoring.recorded` does.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from simulation.machine import Machine
from simulation.setting import HANG_SECS, PROJECT
from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.reserved import (
    STATE_PREFIX,
    STEP_PREFIX,
    UNDO_STEP_PREFIX,
    child_outcome_key,
    event_state_key,
    sleep_key,
    step_key,
)

if TYPE_CHECKING:
    from simulation.handlers import Attempt, Handlers

DAY = 24 * 3600


Kind = Literal["step", "sleep", "event", "child"]


class GoneError(Exception):
    """The platform has no use for this attempt any more."""


class Deed(NamedTuple):
    """One thing that a handler does: a step that is undone or not, a sleep, or a wait."""

    kind: Kind
    number: int
    secs: int = 0
    undo: bool = False

    @property
    def name(self) -> str:
        """The name of a step."""
        return f"step-{self.number}"


def plan(run_id: str) -> tuple[list[Deed], bool]:
    """Return what the handler of a run does in its order, and whether it fails for good then."""
    chance = Random(run_id)
    deeds: list[Deed] = []
    for number in range(chance.randint(2, 5)):
        kind: Kind = chance.choice(("step", "step", "step", "sleep", "event", "child"))
        secs = chance.choice((2, 60, 3600, 2 * DAY) if kind == "sleep" else (60, 3600))
        deeds.append(Deed(kind, number, secs, undo=chance.random() < 0.7))
    return deeds, chance.random() < 0.4


@dataclass
class Suspension:
    """What a run was suspended for, as its handler was told."""

    at: int
    times_set_back: int
    wake_at: int = 0
    state_key: str = ""


@dataclass
class Books:
    """What handlers know to be true of durable runs, whatever the platform says.

    Attributes:
        offered: what a handler asked to keep, by run and key, while it could be allowed to.
        kept: what the platform acknowledged of it.
        suspended: what a run waits for, if its handler was told that it does.
        opened: when a wait for an event was asked for first.
        sent: all payloads that were sent, by event key.
        children: what a run has spawned, by run and the number of the deed.
    """

    offered: dict[tuple[str, str], list[object]] = field(default_factory=lambda: defaultdict(list))
    kept: dict[tuple[str, str], object] = field(default_factory=dict)
    suspended: dict[str, Suspension] = field(default_factory=dict)
    opened: dict[str, Suspension] = field(default_factory=dict)
    sent: dict[str, list[object]] = field(default_factory=lambda: defaultdict(list))
    children: dict[tuple[str, int], str] = field(default_factory=dict)


class Durable:
    """Carries durable handlers out, and checks all that it sees.

    Args:
        machine: where the platform runs.
        handlers: speaks for runs.
    """

    def __init__(self, machine: Machine, handlers: Handlers) -> None:
        self._machine = machine
        self._handlers = handlers
        self.books = Books()
        self.revived: set[str] = set()
        self._undone: dict[tuple[str, str], object] = {}
        self._outputs = 0

    async def carry_out(self, attempt: Attempt) -> bool:
        """Go through the handler of a run, or undo one; return whether it comes to a good end."""
        state = await self._read(attempt)
        if attempt.undoes:
            await self._undo(attempt, state)
            return True
        self._check_wake(attempt.run_id, state)
        deeds, fails = plan(attempt.run_id)
        for deed in deeds:
            match deed.kind:
                case "step":
                    await self._step(attempt, state, deed)
                case "sleep":
                    await self._sleep(attempt, state, deed)
                case "event":
                    await self._wait(attempt, state, deed)
                case "child":
                    await self._child(attempt, state, deed)
        return not fails

    def revive(self, run_id: str) -> None:
        """Take note that a dead letter may run again; what was undone has to be done again then."""
        self.revived.add(run_id)
        undos = self._machine._running().reader.execute(
            "SELECT 1 FROM runs WHERE parent_run_id = ? AND doc ->> 'triggered_by' = 'undo'",
            (run_id,),
        )
        if undos.fetchone() is None:
            return  # its records hold
        self.books.suspended.pop(run_id, None)
        for run, key in list(self.books.kept):
            if run == run_id and key.startswith(STATE_PREFIX):
                self._undone[run, key] = self.books.kept.pop((run, key))
        for run, number in list(self.books.children):
            if run == run_id:
                del self.books.children[run, number]

    # ------------------------------------------------------------------------------------- deeds

    async def _step(self, attempt: Attempt, state: dict[str, Any], deed: Deed) -> None:
        await self._record(attempt, state, deed.name, undo=deed.undo)

    async def _sleep(self, attempt: Attempt, state: dict[str, Any], deed: Deed) -> None:
        key, now = sleep_key(deed.number), self._machine.clock.now()
        if key not in state:
            state[key] = to_timestamp(now + deed.secs * SECOND)
            await self._keep(attempt, key, state[key])
        wake_at = from_timestamp(state[key])
        if wake_at <= self._machine.clock.now():
            return
        suspension = self._suspension(wake_at=wake_at)
        await self._suspend(attempt, {"wake_at": state[key]}, suspension)
        if self._is_before(suspension, wake_at):
            self._fault(f"run {attempt.run_id} may go on before {state[key]}")

    async def _wait(self, attempt: Attempt, state: dict[str, Any], deed: Deed) -> None:
        event_key = f"durable:{attempt.run_id}:{deed.number}"
        key = event_state_key(event_key, 0)
        if key not in state:
            self._handlers.events.append(event_key)
            if self._machine.chance.random() < 0.3:
                await self._machine.clock.sleep(1.0)  # it may be sent before it is waited for
            suspension = self._suspension(state_key=key)
            self.books.opened.setdefault(event_key, suspension)
            wait = {"event_key": event_key, "timeout_secs": deed.secs}
            await self._suspend(attempt, {"waits": [wait]}, suspension)
            state.update(await self._read(attempt))
        if key not in state:
            self._fault(f"run {attempt.run_id} is ready, and {event_key} is not there")
            return
        came, opened = state[key], self.books.opened[event_key]
        if not came.get("timed_out"):
            if came["payload"] not in self.books.sent[event_key]:
                self._fault(f"{event_key} brought {came['payload']}, which nobody sent")
        elif self._is_before(opened, opened.at + deed.secs * SECOND):
            self._fault(f"{event_key} timed out too early")

    async def _child(self, attempt: Attempt, state: dict[str, Any], deed: Deed) -> None:
        """Spawn a run, the same one in each attempt, and wait for its end."""
        body = {
            "job_slug": self._machine.chance.choice(("plain", "says")),
            "project_id": PROJECT,
            "payload": {"from": attempt.run_id},
            "spawn_key": f"child-{deed.number}",
        }
        said = await self._handlers.sdk(attempt, "spawn", body)
        if said.status != 201:
            raise GoneError
        child_id = said.body["id"]
        known = self.books.children.setdefault((attempt.run_id, deed.number), child_id)
        if known != child_id:
            self._fault(f"run {attempt.run_id} has spawned {child_id} in place of {known}")
        key = child_outcome_key(child_id)
        if key not in state:
            suspension = self._suspension(state_key=key)
            await self._suspend(attempt, {"children": [child_id]}, suspension)
            state.update(await self._read(attempt))
        if key not in state:
            self._fault(f"run {attempt.run_id} is ready, and {child_id} has not ended")

    async def _undo(self, attempt: Attempt, state: dict[str, Any]) -> None:
        """Undo what is on record, the last of it first, each as a step of its own."""
        for record in reversed(steps_of(state)):
            if record["undo"] and record["status"] == "completed":
                await self._record(attempt, state, UNDO_STEP_PREFIX + record["name"], undo=False)

    async def _record(
        self, attempt: Attempt, state: dict[str, Any], name: str, *, undo: bool
    ) -> None:
        """Execute a step that is not on record, and record it."""
        key = step_key(name, 0)
        if key in state:
            return
        chance, clock = self._machine.chance, self._machine.clock
        began = clock.now()
        self._machine.note("execute", attempt.run_id, name)
        if not self._handlers.healthy:
            await clock.sleep(chance.choice((0.0, 0.0, 0.01, 2.0)))
            if chance.random() < 0.02:
                await clock.sleep(HANG_SECS)
        self._outputs += 1
        state[key] = {
            "name": name,
            "occurrence": 0,
            "status": "completed",
            "started_at": to_timestamp(began),
            "finished_at": to_timestamp(clock.now()),
            "attempts": 1,
            "undo": undo,
            "output": self._outputs,
        }
        await self._keep(attempt, key, state[key])

    # -------------------------------------------------------------------------------- the platform

    async def _read(self, attempt: Attempt) -> dict[str, Any]:
        """Return the state of a run, with all in it that was acknowledged before."""
        run_id = attempt.run_id
        expected = {
            key: value
            for (run, key), value in self.books.kept.items()
            if run == run_id or (run == attempt.undoes and key.startswith(STEP_PREFIX))
        }
        said = await self._handlers.sdk(attempt, "state", None, method="GET")
        if said.status != 200:
            raise GoneError
        rows = sorted(said.body, key=lambda row: row["updated_at"])
        state = {row["state_key"]: row["value"] for row in rows}
        again = [key for key, value in state.items() if self._undone.get((run_id, key)) == value]
        if again and not attempt.undoes:
            self._fault(f"run {run_id} would leave out {again}, which was undone")
        for key, value in expected.items():
            if state.get(key) != value:
                self._fault(f"run {run_id} would do {value} again, and finds {state.get(key)}")
        return state

    async def _keep(self, attempt: Attempt, key: str, value: object) -> None:
        """Write a key of the runtime; an answer that is lost has it written again."""
        self.books.offered[attempt.run_id, key].append(value)
        body = {"key": key, "value": value}
        said = await self._handlers.sdk(attempt, "state", body)
        if (
            said.status == 201
            and not self._handlers.healthy
            and self._machine.chance.random() < 0.1
        ):
            await self._machine.clock.sleep(self._machine.chance.choice((0.0, 1.0)))
            said = await self._handlers.sdk(attempt, "state", body)
        if said.status != 201:
            raise GoneError
        self.books.kept[attempt.run_id, key] = value

    async def _suspend(self, attempt: Attempt, body: object, suspension: Suspension) -> None:
        """Let a run wait; returns if what it waits for is there already."""
        said = await self._handlers.sdk(attempt, "suspend", body)
        if said.status != 200:
            raise GoneError
        if said.body["status"] == "waiting":
            self.books.suspended[attempt.run_id] = suspension
            raise GoneError  # the handler is called again when it may go on

    # -------------------------------------------------------------------------------------- checks

    def _suspension(self, *, wake_at: int = 0, state_key: str = "") -> Suspension:
        clock = self._machine.clock
        return Suspension(clock.now(), clock.times_set_back, wake_at, state_key)

    def _is_before(self, since: Suspension, instant: int) -> bool:
        """Return whether it is too early, and no clock was set back that would explain it."""
        clock = self._machine.clock
        return clock.times_set_back == since.times_set_back and clock.now() < instant

    def _check_wake(self, run_id: str, state: dict[str, Any]) -> None:
        """Check that a run that was suspended has what it waited for."""
        waits = self.books.suspended.pop(run_id, None)
        if waits is None:
            return
        if waits.wake_at and self._is_before(waits, waits.wake_at):
            self._fault(f"run {run_id} was woken before {to_timestamp(waits.wake_at)}")
        if waits.state_key and waits.state_key not in state:
            self._fault(f"run {run_id} was woken, and nothing has come")

    def _fault(self, text: str) -> None:
        self._machine.faults.append(text)


def steps_of(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the records of steps among the values of a state, in their order."""
    return [value for value in state.values() if isinstance(value, dict) and "occurrence" in value]
