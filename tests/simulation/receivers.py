"""Whoever is told of what happens: a webhook, and a drain for the lines of all histories."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from simulation.machine import Machine
from simulation.setting import PROJECT
from strait.fsm import is_terminal_run_status
from strait.server.outbound import Answer, CallError
from strait.server.work.announce import RUN_EVENTS

if TYPE_CHECKING:
    from simulation.handlers import Handlers
    from simulation.scenario import Story

URL = "http://127.0.0.1:9/receivers"
SUBSCRIPTION = {
    "project_id": PROJECT,
    "webhook_url": f"{URL}/hook",
    "event_types": sorted(set(RUN_EVENTS.values())),
}
DRAIN = {
    "project_id": PROJECT,
    "name": "Lines",
    "drain_type": "http",
    "endpoint_url": f"{URL}/lines",
    "auth_type": "none",
}
TOO_LARGE = 413
LATEST_SECS = 400
"""A drain that failed is tried again within this time."""


class Told(NamedTuple):
    """A line, as a drain was told it."""

    id: str
    type: str
    message: str


class Receivers:
    """All receivers of the simulated world.

    Attributes:
        lines: what the drain took.
        deliveries: the ids of all messages that the webhook took.
    """

    def __init__(self, machine: Machine, handlers: Handlers) -> None:
        self._machine = machine
        self._handlers = handlers
        self.lines: set[Told] = set()
        self.deliveries: set[str] = set()

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """Take a message, or refuse, lose or delay it."""
        chance, said = self._machine.chance, json.loads(body)
        if not self._handlers.healthy:
            await self._machine.clock.sleep(chance.choice((0.0, 0.001, 2.0, 20.0)))
            if chance.random() < 0.2:
                raise CallError("it closed the connection", "connection")
            if chance.random() < 0.2:
                status = chance.choice((500, 503, 429, 413))
                if status == TOO_LARGE and len(said) == 1:
                    self._take(url, headers, said)  # a line that no drain takes is left out
                return Answer(status, {}, b"")
        self._take(url, headers, said)
        if not self._handlers.healthy and chance.random() < 0.1:
            raise CallError("the answer was lost", "connection")
        return Answer(200, {}, b"")

    def _take(self, url: str, headers: dict[str, str], said: Any) -> None:
        if url == SUBSCRIPTION["webhook_url"]:
            self.deliveries.add(headers["x-strait-delivery-id"])
        else:
            self.lines |= {Told(line["id"], line["type"], line["message"]) for line in said}


def broken(db: sqlite3.Connection, story: Story) -> list[str]:
    """Return which promises to receivers were broken."""
    return [*_of_lines(db, story), *_of_ends(db), *_of_deliveries(db, story)]


def _of_lines(db: sqlite3.Connection, story: Story) -> list[str]:
    """Check that each line has arrived, and that none was told which is not there."""
    rows = db.execute("SELECT subject || ':' || seq, type, message FROM ledger")
    present, told = {Told(*row) for row in rows}, story.receivers.lines
    return [
        *(f"the drain was not told of {line}" for line in sorted(present - told)),
        *(f"the drain was told of {line}, which is not there" for line in sorted(told - present)),
    ]


def _of_ends(db: sqlite3.Connection) -> list[str]:
    """Check that there is one message for each end of a run."""
    moves = db.execute(
        "SELECT subject, data ->> 'to' FROM ledger JOIN runs ON runs.id = subject "
        "WHERE type = 'state_change'"
    )
    wanted = Counter((run, RUN_EVENTS[to]) for run, to in moves if is_terminal_run_status(to))
    rows = db.execute("SELECT run_id, event_type FROM deliveries WHERE kind = 'webhook'")
    made = Counter(rows.fetchall())
    return [
        f"run {end[0]} had {wanted[end]} times {end[1]}, and there are {made[end]} messages"
        for end in wanted | made
        if wanted[end] != made[end]
    ]


def _of_deliveries(db: sqlite3.Connection, story: Story) -> list[str]:
    """Check that nothing counts as delivered that never arrived, and nothing is left lying."""
    rows = db.execute("SELECT id, status FROM deliveries").fetchall()
    taken = story.receivers.deliveries
    return [
        *(f"delivery {id} counts and never arrived" for id, status in rows
          if status == "delivered" and id not in taken),
        *(f"delivery {id} was sent and is not there" for id in taken - {id for id, _ in rows}),
    ]  # fmt: skip
