"""Who wants to hear of what, by project, in memory: every end of a run asks for it."""

from __future__ import annotations

import sqlite3

from msgspec import Struct

from strait.server.envelopes import CHANNEL, SUBSCRIPTION
from strait.store import records
from strait.store.records import Record

DRAIN = "log_drain"


class Listeners(Struct, frozen=True):
    """The listeners of one project that are switched on."""

    subscriptions: tuple[Record, ...]
    channels: tuple[Record, ...]
    drains: tuple[Record, ...]

    def subscribed(self, event_type: str) -> list[Record]:
        """Return the webhook subscriptions to a type of event."""
        return [one for one in self.subscriptions if event_type in one.fields["event_types"]]


class Audience:
    """The listeners of each project; read once, and again after one was changed."""

    def __init__(self) -> None:
        self._projects: dict[str, Listeners] = {}

    def of(self, db: sqlite3.Connection, project_id: str) -> Listeners:
        """Return the listeners of a project; `db` is the writer's connection."""
        found = self._projects.get(project_id)
        if found is None:
            found = self._projects[project_id] = Listeners(
                _on(db, SUBSCRIPTION, project_id, "active"),
                _on(db, CHANNEL, project_id, "enabled"),
                _on(db, DRAIN, project_id, "enabled"),
            )
        return found

    def forget(self) -> None:
        """Forget everything; the next look reads the database."""
        self._projects.clear()


def _on(db: sqlite3.Connection, kind: str, project_id: str, switch: str) -> tuple[Record, ...]:
    rows = records.page(db, kind, project_id)
    return tuple(row for row in reversed(rows) if row.fields.get(switch, True))
