"""The runs that a worker has, what came of those that are over, and who may know of it.

Nothing here knows how it is told: `connection` does. What came of a task is kept until the platform
has said that it has it, so that a stream that breaks at the wrong moment costs nothing.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from strait.errors import StraitError
from strait.serve import inbound
from strait.serve.answers import Answer

if TYPE_CHECKING:
    from strait.serve.execution import Executor, HostedJob
    from strait.serve.guard import Guard
    from strait.serve.platform import PlatformPool

log = logging.getLogger("strait.worker")

# A message may have 1 MiB (`contract/runs.md` §10); the rest is for what stands beside the output.
MAX_OUTPUT_BYTES = 1024 * 1024 - 16 * 1024
_MAX_ERROR_BYTES = 8_192
_FAIL_SECS = 5.0


@dataclass(frozen=True, slots=True)
class Assignment:
    """An attempt that the platform hands over.

    Attributes:
        metadata: what an endpoint would have been told in headers, by lower-case name.
        token: the run's token.
        id: the id of this assignment, which its result must name.
    """

    run_id: str
    job_slug: str
    payload: bytes
    timeout_secs: int
    token: str = field(repr=False)
    signature: str
    timestamp: str
    metadata: Mapping[str, str]
    id: str
    attempt: int

    def headers(self) -> dict[bytes, bytes]:
        """Return it as the headers of a dispatch over HTTP, which say the same."""
        own = {
            "x-run-id": self.run_id,
            "x-attempt": str(self.attempt),
            "x-run-token": self.token,
            "x-strait-signature": self.signature,
            "x-strait-timestamp": self.timestamp,
        }
        if self.timeout_secs > 0:
            own["x-strait-timeout-secs"] = str(self.timeout_secs)
        said = {**{name.lower(): value for name, value in self.metadata.items()}, **own}
        return {name.encode(): value.encode() for name, value in said.items()}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an assignment.

    Attributes:
        succeeded: whether the run takes `output` as its result.
        output: JSON text; of a failure what the platform may know of the next attempt.
    """

    run_id: str
    assignment: str
    attempt: int
    succeeded: bool
    output: bytes
    error: str
    duration_ms: int


class Held(NamedTuple):
    """An assignment that the worker has not been relieved of yet."""

    run_id: str
    assignment: str
    attempt: int


