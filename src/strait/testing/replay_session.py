"""What stands behind the context of a replay: the answers on record, and a refusal of the rest."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from strait.authoring.harness import RecordingRuns, TestRunRecord
from strait.authoring.logs import RecordingHandler
from strait.authoring.recorded.journal import Journal
from strait.authoring.recorded.step import Beyond, Ledger, NothingRecorded
from strait.authoring.session import RunSession
from strait.errors import NotFoundError
from strait.reserved import UNDO_STEP_PREFIX, child_outcome_key, spawn_key

if TYPE_CHECKING:
    import logging

    from strait.authoring.flow import Flow
    from strait.authoring.recorded.values import BlobStore, Codec
    from strait.errors import Json


class AnswerMissing(BaseException):
    """Ends a replay at an answer that is on record and was hidden when the run was exported.

    It is no `Exception`, so that no handler takes it for a failure of its own.

    Attributes:
        missing: the entry of the fixture's `missing`.
    """

    def __init__(self, missing: Mapping[str, Any]) -> None:
        self.missing = missing
        super().__init__(str(missing["part"]))


@dataclass(slots=True)
class Answers:
    """What a replay is answered with.

    Attributes:
        recorded: what the runtime had kept in the run's state.
        state: the run's own state at its last dispatch.
        children: child runs by their id, each with its `job_slug`.
        missing: entries of the fixture's `missing` by the key that they are about.
    """

    recorded: dict[str, Any]
    state: dict[str, Any]
    children: dict[str, Any]
    missing: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def check(self, key: str) -> None:
        """Refuse a key whose answer is hidden.

        Raises:
            AnswerMissing: it is.
        """
        if key in self.missing:
            raise AnswerMissing(self.missing[key])


class ReplaySession(RunSession):
    """An attempt that is answered from a record, and carries nothing out.

    Args:
        answers: the record.
        run_id: the run.
        attempt: its number.
        allow_new: whether steps may be carried out that come behind all recorded ones.
        codec: seals what steps return.
        blobs: keeps what is too large.
    """

    def __init__(
        self,
        answers: Answers,
        run_id: str,
        attempt: int,
        *,
        allow_new: bool = False,
        codec: Codec | None = None,
        blobs: BlobStore | None = None,
    ) -> None:
        self.record = TestRunRecord(state_store=copy.deepcopy(answers.state))
        self._runs = _ReplayRuns(self.record, answers)
        super().__init__(lambda: self._runs, run_id, attempt, hosted=True)
        self.codec, self.blobs = codec, blobs
        self.journal = _ReplayJournal(self._runs, run_id, answers)
        self._answers = answers
        self._allow_new = allow_new
        # What waits and spawns are checked against is made by the first step elsewhere.
        self._attempt = self.recorded

    def make_ledger(self) -> Ledger:
        """Return what its steps share: what is not on record is refused there."""
        return Ledger(self.journal, self.run_id, self.codec, self.blobs, beyond=self._beyond)

    def log_handler(self) -> logging.Handler:
        """Return what writes log lines into the record."""
        return RecordingHandler(self.record.logs)

    def not_asked(self) -> list[str]:
        """Return the names of recorded steps that the handler has not come to."""
        names = (record.name for record in self.journal.not_asked())
        return [name for name in names if not name.startswith(UNDO_STEP_PREFIX)]

    def _beyond(self, beyond: Beyond) -> None:
        """Refuse what is not on record.

        Raises:
            NothingRecorded: it may not be carried out.
        """
        if self._allow_new and beyond.kind == "step" and not self.not_asked():
            return
        raise NothingRecorded(beyond)

    def _read(self, key: str) -> Flow[Json]:
        self._answers.check(key)
        return (yield from super()._read(key))

    def _outcomes(self, bodies: list[dict[str, Json]]) -> Flow[list[Json]]:
        for body in bodies:
            child = self._answers.recorded.get(spawn_key(body.get("spawn_key", "")))
            if child is not None:
                self._answers.check(child_outcome_key(child))
        return (yield from super()._outcomes(bodies))


class _ReplayJournal(Journal):
    """The records of a run, but for those that were hidden."""

    def __init__(self, runs: _ReplayRuns, run_id: str, answers: Answers) -> None:
        super().__init__(lambda: runs, run_id)
        self._answers = answers
        # It is here already, so that what was not asked for is known without a read.
        self._kept = answers.recorded

    def value(self, key: str) -> Flow[Json]:
        self._answers.check(key)
        return (yield from super().value(key))


class _ReplayRuns(RecordingRuns):
    """`client.sdk_runs` of a replay: it writes down what is told, and answers from the record."""

    def __init__(self, record: TestRunRecord, answers: Answers) -> None:
        super().__init__(record, copy.deepcopy(answers.recorded))
        self._children = answers.children

    async def get_state(self, run_id: str, key: str, /) -> dict[str, Json]:
        """Return a key; those of the runtime, too."""
        for row in await self.list_state(run_id):
            if row["state_key"] == key:
                return row
        raise NotFoundError(404, "state key not found")

    async def spawn_run(self, run_id: str, body: dict[str, Json], /) -> dict[str, Json]:
        """Return the child that the same call has started in the recorded run.

        Raises:
            NothingRecorded: it has started none.
        """
        await super().spawn_run(run_id, body)
        child = self.kept.get(spawn_key(body.get("spawn_key", "")))
        if child is None:
            raise NothingRecorded(Beyond("child", body["job_slug"]))
        return {"id": child, "parent_run_id": run_id, **self._children.get(child, {})}
