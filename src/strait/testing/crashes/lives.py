"""A run from its first dispatch to its end, with the host that really runs handlers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from strait.authoring.recorded.step import watching
from strait.serve.execution import Executor, HostedJob
from strait.serve.inbound import Dispatch
from strait.serve.platform import PlatformPool
from strait.testing.crashes.platform import Crash, CrashAt, Incarnation, MemoryRun, Script

if TYPE_CHECKING:
    from strait.authoring import JobDefinition
    from strait.authoring.run_api import RunContextClient
    from strait.errors import Json
    from strait.serve.answers import Answer

RUN_ID = "crash-run"
# A handler that is called so often waits for something that never comes, or never gives up.
_MOST_CALLS = 10_000


@dataclass(frozen=True, slots=True)
class Setting:
    """What all lives of a handler begin with.

    Attributes:
        job: the job whose handler it is.
        payload: the payload of its run.
        script: what comes from outside.
        state: the run's state at the start.
        secrets: the job's secrets.
    """

    job: JobDefinition[Any]
    payload: Json
    script: Script
    state: Mapping[str, Json] | None
    secrets: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Life:
    """How a run ended.

    Attributes:
        run: everything that was recorded.
        status: `completed` or `failed`.
        result: what it completed with.
        error: what it failed with.
    """

    run: MemoryRun
    status: str
    result: Json = None
    error: str = ""


async def live(setting: Setting, crash_at: CrashAt | None) -> Life:
    """Call the handler, again behind each wait, failure and crash, until its run has ended.

    Raises:
        LookupError: it waits for something that is not scripted.
    """
    assert setting.job.run is not None
    run = MemoryRun(setting.script, crash_at, setting.state)
    hosted = HostedJob(setting.job, setting.job.run, ())
    attempt = 1
    for _ in range(_MOST_CALLS):
        answer = await _attempt(hosted, run, setting, attempt)
        if run.unscripted is not None:
            raise run.unscripted
        if run.record.completed:
            return Life(run, "completed", run.record.result)
        if run.record.failed:
            return Life(run, "failed", error=run.record.fail_error or "")
        if answer is None or answer.status == 202:
            continue
        if answer.status < 400:
            return Life(run, "completed", json.loads(answer.body))
        if attempt >= hosted.max_attempts:
            told = json.loads(answer.body)["error"]
            return Life(run, "failed", error=f"{told['type']}: {told['message']}")
        attempt += 1
    raise AssertionError(f"the handler was called {_MOST_CALLS} times and its run has not ended")


async def _attempt(
    hosted: HostedJob, run: MemoryRun, setting: Setting, attempt: int
) -> Answer | None:
    """Dispatch the run once; None if its handler crashed."""
    runs = Incarnation(run)
    executor = Executor(_Memory(runs), project_id="crashes", now=run.now)
    before = asyncio.all_tasks()
    with watching(runs.watch):
        work = asyncio.create_task(executor.run(hosted, _dispatch(setting, attempt)))
    died = asyncio.create_task(runs.died.wait())
    try:
        await asyncio.wait((work, died), return_when=asyncio.FIRST_COMPLETED)
        if not runs.dead:
            return await work
        if hosted.handler.is_async:
            work.cancel()
        # The thread of a plain one cannot be stopped; it ends at the next thing that it asks for.
        with suppress(Crash, asyncio.CancelledError):
            await work
        return None
    finally:
        await _bury(asyncio.all_tasks() - before)
        executor.close()


async def _bury(tasks: set[asyncio.Task[Any]]) -> None:
    """End what an attempt has left behind."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _dispatch(setting: Setting, attempt: int) -> Dispatch:
    return Dispatch(
        run_id=RUN_ID,
        job_id="crash-job",
        attempt=attempt,
        token="in-memory",  # noqa: S106 - there is nothing that it opens
        payload=json.loads(json.dumps(setting.payload)),
        timeout_secs=None,
        last_checkpoint=None,
        previous_error=None,
        secrets=setting.secrets,
    )


class _Memory(PlatformPool):
    """The way to a platform that is only here."""

    def __init__(self, runs: RunContextClient) -> None:
        super().__init__("http://in-memory.invalid")
        self._runs = runs

    def runs(self, token: str) -> RunContextClient:
        """Return `client.sdk_runs` of the attempt."""
        return self._runs
