"""The execution context that plain functions get, which a host runs in threads.

It has the names, the arguments and the results of `RunContext`, but each call returns when it is
done.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from strait.authoring.context import RunFacts
from strait.authoring.recorded.children import SpawnedRun
from strait.authoring.recorded.sync_face import SyncDurableMethods

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from strait.authoring.flow import Flow
    from strait.authoring.session import RunSession
    from strait.errors import Json

T = TypeVar("T")
Portal: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Any]
"""Runs a coroutine to its end, on the loop of the host, from the thread of a handler."""


class SyncRunContextState:
    """The key-value store of the run, for plain functions; see `RunContextState`."""

    def __init__(self, session: RunSession, portal: Portal) -> None:
        self._session = session
        self._portal = portal

    def _run(self, flow: Flow[T]) -> T:
        result: T = self._portal(self._session.run(flow))
        return result

    def get(self, key: str) -> Json:
        """Return the value of a key, or None if it is not there."""
        return self._run(self._session.get_state(key))

    def set(self, key: str, value: Json) -> None:
        """Write the value of a key: at most 256 characters and 64 KiB of JSON."""
        self._run(self._session.set_state(key, value))

    def delete(self, key: str) -> None:
        """Delete a key; one that is not there is fine."""
        self._run(self._session.delete_state(key))

    def list(self) -> list[dict[str, Json]]:
        """Return `{"key", "value", "updated_at"}` for every key."""
        return self._run(self._session.list_state())


class SyncRunContext(SyncDurableMethods, RunFacts):
    """`RunContext` for plain functions: each method returns when it is done.

    Args:
        session: the attempt.
        portal: runs a coroutine to its end from the thread of the handler.
    """

    def __init__(self, session: RunSession, portal: Portal) -> None:
        super().__init__(session)
        self._portal = portal
        self.state = SyncRunContextState(session, portal)

    def _run(self, flow: Flow[T]) -> T:
        result: T = self._portal(self._session.run(flow))
        return result

    def flush(self) -> None:
        """Return once everything that was logged is sent."""
        self._portal(self._session.drain())

    def wait_cancelled(self, timeout_secs: float | None = None) -> bool:
        """See `RunContext.wait_cancelled`; as a pause, it ends when the attempt is to end."""
        return self._session.cancellation.wait(timeout_secs)

    def checkpoint(self, state: Json) -> None:
        """See `RunContext.checkpoint`."""
        self._run(self._session.checkpoint(state))

    def report_progress(
        self,
        percent: float,
        message: str | None = None,
        *,
        step: str | None = None,
        eta_seconds: int | None = None,
    ) -> None:
        """See `RunContext.report_progress`."""
        self._run(self._session.report_progress(percent, message, step, eta_seconds))

    def heartbeat(self) -> None:
        """See `RunContext.heartbeat`."""
        self._run(self._session.heartbeat())

    def report_usage(
        self,
        provider: str,
        model: str,
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
        total_tokens: int | None = None,
        cost_microusd: int | None = None,
    ) -> None:
        """See `RunContext.report_usage`."""
        self._run(
            self._session.report_usage(
                provider, model, prompt_tokens, completion_tokens, total_tokens, cost_microusd
            )
        )

    def log_tool_call(
        self,
        tool_name: str,
        input: Json | None = None,
        output: Json | None = None,
        duration_ms: int | None = None,
        status: str | None = None,
    ) -> None:
        """See `RunContext.log_tool_call`."""
        self._run(self._session.log_tool_call(tool_name, input, output, duration_ms, status))

    def save_output(self, key: str, value: Json, schema: Json | None = None) -> None:
        """See `RunContext.save_output`."""
        self._run(self._session.save_output(key, value, schema))

    def stream_chunk(
        self, chunk: str, stream_id: str | None = None, done: bool | None = None
    ) -> None:
        """See `RunContext.stream_chunk`."""
        self._run(self._session.stream_chunk(chunk, stream_id, done))

    def wait_for_event(
        self,
        event_key: str,
        timeout_secs: int | None = None,
        notify_url: str | None = None,
        *,
        timeout: float | timedelta | None = None,
    ) -> Json:
        """See `RunContext.wait_for_event`."""
        if timeout is not None:
            self._session.wait_body(event_key, timeout_secs, notify_url)
            occurrence = self._session.next_wait(event_key)
            return self._portal(
                self._session.recorded.event(event_key, occurrence, timeout, notify_url)
            )
        return self._run(self._session.wait_for_event(event_key, timeout_secs, notify_url))

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
    ) -> SpawnedRun:
        """See `RunContext.spawn`; the child is started at once, and has `result()`."""
        extra = {
            "priority": priority,
            "await_completion": await_completion,
            "await_timeout_secs": await_timeout_secs,
            "target_api_key": target_api_key,
        }
        child = self._run(self._session.spawn(job_slug, project_id, payload, extra))
        return SpawnedRun(child, lambda: self._portal(self._session.recorded.child(child)))

    def spawn_many(
        self, job_slug: str, payloads: Iterable[Json], project_id: str = ""
    ) -> list[Json]:
        """See `RunContext.spawn_many`."""
        return self._run(self._session.spawn_many(job_slug, payloads, project_id))

    def continue_run(self, payload: Json | None = None) -> Json:
        """See `RunContext.continue_run`."""
        return self._run(self._session.continue_run(payload))

    def annotate(self, annotations: Mapping[str, str]) -> None:
        """See `RunContext.annotate`."""
        self._run(self._session.annotate(annotations))

    def complete(self, result: Json | None = None) -> None:
        """See `RunContext.complete`."""
        self._run(self._session.complete(result))

    def fail(self, error: str) -> None:
        """See `RunContext.fail`."""
        self._run(self._session.fail(error))
