"""What happens elsewhere: event sources with subscribers, and events that come too early."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from simulation.machine import Machine
from simulation.setting import PROJECT
from simulation.world import FullError, World
from strait.clock import from_timestamp

if TYPE_CHECKING:
    from simulation.calendar import Calendar

SOURCE = "orders"
OK, CREATED = 200, 201


class Event(NamedTuple):
    """An event of the source.

    Attributes:
        kind: `a` or `b`.
        is_urgent: whether it has the field that one of the subscribers asks for.
        became: `taken`, `refused`, or `unknown` when no answer came.
        skipped: how many subscribers were passed over, as the answer says.
    """

    kind: str
    is_urgent: bool
    became: str
    skipped: int = 0

    def wanted_by(self) -> set[str]:
        """Return who is subscribed to such an event."""
        first = "plain" if self.kind == "a" else "reports"
        return {first, "says", "flow"} if self.is_urgent else {first, "says"}


class Sources(World):
    """Those who tell of what happens, and those who want to know.

    Attributes:
        source: the path of the source.
        events: what has happened, by number.
        flows: the ids of workflows: `flow` is subscribed, `early` waits for an event.
        held_until: until when an event is held, by number.
        early: the workflow runs that wait for one, by its number, in their order.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.source = ""
        self.events: dict[int, Event] = {}
        self.flows: dict[str, str] = {}
        self.held_until: dict[int, int] = {}
        self.early: dict[int, str] = {}

    async def _set_up_sources(self) -> None:
        body: dict[str, Any] = {"project_id": PROJECT, "name": SOURCE}
        self.source = "/v1/event-sources/" + await self._made("/v1/event-sources", body)
        step: dict[str, Any] = {"step_ref": "s0", "step_type": "job", "job_id": self.jobs["plain"]}
        wait = {"step_type": "wait_for_event", "event_key": "early:{{n}}"}
        for name, steps in (
            ("flow", [step]),
            ("early", [{"step_ref": "s0", "event_timeout_secs": 600, **wait}]),
        ):
            flow = {"project_id": PROJECT, "name": name, "slug": name, "steps": steps}
            self.flows[name] = await self._made("/v1/workflows", flow)
        for kind, target, filter_expr in (
            ("job", self.jobs["plain"], {"eq": [["kind", "a"]]}),
            ("job", self.jobs["reports"], {"ne": [["kind", "a"]]}),
            ("job", self.jobs["says"], None),
            ("workflow", self.flows["flow"], {"has": ["urgent"]}),
        ):
            body = {"target_type": kind, "target_id": target}
            body |= {"filter_expr": filter_expr} if filter_expr else {}
            await self._ask("POST", f"{self.source}/subscribe", body)

    async def _made(self, path: str, body: object) -> str:
        return str((await self._ask("POST", path, body)).body["id"])

    async def _dispatch(self) -> None:
        """Tell of an event, once: nothing would keep it from being taken twice."""
        chance, number = self.machine.chance, self._next()
        kind, is_urgent = chance.choice("ab"), chance.random() < 0.5
        payload = {"n": number, "kind": kind, **({"urgent": True} if is_urgent else {})}
        body = {"project_id": PROJECT, "source": SOURCE, "payload": payload}
        self.events[number] = event = Event(kind, is_urgent, "unknown")
        try:
            said = await self._ask("POST", "/v1/events/dispatch", body)
        except FullError:
            self.events[number] = event._replace(became="refused")
            raise
        became = "taken" if said.status == OK else "refused"
        skipped = len(said.body["skipped"]) if became == "taken" else 0
        self.events[number] = event._replace(became=became, skipped=skipped)

    async def _switch_source(self) -> None:
        """Disable a source, which takes no events then."""
        await self._ask("PATCH", self.source, {"enabled": False})
        try:
            await self._dispatch()
        finally:
            with_power = self.machine.platform is not None
            if with_power:
                await self._ask("PATCH", self.source, {"enabled": True})

    async def _switch_source_on(self) -> None:
        await self._ask("PATCH", self.source, {"enabled": True})

    async def _send_early(self) -> None:
        """Send an event that nobody waits for, and have somebody wait for it later."""
        chance, number = self.machine.chance, self._next()
        secs = chance.choice((60, 7200, 86_400))
        body = {"payload": {"early": number}, "hold_secs": secs}
        path = f"/v1/events/early:{number}/send"
        said = await self._insist("POST", path, body, key=f"early-{number}")
        self.held_until[number] = from_timestamp(said.body["expires_at"])

    async def _await_early(self) -> None:
        """Start a workflow that waits for an event which was sent before."""
        waiting = [number for number in self.held_until if number not in self.early]
        if not waiting:
            await self._send_early()
            return
        number = self.machine.chance.choice(waiting)
        path = f"/v1/workflows/{self.flows['early']}/trigger"
        said = await self._insist("POST", path, {"payload": {"n": number}}, key=f"wait-{number}")
        if said.status == CREATED:
            self.early[number] = said.body["id"]
            self.workflow_runs.append(said.body["id"])


def broken(db: sqlite3.Connection, story: Calendar) -> list[str]:
    """Return which promises were broken."""
    return [*_of_events(db, story), *_of_early(db, story)]


def _of_events(db: sqlite3.Connection, story: Calendar) -> list[str]:
    """Check that each event has started all that is subscribed to it, once, or nothing."""
    names = {id: name for name, id in (*story.jobs.items(), *story.flows.items())}
    rows = db.execute(
        "SELECT job_id, payload ->> 'n' FROM runs WHERE doc ->> 'triggered_by' = 'event' "
        "UNION ALL SELECT workflow_id, doc ->> '$.payload.n' FROM workflow_runs "
        "WHERE doc ->> 'triggered_by' = 'event' AND doc ->> 'retry_of_run_id' IS NULL"
    )
    started = Counter((int(number), names[target]) for target, number in rows)
    found = [f"event {key} has started {n} runs" for key, n in started.items() if n > 1]
    for number, event in story.events.items():
        targets = {name for n, name in started if n == number}
        missing, strange = event.wanted_by() - targets, targets - event.wanted_by()
        fits = {
            "taken": len(missing) == event.skipped,
            "refused": not targets,
            # A job may have been paused then.
            "unknown": not targets or not missing - {"plain", "reports", "says"},
        }[event.became]
        if strange or not fits:
            found.append(f"event {number}, {event}, has started {sorted(targets)}")
    return found


def _of_early(db: sqlite3.Connection, story: Calendar) -> list[str]:
    """Check that who waits gets the event that is held, in its time, and nobody later."""
    rows = db.execute(
        "SELECT event_key, doc FROM event_triggers WHERE event_key LIKE 'early:%' "
        "ORDER BY doc ->> 'requested_at'"
    )
    first: dict[int, dict[str, Any]] = {}
    for key, doc in rows:
        first.setdefault(int(key.partition(":")[2]), json.loads(doc))
    found = []
    for number, wait in first.items():
        in_time = from_timestamp(wait["requested_at"]) < story.held_until[number]
        has_it = wait["status"] == "received"
        if in_time != has_it or (has_it and wait["response_payload"] != {"early": number}):
            found.append(f"event {number} was held until {story.held_until[number]}: {wait}")
    missing = set(story.early) - set(first)
    left = db.execute("SELECT event_key FROM held_events").fetchall()
    taken = {f"early:{n}" for n, wait in first.items() if wait["status"] == "received"}
    return [
        *found,
        *(f"nobody waits for event {number} in {story.early[number]}" for number in missing),
        *(f"event {key} is still held, and has been taken" for (key,) in left if key in taken),
    ]
