"""A run whose attempts share what the platform keeps, in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from strait.authoring import (
    AttemptSuspended,
    RunContext,
    SyncRunContext,
    TestRunRecord,
    current_step,
)
from strait.authoring.harness import RecordingRuns, run_now
from strait.authoring.recorded.decorator import acting
from strait.authoring.session import RunSession
from strait.errors import Json


class Runs(RecordingRuns):
    """The platform of one run: it can fail at a write, and keeps what the run waits for."""

    def __init__(self) -> None:
        super().__init__(TestRunRecord())
        self.suspended: list[dict[str, Any]] = []
        self.reads = 0
        self.fail_at_key = ""

    async def set_state(self, run_id: str, body: dict[str, Json], /) -> None:
        """Write a key, unless this is where the attempt is to crash."""
        if self.fail_at_key and self.fail_at_key in str(body["value"]):
            self.fail_at_key = ""
            raise Crash
        await super().set_state(run_id, body)

    async def list_state(self, run_id: str, /) -> list[dict[str, Json]]:
        """Return all keys."""
        self.reads += 1
        return await super().list_state(run_id)

    async def suspend_run(self, run_id: str, body: dict[str, Json], /) -> dict[str, Json]:
        """Let the run wait."""
        self.suspended.append(body)
        return {"status": "waiting"}


class Crash(BaseException):
    """The process of the handler is gone."""


class Run:
    """A run and its attempts."""

    def __init__(self) -> None:
        self.runs = Runs()
        self.attempts = 0
        self.now_us = 1_800_000_000_000_000

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps on record, in the order in which they were written."""
        return self.runs._record.steps

    def session(self) -> RunSession:
        """Begin an attempt."""
        self.attempts += 1
        session = RunSession(lambda: self.runs, "run-1", self.attempts, hosted=True)
        session.now_us = lambda: self.now_us
        return session

    async def attempt(
        self, handler: Callable[[RunContext], Awaitable[Any]], session: RunSession | None = None
    ) -> Any:
        """Call a handler as a host does; None if the run waits now."""
        context = RunContext(session or self.session())
        try:
            with acting(context):
                return await handler(context)
        except AttemptSuspended:
            return None

    def plain_attempt(self, handler: Callable[[SyncRunContext], Any]) -> Any:
        """Call a plain handler."""
        context = SyncRunContext(self.session(), run_now)
        with acting(context):
            return handler(context)


class Counter:
    """A function that is told how often it was called."""

    def __init__(self, *outcomes: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.keys: list[str] = []
        self._outcomes = list(outcomes)

    async def __call__(self, *args: Any) -> Any:
        self.calls.append(args)
        self.keys.append(current_step().idempotency_key)
        outcome = self._outcomes.pop(0) if self._outcomes else len(self.calls)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome
