"""What a handler can ask for by its context that outlives an attempt, besides steps."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from strait.authoring.flow import Flow, as_json
from strait.authoring.recorded.errors import ChildFailed, EventTimeout
from strait.authoring.recorded.journal import Journal
from strait.authoring.recorded.step import Ledger, check_no_step
from strait.authoring.recorded.waits import Waits, gathering
from strait.authoring.validation import MAX_WAIT_SECS, Checks
from strait.clock import from_timestamp, to_timestamp
from strait.errors import HttpError, UnsupportedByPlatform
from strait.reserved import SLEEP_PREFIX, child_outcome_key, event_state_key, version_key

if TYPE_CHECKING:
    from strait.authoring.run_api import RunContextClient
    from strait.errors import Json

T = TypeVar("T")
_NO_SUCH_OPERATION = (404, 405, 501)


@dataclass(slots=True)
class Attempt:
    """What the waits of one attempt need of it.

    Attributes:
        run_id: the run.
        api: returns the service that calls go to.
        ledger: what its steps share.
        run: carries out a flow.
        end: ends the attempt, because the run waits now.
        now_us: the present time in unix microseconds.
    """

    run_id: str
    api: Callable[[], RunContextClient]
    ledger: Ledger
    run: Callable[[Flow[Any]], Awaitable[Any]]
    end: Callable[[], None]
    now_us: Callable[[], int]
    _sleeps: dict[str, int] = field(default_factory=dict)

    @property
    def journal(self) -> Journal:
        """The records."""
        return self.ledger.journal

    # -- waiting ---------------------------------------------------------------------------------

    async def park(self, waits: Waits) -> None:
        """Wait; returns when what is on record should be looked at again."""
        self.ledger.must_be_recorded("wait", str(waits))
        inside = gathering.get()
        await (self.suspend(waits) if inside is None else inside.park(waits))

    async def suspend(self, waits: Waits) -> None:
        """Let the run wait, which ends the attempt; return if something has come already.

        Raises:
            UnsupportedByPlatform: the platform knows no such wait.
        """
        suspend_run = getattr(self.api(), "suspend_run", None)
        if suspend_run is None:
            raise _unsupported()

        def flow() -> Flow[Json]:
            return as_json((yield lambda: suspend_run(self.run_id, waits.to_json())))

        try:
            answer = await self.run(flow())
        except HttpError as error:
            # A run that is gone is 404, too, and says so.
            if error.status in _NO_SUCH_OPERATION and "run" not in str(error.message):
                raise _unsupported() from error
            raise
        if answer["status"] == "ready":
            await self.run(self.journal.read())
        else:
            self.end()

    # -- sleeping --------------------------------------------------------------------------------

    async def sleep(self, span: float | timedelta | datetime, name: str) -> None:
        """Sleep for a span, or until an instant."""
        check_no_step("sleep")
        occurrence = self._sleeps.get(name, 0)
        self._sleeps[name] = occurrence + 1
        key = _sleep_key(name, occurrence)
        kept = await self.run(self.journal.value(key))
        if kept is None:
            self.ledger.must_be_recorded("sleep", name)
            kept = {"name": name, "wake_at": to_timestamp(_wake_us(span, self.now_us()))}
            await self.run(self.journal.write(key, kept))
        if kept.get("over"):
            return
        wake_us = from_timestamp(kept["wake_at"])
        while wake_us > self.now_us():
            await self.park(Waits(wake_at=kept["wake_at"]))
            if (ahead_us := wake_us - self.now_us()) > 0:
                # The platform's clock is a little ahead of ours.
                await asyncio.sleep(min(ahead_us / 1e6, 1.0))
        # So that the attempts after this one need not look at a clock.
        await self.run(self.journal.write(key, {**kept, "over": True}))

    # -- events ----------------------------------------------------------------------------------

    async def event(
        self,
        event_key: str,
        occurrence: int,
        within: float | timedelta | None,
        notify_url: str | None,
    ) -> Json:
        """Return the payload of an event.

        Raises:
            EventTimeout: it did not come in time.
        """
        key = event_state_key(event_key, occurrence)
        body: dict[str, Json] = {"event_key": event_key, "occurrence": occurrence}
        if within is not None:
            body["timeout_secs"] = _whole_secs(within)
        if notify_url is not None:
            body["notify_url"] = notify_url
        while True:
            kept = await self.run(self.journal.value(key))
            if kept is not None:
                if kept.get("timed_out"):
                    raise EventTimeout(event_key)
                return kept["payload"]
            await self.park(Waits(events=(body,)))

    # -- children --------------------------------------------------------------------------------

    async def child(self, child: Json) -> Json:
        """Return the result of a child run.

        Raises:
            ChildFailed: it did not complete.
        """
        check_no_step("spawn")
        key = child_outcome_key(child["id"])
        while True:
            outcome = await self.run(self.journal.value(key))
            if outcome is not None:
                return result_of(outcome)
            await self.park(Waits(children=(child["id"],)))

    # -- versions --------------------------------------------------------------------------------

    async def version(self, change_id: str, latest: int) -> int:
        """Return which version of a change this run follows."""
        Checks("version").text("change_id", change_id, longest=256)
        key = version_key(change_id)
        kept = await self.run(self.journal.value(key))
        if kept is not None:
            return int(kept["version"])
        # What is on record beyond this place was recorded by code without the change.
        version = 0 if self.journal.has_more() else latest
        if not self.ledger.only_recorded:
            value = {"change_id": change_id, "version": version}
            await self.run(self.journal.write(key, value))
        return version


def result_of(outcome: Json) -> Json:
    """Return the result of a child from how it ended.

    Raises:
        ChildFailed: it did not complete.
        RuntimeError: nobody waited for it.
    """
    if "run_id" not in outcome:
        raise RuntimeError(
            "the child was only started: outside of a host nobody calls the handler again when it "
            "has ended; in a test, give its result as `children={slug: …}`"
        )
    if outcome["status"] != "completed":
        raise ChildFailed(outcome["run_id"], outcome["status"], str(outcome.get("error") or ""))
    return outcome.get("result")


def keyed(items: Iterable[T], key: Callable[[T], object] | None, name: str) -> list[tuple[str, T]]:
    """Return items with the names of their steps.

    Raises:
        DefinitionError: two have the same key.
    """
    named: dict[str, T] = {}
    for index, item in enumerate(items):
        step = f"{name}[{index if key is None else key(item)}]"
        if step in named:
            raise Checks("map").refuse(f"two items have the key of step `{step}`; keys must differ")
        named[step] = item
    return list(named.items())


def check_function(name: str, function: object) -> None:
    """Check that a step was given a function.

    Raises:
        DefinitionError: it was given something else, such as the result of calling one.
    """
    if callable(function):
        return
    if inspect.iscoroutine(function):
        function.close()
    raise Checks("step").refuse(
        f"`{name}` needs a function, not a value of type `{type(function).__name__}`; give it "
        f"without calling it, and its arguments after it: `ctx.step({name!r}, function, argument)`"
    )


def name_of(function: Callable[..., object], given: str) -> str:
    """Return the name of a step: the one that was given, or that of its function."""
    name = given or getattr(function, "__name__", "")
    if not name or name == "<lambda>":
        raise Checks("step").refuse("`name` is missing; a lambda has none of its own")
    return name


def _sleep_key(name: str, occurrence: int) -> str:
    return f"{SLEEP_PREFIX}{occurrence}.{sha256(name.encode()).hexdigest()[:32]}"


def _wake_us(span: float | timedelta | datetime, now_us: int) -> int:
    if isinstance(span, datetime):
        if span.tzinfo is None:
            raise Checks("sleep").refuse("`until` must have a time zone")
        return round(span.astimezone(UTC).timestamp() * 1_000_000)
    secs = span.total_seconds() if isinstance(span, timedelta) else span
    if not _is_number(secs) or not secs >= 0 or secs == float("inf"):
        raise Checks("sleep").refuse(
            f"a sleep must be 0 seconds or longer, a number or a `timedelta`, not {span!r}"
        )
    return now_us + round(secs * 1_000_000)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole_secs(timeout: float | timedelta) -> int:
    secs = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    checks = Checks("wait_for_event")
    if not _is_number(secs) or not 0 < secs <= MAX_WAIT_SECS:
        raise checks.refuse(f"`timeout` must be above 0 and at most {MAX_WAIT_SECS} s, not {secs}")
    return max(1, -(-int(secs * 1000) // 1000))


def _unsupported() -> UnsupportedByPlatform:
    return UnsupportedByPlatform(
        "suspend_run",
        "this platform knows no durable sleeps, no timeouts of waits that the run survives, and no "
        "waits for several things at once; the embedded platform does",
    )
