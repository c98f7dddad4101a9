"""The execution context that `async def` handlers get.

It is thin: what its methods do is in `session`. `sync_context` has the same for plain functions.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from strait.authoring.recorded.asked import Asked
from strait.authoring.recorded.calls import result_of
from strait.authoring.recorded.children import Spawn
from strait.authoring.recorded.face import DurableMethods
from strait.authoring.recorded.waits import gathering
from strait.authoring.session import RunSession

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from strait.authoring.flow import Flow
    from strait.authoring.run_api import RunContextClient
    from strait.errors import Json

T = TypeVar("T")


class RunFacts:
    """What a handler can read without asking the platform."""

    def __init__(self, session: RunSession) -> None:
        self._session = session

    def __repr__(self) -> str:
        # Neither payload nor secrets: contexts end up in tracebacks and logs.
        return f"<{type(self).__name__} run_id={self.run_id!r} attempt={self.attempt}>"

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self._session.run_id

    @property
    def attempt(self) -> int:
        """Which attempt of the run this is, from 1."""
        return self._session.attempt

    @property
    def job_id(self) -> str:
        """The id of the job; empty outside of a host."""
        return self._session.job_id

    @property
    def payload(self) -> Json:
        """The payload of the run; None outside of a host."""
        return self._session.payload

    @property
    def deadline(self) -> float | None:
        """When this attempt times out, in unix seconds; None if that is not known."""
        return self._session.deadline

    @property
    def remaining_secs(self) -> float | None:
        """How long until this attempt times out, never below 0; None if that is not known."""
        deadline = self._session.deadline
        return None if deadline is None else max(deadline - time.time(), 0.0)

    @property
    def cancelled(self) -> bool:
        """Whether this attempt is to end now; `cancel_reason` says why.

        That is so when the run was canceled or has ended, was dispatched again elsewhere, the
        attempt has timed out, or its host stops. The handler learns it by the next heartbeat at
        the latest. An `async` handler that goes on nevertheless is cancelled after the host's
        grace (`cancel_grace_secs`); a plain one runs in a thread, which nothing can end.
        """
        return self._session.cancellation.told

    @property
    def cancel_reason(self) -> str:
        """Why this attempt is to end; empty while it is not."""
        return self._session.cancellation.reason

    @property
    def last_checkpoint(self) -> Json:
        """The state that an earlier attempt checkpointed; None if there is none."""
        return self._session.last_checkpoint

    @property
    def previous_error(self) -> str | None:
        """What the attempt before this one failed with; None if that is not known."""
        return self._session.previous_error

    @property
    def secrets(self) -> Mapping[str, str]:
        """The job's secrets, which come with the dispatch; names are in upper case."""
        return self._session.secrets

    @property
    def logger(self) -> logging.Logger:
        """A logger whose records also become events of the run."""
        return self._session.logger


class RunContextState:
    """The key-value store of the run, which all its attempts share."""

    def __init__(self, session: RunSession) -> None:
        self._session = session

    async def get(self, key: str) -> Json:
        """Return the value of a key, or None if it is not there."""
        return await self._session.run(self._session.get_state(key))

    async def set(self, key: str, value: Json) -> None:
        """Write the value of a key: at most 256 characters and 64 KiB of JSON."""
        await self._session.run(self._session.set_state(key, value))

    async def delete(self, key: str) -> None:
        """Delete a key; one that is not there is fine."""
        await self._session.run(self._session.delete_state(key))

    async def list(self) -> list[dict[str, Json]]:
        """Return `{"key", "value", "updated_at"}` for every key."""
        return await self._session.run(self._session.list_state())


