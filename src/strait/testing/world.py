"""`platform()`: a platform for a test, used with `with` or with `async with`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from strait.authoring.jobs import JobDefinition
from strait.authoring.triggers import TriggerJobInput, TriggerWorkflowInput
from strait.authoring.workflows import WorkflowDefinition
from strait.client import AsyncClient, Client
from strait.clock import SECOND, VirtualClock
from strait.serve.registration import RegistrationReport, register_all
from strait.testing._extra import server_is_missing

try:
    from strait.testing.embedded import EmbeddedPlatform
except ModuleNotFoundError as _missing:
    raise server_is_missing(_missing, "the embedded platform") from _missing

if TYPE_CHECKING:
    from strait.authoring.definitions import Definition
    from strait.errors import Json
    from strait.models import JobRun, TriggerResult, WorkflowRun

T = TypeVar("T")

START = datetime(2026, 1, 1, tzinfo=UTC)
"""Where the clock starts unless the test says otherwise; the same day in every run."""
_A_MONTH = timedelta(days=31)


class TestPlatform:
    """A platform whose time the test moves, for plain tests.

    Attributes:
        client: a client of it, with a key for everything.
        base_url: its address, on loopback.
        api_key: the key.
        project_id: the project of that key.
    """

    # Its name starts with `Test`; pytest must not look for tests in it.
    __test__ = False

    def __init__(self, inner: EmbeddedPlatform, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = inner
        self._loop = loop
        self.base_url = inner.base_url
        self.api_key = inner.api_key
        self.project_id = inner.project_id
        self.client = Client(
            base_url=inner.base_url, api_key=inner.api_key, project_id=inner.project_id
        )

    @property
    def clock(self) -> VirtualClock:
        """The clock; `advance` moves it."""
        return self._inner.clock

    @property
    def now(self) -> datetime:
        """The present time of the platform, in UTC."""
        return _instant(self._inner)

    def register(self, *definitions: Definition) -> RegistrationReport:
        """Register definitions and serve the handlers of their jobs.

        The jobs and workflows that steps hold come along. An endpoint that a definition names is
        not called where the definition has a handler.
        """
        manifest, url = self._do(self._inner.host(definitions))
        report = register_all(
            self.client,
            manifest,
            base_url_of_handlers=url,
            project_id=self.project_id,
            signing_secret=self._inner.signing_secret,
        )
        assert isinstance(report, RegistrationReport)
        self._inner.registered(report)
        return report

    def advance(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Let time pass: at once, and yet stopping at everything that is due on the way."""
        span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        self._do(self._inner.advance(span))

    def settle(self) -> None:
        """Wait until nothing is under way any more that needs no time to pass."""
        self._do(self._inner.settle())

    @overload
    def run(
        self, definition: JobDefinition[Any], payload: Json = ..., *, within: timedelta = ...
    ) -> JobRun: ...

    @overload
    def run(
        self, definition: WorkflowDefinition[Any], payload: Json = ..., *, within: timedelta = ...
    ) -> WorkflowRun: ...

    def run(
        self,
        definition: JobDefinition[Any] | WorkflowDefinition[Any],
        payload: Json = None,
        *,
        within: timedelta = _A_MONTH,
    ) -> JobRun | WorkflowRun:
        """Trigger a job or a workflow, let time pass to its end, and return the run.

        A definition that is not registered yet is. A run that has not ended `within` so much time
        is returned as it is. What waits for an event or an approval that nobody gives runs into
        its timeout, if that comes first: give a shorter time, such as `timedelta(0)`, and then
        the event.

        Args:
            definition: the job or the workflow.
            payload: its payload; an empty object by default.
            within: how much time may pass.
        """
        if not self._inner.knows(definition):
            self.register(definition)
        given = {} if payload is None else payload
        if isinstance(definition, JobDefinition):
            run_id = _id_of(definition.trigger(self.client, TriggerJobInput(given)))
            self._do(self._inner.until_ended(run_id, workflow=False, within=within))
            return self.client.runs.get(run_id)
        run_id = definition.trigger(self.client, TriggerWorkflowInput(given)).id
        self._do(self._inner.until_ended(run_id, workflow=True, within=within))
        return self.client.workflow_runs.get(run_id)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


