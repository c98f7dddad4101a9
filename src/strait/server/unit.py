"""One transaction's work: what a write reads, decides and leaves to be done after the commit."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from strait import ids
from strait.clock import SECOND, Timestamp, to_timestamp
from strait.engine.deliveries import Delivery
from strait.engine.entries import Entry
from strait.engine.model import EventTrigger, Job, Run
from strait.engine.workflows.effects import ParentStepEnded
from strait.server.errors import not_found
from strait.store import ledger

if TYPE_CHECKING:
    from strait.server.platform import Platform


class RunEnded(Struct, frozen=True):
    """A run is over; `result` is the JSON text of its result."""

    run: Run
    result: str | None


class ChildWorkflowEnded(Struct, frozen=True):
    """A workflow run is over that a step of another one has started."""

    effect: ParentStepEnded


class TriggerSettled(Struct, frozen=True):
    """A wait for an event is over, one way or another."""

    trigger: EventTrigger


class KeyHandedOver(Struct, frozen=True):
    """The message with a rotated key has arrived, or was given up."""

    delivery: Delivery


Signal = KeyHandedOver | RunEnded | ChildWorkflowEnded | TriggerSettled


class Unit:
    """The context of one operation of the writer.

    Everything written through it is in one transaction. What follows from a change inside the
    database is a signal, worked off before the commit; what follows outside of it is an action,
    done after the commit.
    """

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.db = platform.writer.connection
        self.now = platform.tick()
        self.signals: deque[Signal] = deque()
        # How many runs were canceled because one above them was (see `work.descendants`).
        self.descendants = 0
        # How many workflow runs steps have started (see `work.workflow_starts`).
        self.child_workflows = 0

    def tick(self) -> int:
        """Move on to an instant that no other record has, and return it."""
        self.now = self.platform.tick()
        return self.now

    @property
    def stamp(self) -> Timestamp:
        """The instant of the operation, or the last one that it moved on to."""
        return to_timestamp(self.now)

    def new_id(self) -> str:
        """Return a fresh id."""
        return ids.uuid7(self.now)

    def in_secs(self, seconds: float) -> Timestamp:
        """Return the timestamp of an instant that many seconds from now."""
        return to_timestamp(self.now + round(seconds * SECOND))

    def after(self, action: Callable[[], None]) -> None:
        """Have `action` called once the transaction is on disk."""
        self.platform.writer.after_commit(action)

    def if_undone(self, action: Callable[[], None]) -> None:
        """Have `action` called if the transaction does not reach the disk."""
        self.platform.writer.if_undone(action)

    def signal(self, signal: Signal) -> None:
        """Have something that follows in the database worked off before the commit."""
        self.signals.append(signal)

    def record(
        self, subject: str, project_id: str, entries: Sequence[Entry], *, first: bool = False
    ) -> None:
        """Append entries to the ledger of a subject, and publish them after the commit."""
        if not entries:
            return
        tails = self.platform.ledger_tails
        # What is new needs no look at what is there.
        last = 0 if first else tails.of(self.db, subject)
        lines = ledger.append(self.db, subject, project_id, self.stamp, entries, last=last)
        tails.put(subject, last + len(lines))
        self.after(lambda: self._publish(subject, project_id, lines))
        self._tell_drains(project_id, len(lines))

    def record_new(
        self, project_id: str, subjects: Sequence[tuple[str, Timestamp, Sequence[Entry]]]
    ) -> None:
        """Write the first entries of new runs, each of which nobody can listen to as yet."""
        written = ledger.begin(self.db, project_id, subjects)
        for subject, _, entries in subjects:
            self.platform.ledger_tails.put(subject, len(entries))
        self.after(lambda: self._publish_new(project_id, [subject for subject, *_ in subjects]))
        self._tell_drains(project_id, written)

    def _tell_drains(self, project_id: str, lines: int) -> None:
        drains = self.platform.audience.of(self.db, project_id).drains
        if drains:
            self.after(lambda: self.platform.log_drains.heard(drains, lines))

    def _publish(self, subject: str, project_id: str, lines: Sequence[ledger.Line]) -> None:
        platform = self.platform
        platform.hub.publish_all(subject, lines)
        activity = platform.activity_hub
        if project_id in activity and any(line.type == "state_change" for line in lines):
            activity.publish(project_id, subject)

    def _publish_new(self, project_id: str, subjects: Sequence[str]) -> None:
        self.platform.activity_hub.publish_all(project_id, subjects)

    def job(self, project_id: str, job_id: str) -> Job:
        """Return a job of a project.

        Raises:
            ApiError: 404.
        """
        entry = self.platform.jobs.get(self.db, job_id)
        if entry is None or entry.job.project_id != project_id:
            raise not_found("job")
        return entry.job
