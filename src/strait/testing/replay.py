"""Exported runs as unit tests: a handler of today against what was answered to that of then.

    recorded = load_run("tests/runs/order-4711.json")  # `strait runs export ID --fixture`

    def test_that_order_ends_as_it_did():
        recorded.replay(fulfil)

No platform takes part. A recorded step gives its record and is never carried out; what is not on
record is refused by name.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from strait.authoring.context import RunContext
from strait.authoring.harness import run_now
from strait.authoring.sync_context import SyncRunContext
from strait.errors import ValidationError
from strait.reserved import STATE_PREFIX, STEP_PREFIX
from strait.takeaway.fixture import FORMAT, describe
from strait.testing.replay_run import Ending, called
from strait.testing.replay_session import Answers, ReplaySession
from strait.testing.replay_verdict import verdict

if TYPE_CHECKING:
    from strait.authoring.harness import TestRunRecord
    from strait.authoring.jobs import JobDefinition
    from strait.errors import Json


class ReplayError(AssertionError):
    """A replay went another way than the recorded run; the text says where, one line each.

    Attributes:
        differences: those lines.
    """

    def __init__(self, title: str, differences: tuple[str, ...]) -> None:
        self.differences = differences
        super().__init__("\n".join([title, *(f"  - {line}" for line in differences)]))


@dataclass(frozen=True, slots=True)
class Replay:
    """How a replay ended.

    Attributes:
        result: what the handler returned, as JSON; None if it did not return.
        error: what it raised.
        stopped_at: the first thing that is not on record, which ended it; empty for none.
        record: what else the handler told its platform: logs, progress, usage, state.
        differences: where it went another way than the recorded run, one line each.
    """

    result: Json
    error: BaseException | None
    stopped_at: str
    record: TestRunRecord
    differences: tuple[str, ...]


class RecordedRun:
    """A run that was exported as a fixture.

    Attributes:
        path: its file.
        job_slug: the slug of its job.
        target: where its job is found, `shop.orders:fulfil`; empty if that was not known.
        run_id: its id.
        status: its status when it was exported.
        payload: its payload.
        result: what it ended with; None if it did not complete.
        error: what it failed with; None if it did not.
        missing: what was hidden when it was exported, one line each.
    """

    def __init__(self, fixture: Mapping[str, Any], path: Path) -> None:
        self._fixture = fixture
        self.path = path
        self.job_slug: str = fixture["job"].get("slug", "")
        self.target: str = fixture["job"].get("target", "")
        self.run_id: str = fixture["run"]["id"]
        self.status: str = fixture["run"]["status"]
        self.payload: Json = fixture["payload"]
        self.result: Json = fixture["outcome"].get("result")
        self.error: str | None = fixture["outcome"].get("error")
        self.missing: tuple[str, ...] = tuple(describe(one) for one in fixture["missing"])

    def __repr__(self) -> str:
        return f"<RecordedRun {self.run_id} of job {self.job_slug!r}, {self.status}>"

    @overload
    def context(
        self, job: JobDefinition[Any] | None = ..., *, sync: Literal[False] = ...
    ) -> RunContext: ...

    @overload
    def context(
        self, job: JobDefinition[Any] | None = ..., *, sync: Literal[True]
    ) -> SyncRunContext: ...

    def context(
        self, job: JobDefinition[Any] | None = None, *, sync: bool = False
    ) -> RunContext | SyncRunContext:
        """Return a context that answers from the record, for a handler that is called by hand.

        What is not on record ends the handler by a `BaseException` that names it.

        Args:
            job: whose `codec=` and `blobs=` open what is sealed or elsewhere.
            sync: make the context for a plain function.
        """
        session = self._session(self._answers({}), job, allow_new=False)
        return SyncRunContext(session, run_now) if sync else RunContext(session)

    def replay(
        self,
        job: JobDefinition[Any],
        *,
        compare: bool = True,
        allow_new: bool = False,
        answers: Mapping[str, Json] | None = None,
        payload: Json = None,
        secrets: Mapping[str, str] | None = None,
    ) -> Replay:
        """Call the handler of a job with the payload of the run, and answer it from the record.

        Hooks are not called. Everything outside of steps runs for real, as it does in every
        attempt.

        Args:
            job: the job as it is now.
            compare: whether a difference is an error; without, it is only told.
            allow_new: whether steps that come behind all recorded ones are carried out.
            answers: for what was hidden: results by the name of a step or the slug of a child's
                job, payloads by the key of an event.
            payload: instead of the recorded one.
            secrets: what `ctx.secrets` gives; they are never exported.

        Raises:
            ReplayError: it went another way than the recorded run.
            ValidationError: the job has no handler, or nothing on record has the name of an answer.
        """
        if job.run is None:
            raise ValidationError(f"job `{job.slug}` has no handler (`run`) to replay")
        session = self._session(self._answers(answers or {}), job, allow_new=allow_new)
        session.secrets = dict(secrets or {})
        if payload is not None:
            session.payload = copy.deepcopy(payload)
        ending = _run(called(job, session))
        found = tuple(self._differences(ending, session, own_payload=payload is not None))
        if compare and found:
            title = f"the replay of run {self.run_id} of job `{self.job_slug}` ({self.path})"
            raise ReplayError(f"{title} differs from its record:", found) from ending.error
        stopped = str(ending.stopped) if ending.stopped else ""
        return Replay(ending.result, ending.error, stopped, session.record, found)

    def _differences(
        self, ending: Ending, session: ReplaySession, *, own_payload: bool
    ) -> list[str]:
        found = verdict(self.status, self._fixture["outcome"], self._fixture["missing"], ending,
                        session.not_asked())  # fmt: skip
        unseen = {"checkpoint"} if own_payload else {"checkpoint", "payload"}
        notes = [describe(one) for one in self._fixture["missing"] if one["part"] in unseen]
        if found and notes:
            found.append(f"note that this was hidden when the run was exported: {'; '.join(notes)}")
        return found

    def _session(
        self, answers: Answers, job: JobDefinition[Any] | None, *, allow_new: bool
    ) -> ReplaySession:
        facts = self._fixture["attempt"]
        session = ReplaySession(
            answers,
            self.run_id,
            facts["number"],
            allow_new=allow_new,
            codec=job.options.codec if job else None,
            blobs=job.options.blobs if job else None,
        )
        session.job_id = self._fixture["job"].get("id", "")
        session.project_id = self._fixture["run"].get("project_id") or "replayed"
        session.payload = copy.deepcopy(self.payload)
        session.last_checkpoint = copy.deepcopy(facts["last_checkpoint"])
        session.previous_error = facts["previous_error"]
        return session

    def _answers(self, given: Mapping[str, Json]) -> Answers:
        """Return what is answered, with what is given in the place of what is hidden."""
        recorded = copy.deepcopy(self._fixture["recorded"])
        missing = {
            one.get("key") or one["name"]: one
            for one in self._fixture["missing"]
            if one["part"] in ("step", "event", "child", "state")
        }
        hidden = {one["name"] for one in missing.values()}
        if unknown := sorted(set(given) - hidden):
            known = ", ".join(f"`{name}`" for name in sorted(hidden)) or "nothing is"
            raise ValidationError(
                f"no answer of the name `{unknown[0]}` is hidden in {self.path}; hidden: {known}"
            )
        state = copy.deepcopy(self._fixture["state"])
        for key, one in list(missing.items()):
            if one["name"] in given:
                _put(recorded if key.startswith(STATE_PREFIX) else state, key, given[one["name"]])
                del missing[key]
        return Answers(recorded, state, self._fixture["children"], missing)


def load_run(path: Path | str) -> RecordedRun:
    """Return the run that a file has, which `strait runs export RUN --fixture` wrote.

    Raises:
        ValidationError: it is no such file, or one of another version.
    """
    file = Path(path)
    try:
        fixture = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValidationError(f"`{path}` cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValidationError(f"`{path}` is no JSON: {error}") from error
    version = fixture.get("format") if isinstance(fixture, dict) else None
    if version != FORMAT:
        raise ValidationError(
            f"`{path}` is not a run of the format `{FORMAT}` but {version!r}; "
            "write one with `strait runs export RUN --fixture`"
        )
    return RecordedRun(fixture, file)


def _put(entries: dict[str, Any], key: str, value: Json) -> None:
    """Give the answer of a key in its place."""
    if not key.startswith(STATE_PREFIX):
        entries[key] = value
    elif key.startswith(STEP_PREFIX):
        # It is given as it is, not as a codec would have sealed it.
        entries[key] = {**entries[key], "output": value, "codec": ""}
    else:
        field = "payload" if "event_key" in entries[key] else "result"
        entries[key] = {**entries[key], field: value}


def _run(work: Coroutine[Any, Any, Ending]) -> Ending:
    """Run a replay to its end, inside of a test that has a loop already, too."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1, thread_name_prefix="strait-replay") as thread:
        return thread.submit(asyncio.run, work).result()