class AsyncTestPlatform:
    """A platform whose time the test moves, for tests that await; it runs in the test's loop.

    Attributes:
        client: an `AsyncClient` of it, with a key for everything.
        base_url: its address, on loopback.
        api_key: the key.
        project_id: the project of that key.
    """

    __test__ = False

    def __init__(self, inner: EmbeddedPlatform) -> None:
        self._inner = inner
        self.base_url = inner.base_url
        self.api_key = inner.api_key
        self.project_id = inner.project_id
        self.client = AsyncClient(
            base_url=inner.base_url, api_key=inner.api_key, project_id=inner.project_id
        )

    @property
    def clock(self) -> VirtualClock:
        """The clock; `advance` moves it."""
        return self._inner.clock

    @property
    def now(self) -> datetime:
        """The present time of the platform, in UTC."""
        return _instant(self._inner)

    async def register(self, *definitions: Definition) -> RegistrationReport:
        """See `TestPlatform.register`."""
        manifest, url = await self._inner.host(definitions)
        pending = register_all(
            self.client,
            manifest,
            base_url_of_handlers=url,
            project_id=self.project_id,
            signing_secret=self._inner.signing_secret,
        )
        assert not isinstance(pending, RegistrationReport)
        report = await pending
        self._inner.registered(report)
        return report

    async def advance(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """See `TestPlatform.advance`."""
        span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        await self._inner.advance(span)

    async def settle(self) -> None:
        """See `TestPlatform.settle`."""
        await self._inner.settle()

    @overload
    async def run(
        self, definition: JobDefinition[Any], payload: Json = ..., *, within: timedelta = ...
    ) -> JobRun: ...

    @overload
    async def run(
        self, definition: WorkflowDefinition[Any], payload: Json = ..., *, within: timedelta = ...
    ) -> WorkflowRun: ...

    async def run(
        self,
        definition: JobDefinition[Any] | WorkflowDefinition[Any],
        payload: Json = None,
        *,
        within: timedelta = _A_MONTH,
    ) -> JobRun | WorkflowRun:
        """See `TestPlatform.run`."""
        if not self._inner.knows(definition):
            await self.register(definition)
        given = {} if payload is None else payload
        if isinstance(definition, JobDefinition):
            run_id = _id_of(await definition.trigger(self.client, TriggerJobInput(given)))
            await self._inner.until_ended(run_id, workflow=False, within=within)
            return await self.client.runs.get(run_id)
        run_id = (await definition.trigger(self.client, TriggerWorkflowInput(given))).id
        await self._inner.until_ended(run_id, workflow=True, within=within)
        return await self.client.workflow_runs.get(run_id)


class platform:  # noqa: N801 - it is called like the function that it stands for
    """A platform for a test: `with platform() as p`, or `async with platform() as p`.

    It is a real embedded platform that keeps nothing, under a clock that only `p.advance` and
    `p.run` move. A handler that does not end of itself gets `patience_secs` of real time; then
    virtual time goes on, so that its run times out as it would in earnest.

    Args:
        *definitions: jobs and workflows to register; their handlers run in this process.
        start: where the clock starts, with a time zone; by default 2026-01-01 in UTC.
        project_id: the name of the project.
        patience_secs: real seconds that running handlers get before time goes on without them.

    Raises:
        ConfigurationError: the extra `server` is not installed.
    """

    def __init__(
        self,
        *definitions: Definition,
        start: datetime = START,
        project_id: str = "proj_test",
        patience_secs: float = 10.0,
    ) -> None:
        if start.tzinfo is None:
            raise ValueError(f"`start` must have a time zone: {start!r}")
        self._definitions = definitions
        self._inner = EmbeddedPlatform(start, patience_secs, project_id)
        self._thread: _LoopThread | None = None
        self._entered: TestPlatform | AsyncTestPlatform | None = None

    def __enter__(self) -> TestPlatform:
        self._thread = _LoopThread()
        try:
            self._thread.do(self._inner.start())
            entered = TestPlatform(self._inner, self._thread.loop)
            self._entered = entered
            if self._definitions:
                entered.register(*self._definitions)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return entered

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(self._entered, TestPlatform):
            self._entered.client.close()
        if self._thread is not None:
            self._thread.do(self._inner.stop())
            self._thread.stop()

    async def __aenter__(self) -> AsyncTestPlatform:
        try:
            await self._inner.start()
            entered = AsyncTestPlatform(self._inner)
            self._entered = entered
            if self._definitions:
                await entered.register(*self._definitions)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return entered

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(self._entered, AsyncTestPlatform):
            await self._entered.client.close()
        await self._inner.stop()


class _LoopThread:
    """A thread with a loop, for the platform of a plain test."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self.loop.run_forever, name="strait-testing", daemon=True
        )
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def stop(self) -> None:
        """End the thread."""
        self.do(self.loop.shutdown_asyncgens())
        self.do(self.loop.shutdown_default_executor())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


def _id_of(started: TriggerResult) -> str:
    if started.id is None:
        raise RuntimeError("the trigger was gathered into a batch or a debounce and has no run yet")
    return started.id


def _instant(inner: EmbeddedPlatform) -> datetime:
    return datetime.fromtimestamp(inner.clock.now() / SECOND, UTC)