class Tasks:
    """What a worker works on, at most `slots` at once.

    Attributes:
        outcomes: what the platform has not said that it has, by assignment.
        sent: when each of them was sent on the present stream, by the monotonic clock.
        acknowledge: runs whose assignment is to be acknowledged.
        news: set whenever there is something to tell.
    """

    def __init__(
        self,
        jobs: Mapping[str, HostedJob],
        executor: Executor,
        platform: PlatformPool,
        guard: Guard,
        slots: int,
        on_event: Callable[[str, dict[str, object]], None],
    ) -> None:
        self._jobs = jobs
        self._executor = executor
        self._platform = platform
        self._guard = guard
        self._slots = slots
        self._on_event = on_event
        self._running: dict[str, tuple[Held, asyncio.Task[None]]] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._told = asyncio.Event()
        self._given_up: set[str] = set()
        self.sent: dict[str, float] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.acknowledge: list[str] = []
        self.news = asyncio.Event()

    @property
    def running(self) -> int:
        """How many assignments are being worked on."""
        return len(self._running)

    @property
    def free(self) -> int:
        """How many more may be."""
        return max(0, self._slots - len(self._running))

    def held(self) -> list[Held]:
        """Return what is worked on, and what is over but not taken note of, the newest first.

        There may be more of the latter than slots, where the platform never says that it has them.
        """
        newest = reversed(self.outcomes.values())
        over = [Held(o.run_id, o.assignment, o.attempt) for o in newest]
        return [held for held, _ in self._running.values()] + over

    def take(self, given: Assignment) -> None:
        """Begin with an assignment, unless it is being worked on or over already."""
        if given.id in self._running or given.id in self.outcomes:
            return
        held = Held(given.run_id, given.id, given.attempt)
        task = asyncio.get_running_loop().create_task(self._work(given))
        self._running[given.id] = (held, task)
        self._idle.clear()
        self.acknowledge.append(given.run_id)
        self.news.set()
        self._on_event("started", {"job": given.job_slug, **_who(given)})

    def cancel(self, run_id: str, reason: str) -> None:
        """Tell the attempts of a run to end: it has ended, or goes on without them."""
        self._executor.cancel(run_id, reason or "canceled by the platform", outlived=True)

    def give_up(self, reason: str) -> None:
        """Tell everything to end, and tell of none of it: it is for another worker to do."""
        for assignment, (held, _) in list(self._running.items()):
            self._given_up.add(assignment)
            self.cancel(held.run_id, reason)

    async def end(self) -> int:
        """End everything now, and return how much was not finished, what was given up included.

        What runs in a thread goes on until it returns.
        """
        self._given_up |= self._running.keys()
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return len(self._given_up)

    def taken(self, assignment: str) -> None:
        """Forget what came of an assignment, since the platform has it."""
        self.sent.pop(assignment, None)
        if self.outcomes.pop(assignment, None) is not None:
            self._told.set()

    def begin_stream(self) -> None:
        """Have everything told anew that the platform has not said that it has."""
        self.sent.clear()
        self.acknowledge.clear()

    async def told(self) -> None:
        """Wait until the platform says that it has one more outcome."""
        self._told.clear()
        await self._told.wait()

    async def idle(self) -> None:
        """Wait until nothing is worked on."""
        await self._idle.wait()

    async def _work(self, given: Assignment) -> None:
        began = time.monotonic()
        try:
            answer = await self._answer(given)
        except asyncio.CancelledError:
            self._leave(given)
            raise
        except Exception as error:  # whatever it is, the platform must hear of it
            log.exception("the worker failed at run %s", given.run_id)
            answer = _failed("WorkerError", f"the worker failed: {type(error).__name__}")
        if given.id in self._given_up:
            self._leave(given)
            return
        outcome = _outcome(given, answer, round((time.monotonic() - began) * 1000))
        self.outcomes[given.id] = outcome
        self._leave(given)
        self._on_event(
            "finished" if outcome.succeeded else "failed",
            {
                "job": given.job_slug,
                **_who(given),
                "duration_ms": outcome.duration_ms,
                **({} if outcome.succeeded else {"error": outcome.error}),
            },
        )

    def _leave(self, given: Assignment) -> None:
        self._running.pop(given.id, None)
        if not self._running:
            self._idle.set()
        self.news.set()

    async def _answer(self, given: Assignment) -> Answer:
        job = self._jobs.get(given.job_slug)
        if job is None:
            known = ", ".join(f"`{slug}`" for slug in self._jobs)
            return _failed("NotFound", f"this worker has no job `{given.job_slug}`, but {known}")
        headers = given.headers()
        if job.secrets and (refusal := self._guard.refusal(headers, given.payload, job.secrets)):
            return _failed("Unauthorized", refusal)
        try:
            dispatch = inbound.parse(headers, given.payload)
        except inbound.BadDispatchError as error:
            return _failed("BadDispatch", str(error))
        answer = await self._executor.run(job, dispatch)
        if answer.status < 300 and len(answer.body) > MAX_OUTPUT_BYTES:
            return await self._too_large(given, len(answer.body))
        return answer

    async def _too_large(self, given: Assignment, size: int) -> Answer:
        """Fail a run whose result no message can hold; another attempt would end the same way."""
        text = (
            f"the result of job `{given.job_slug}` has {size} bytes, and a worker can send "
            f"{MAX_OUTPUT_BYTES}; store it elsewhere and return where it is"
        )
        try:
            async with asyncio.timeout(_FAIL_SECS):
                told = self._platform.runs(given.token).fail_run(given.run_id, {"error": text})
                if inspect.isawaitable(told):  # it is; sync clients have a method of that name too
                    await told
        except (StraitError, TimeoutError) as error:
            log.warning("the platform could not be told: %s", error)
        return _failed("ResultTooLarge", text)


def _who(given: Assignment) -> dict[str, object]:
    return {"run_id": given.run_id, "attempt": given.attempt}


def _failed(kind: str, message: str) -> Answer:
    return Answer(500, json.dumps({"error": {"type": kind, "message": message}}).encode())


def _outcome(given: Assignment, answer: Answer, duration_ms: int) -> Outcome:
    succeeded = 200 <= answer.status < 300
    output, error = b"", ""
    if answer.status == 200:
        output = answer.body
    elif not succeeded:
        said = json.loads(answer.body)["error"]
        error = f"{said['type']}: {said['message']}"
        error = error.encode()[:_MAX_ERROR_BYTES].decode(errors="ignore")
        pauses = [value for name, value in answer.headers if name == b"retry-after-ms"]
        if pauses:
            output = b'{"retry_after_ms":%b}' % pauses[0]
    return Outcome(given.run_id, given.id, given.attempt, succeeded, output, error, duration_ms)