class RunContext(DurableMethods, RunFacts):
    """What an `async def` handler can ask of the platform while it runs.

    Every method raises a `StraitError` if the platform refuses; a run that has ended answers 410.
    """

    def __init__(self, session: RunSession) -> None:
        super().__init__(session)
        self.state = RunContextState(session)
        self.asked = Asked()

    async def _run(self, flow: Flow[T]) -> T:
        return await self._session.run(flow)

    async def flush(self) -> None:
        """Return once everything that was logged is sent."""
        await self._session.drain()

    async def wait_cancelled(
        self,
        timeout_secs: float | None = None,
    ) -> bool:
        """Wait until this attempt is to end; return whether it is, after `timeout_secs` at most."""
        return await self._session.cancellation.wait_async(timeout_secs)

    async def checkpoint(self, state: Json) -> None:
        """Persist a state; the next attempt finds it in `last_checkpoint`."""
        await self._run(self._session.checkpoint(state))

    async def report_progress(
        self,
        percent: float,
        message: str | None = None,
        *,
        step: str | None = None,
        eta_seconds: int | None = None,
    ) -> None:
        """Report how far the run is, from 0 to 100; the message is the percentage by default."""
        await self._run(self._session.report_progress(percent, message, step, eta_seconds))

    async def heartbeat(self) -> None:
        """Say that the run is alive."""
        await self._run(self._session.heartbeat())

    async def report_usage(
        self,
        provider: str,
        model: str,
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
        total_tokens: int | None = None,
        cost_microusd: int | None = None,
    ) -> None:
        """Report the usage of a language model; cost in millionths of a US dollar.

        On a platform that takes no usage reports this warns once and does nothing more.
        """
        await self._run(
            self._session.report_usage(
                provider, model, prompt_tokens, completion_tokens, total_tokens, cost_microusd
            )
        )

    async def log_tool_call(
        self,
        tool_name: str,
        input: Json | None = None,
        output: Json | None = None,
        duration_ms: int | None = None,
        status: str | None = None,
    ) -> None:
        """Report the call of a tool, like `report_usage`."""
        await self._run(self._session.log_tool_call(tool_name, input, output, duration_ms, status))

    async def save_output(self, key: str, value: Json, schema: Json | None = None) -> None:
        """Save a named output of the run; a second one of the same name replaces it."""
        await self._run(self._session.save_output(key, value, schema))

    async def stream_chunk(
        self, chunk: str, stream_id: str | None = None, done: bool | None = None
    ) -> None:
        """Publish a chunk to whoever follows the run; chunks are not kept."""
        await self._run(self._session.stream_chunk(chunk, stream_id, done))

    async def wait_for_event(
        self,
        event_key: str,
        timeout_secs: int | None = None,
        notify_url: str | None = None,
        *,
        timeout: float | timedelta | None = None,  # noqa: ASYNC109 - it is the run that waits
    ) -> Json:
        """Wait until an event is sent and return its payload.

        In a host the attempt ends here (`AttemptSuspended`) and the handler is called again from
        its beginning when the event has come; the same call then returns. The n-th wait for one
        key within an attempt is the same wait every time.

        Args:
            event_key: the key of the event, at most 512 characters.
            timeout_secs: seconds until the run times out; an hour by default, 30 days at most.
            notify_url: a URL that is told that the run waits.
            timeout: seconds, or a `timedelta`, after which the run goes on with `EventTimeout`
                instead of being timed out.

        Raises:
            EventTimeout: the event did not come within `timeout`.
            UnsupportedByPlatform: `timeout`, on another platform than the embedded one.

        Returns:
            The payload of the event; outside of a host, where nobody calls the handler again, the
            platform's answer that the run waits: `{"status": "waiting", ...}`.
        """
        if timeout is None and gathering.get() is None:
            return await self._run(
                self._session.wait_for_event(event_key, timeout_secs, notify_url)
            )
        self._session.wait_body(event_key, timeout_secs, notify_url)
        occurrence = self._session.next_wait(event_key)
        return await self._session.recorded.event(
            event_key, occurrence, timeout or timeout_secs, notify_url
        )

    def spawn(
        self,
        job_slug: str,
        project_id: str = "",
        payload: Json | None = None,
        priority: int | None = None,
        *,
        await_completion: bool | None = None,
        await_timeout_secs: int | None = None,
        target_api_key: str | None = None,
    ) -> Spawn:
        """Start a child run and return it; with `await_completion`, wait for it.

        `await ctx.spawn(…)` starts it; `await ctx.spawn(…).result()` also waits for its end and
        returns its result, or raises `ChildFailed`.

        A handler that is called again, after a wait or a failed attempt, gets the child that its
        same call started before: the n-th spawn of one job within an attempt is the same child.

        Args:
            job_slug: the slug of its job.
            project_id: the project of the job; by default the one that the host was told.
            payload: its payload.
            priority: sent along; platforms up to 0.1.6 give the child its parent's.
            await_completion: end the attempt until the child has ended, like `wait_for_event`,
                and then return `{"run_id", "status", "result" or "error"}`.
            await_timeout_secs: seconds of that wait.
            target_api_key: a key of the other project, if it is not this one.
        """
        extra = {
            "priority": priority,
            "await_completion": await_completion,
            "await_timeout_secs": await_timeout_secs,
            "target_api_key": target_api_key,
        }

        async def start() -> Json:
            return await self._run(self._session.spawn(job_slug, project_id, payload, extra))

        async def result(timeout_secs: int | None) -> Json:
            if gathering.get() is not None:
                child = await self._run(self._session.spawn(job_slug, project_id, payload, extra))
                return await self._session.recorded.child(child)
            waited = {**extra, "await_completion": True}
            if timeout_secs is not None:
                waited["await_timeout_secs"] = timeout_secs
            return result_of(
                await self._run(self._session.spawn(job_slug, project_id, payload, waited))
            )

        return Spawn(start, result)

    async def spawn_many(
        self, job_slug: str, payloads: Iterable[Json], project_id: str = ""
    ) -> list[Json]:
        """Start a child run for each payload, wait for all, and return how each ended.

        In a host the attempt ends here until all children have ended, and the handler is called
        again from its beginning; the same call then returns.

        Returns:
            In the order of the payloads `{"run_id", "status", "result" or "error"}`; outside of
            a host, where nobody calls the handler again, the children as they were started.
        """
        return await self._run(self._session.spawn_many(job_slug, payloads, project_id))

    async def continue_run(self, payload: Json | None = None) -> Json:
        """Start the run that continues this one, by default with the same payload."""
        return await self._run(self._session.continue_run(payload))

    async def annotate(self, annotations: Mapping[str, str]) -> None:
        """Lay 1 to 50 entries over the metadata of the run."""
        await self._run(self._session.annotate(annotations))

    async def complete(self, result: Json | None = None) -> None:
        """End the run with a result; what the handler returns afterwards is not looked at."""
        await self._run(self._session.complete(result))

    async def fail(self, error: str) -> None:
        """End the run with an error; no attempt follows."""
        await self._run(self._session.fail(error))


def create_run_context(client: RunContextClient, run_id: str, attempt: int = 1) -> RunContext:
    """Return a context for a run that this process works on.

    Args:
        client: `client.sdk_runs` of a client with the run's token (`run_token=`). One of a
            synchronous client is called in a thread, so that it does not block the loop.
        run_id: the run.
        attempt: which attempt this is, from 1.
    """
    return RunContext(RunSession(lambda: client, run_id, attempt))
