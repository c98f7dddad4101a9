"""Log drains: the history of runs, sent on in batches to wherever a project wants to have it.

Each drain has a durable place in the ledger. It is moved once a batch has arrived, so every line
arrives at least once, and a drain that is down costs nothing but the distance to the newest line.
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Raw, json

from strait.clock import SECOND
from strait.server.audience import DRAIN
from strait.server.outbound import CallError, Header
from strait.server.unit import Unit
from strait.server.vault import field_place
from strait.store import ledger, log_drains, records
from strait.store.connection import StoreError
from strait.store.ledger import Line
from strait.store.records import Record

if TYPE_CHECKING:
    from strait.server.platform import Platform

logger = logging.getLogger("strait.server")

BATCH_LINES = 500
BATCH_BYTES = 1_000_000
# A batch that is not full yet waits this long for more.
LINGER_SECS = 1
# A drain that is further behind loses the oldest lines.
MAX_BACKLOG = 100_000
_ANSWER_SECS = 10
_MAX_ANSWER_BYTES = 65_536
_FIRST_PAUSE_SECS = 5
_LONGEST_PAUSE_SECS = 300
# What says that this batch will never do, though another may.
_TOO_MUCH_OR_WRONG = frozenset({400, 413, 422})
_TIMER = "log_drain"


@dataclass(slots=True)
class _State:
    """What memory knows of a drain."""

    waiting: int = 0
    lingers: bool = False
    failures: int = 0
    limit: int = BATCH_LINES
    task: asyncio.Task[None] | None = None
    again: bool = False


class LogDrains:
    """Sends lines to drains, a batch at a time for each."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._outbound = platform.outside.outbound(
            max_body_bytes=_MAX_ANSWER_BYTES, reach=platform.reach
        )
        self._states: dict[str, _State] = {}
        self._stopping = False

    def heard(self, drains: tuple[Record, ...], lines: int) -> None:
        """Take note that there are more lines for some drains."""
        for drain in drains:
            state = self._states.setdefault(drain.id, _State())
            state.waiting += lines
            if state.failures:
                continue  # its timer is set
            if state.waiting >= BATCH_LINES:
                self.look(drain.id)
            elif not state.lingers:
                state.lingers = True
                self._wake(drain.id, LINGER_SECS)

    def changed(self, drain_id: str) -> None:
        """Try a drain at once whose declaration was changed."""
        state = self._states.setdefault(drain_id, _State())
        state.failures, state.limit = 0, BATCH_LINES
        self.look(drain_id)

    def look(self, drain_id: str) -> None:
        """Send what there is for a drain."""
        if self._stopping:
            return
        state = self._states.setdefault(drain_id, _State())
        state.waiting, state.lingers = 0, False
        if state.task is not None:
            state.again = True
            return
        state.task = asyncio.get_running_loop().create_task(self._pump(drain_id, state))
        state.task.add_done_callback(lambda task: self._pumped(drain_id, state, task))

    async def stop(self) -> None:
        """Send no more; the next server goes on where this one stopped."""
        self._stopping = True
        tasks = [state.task for state in self._states.values() if state.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._outbound.close()

    def _wake(self, drain_id: str, seconds: float) -> None:
        instant = self._platform.clock.now() + round(seconds * SECOND)
        self._platform.timers.set((_TIMER, drain_id), instant)

    def _pumped(self, drain_id: str, state: _State, task: asyncio.Task[None]) -> None:
        state.task = None
        again, state.again = state.again, False
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._platform.report("a log drain could not be served", error, subject=drain_id)
            self._wake(drain_id, _LONGEST_PAUSE_SECS)
        elif again and not state.failures and not task.cancelled():
            self.look(drain_id)

    # ------------------------------------------------------------------------------------ one drain

    async def _pump(self, drain_id: str, state: _State) -> None:
        while True:
            drain = records.get(self._platform.reader, DRAIN, drain_id)
            if drain is None or not drain.fields.get("enabled", True):
                self._states.pop(drain_id, None)
                return
            batch = self._next(drain, state)
            if batch.lines and not await self._deliver(drain, state, batch):
                return
            if batch.end > log_drains.cursor(self._platform.reader, drain_id):
                await self._platform.write(partial(_move, drain_id, batch.end))
            if batch.last:
                return

    def _next(self, drain: Record, state: _State) -> log_drains.Batch:
        reader = self._platform.reader
        after = log_drains.cursor(reader, drain.id)
        oldest = ledger.end(reader) - MAX_BACKLOG
        if after < oldest:
            logger.warning(
                "log drain %s is too far behind: lines %d to %d are dropped",
                drain.id, after + 1, oldest,
            )  # fmt: skip
            after = oldest
        levels = levels_of(drain)
        return _cut(log_drains.batch(reader, drain.project_id, levels, after, state.limit))

    async def _deliver(self, drain: Record, state: _State, batch: log_drains.Batch) -> bool:
        """Send a batch; return whether to go on behind it."""
        status, reason = await self._attempt(drain, batch)
        if 200 <= status < 300:
            state.failures, state.limit = 0, min(BATCH_LINES, state.limit * 2)
            return True
        if status in _TOO_MUCH_OR_WRONG and len(batch.lines) == 1:
            line = batch.lines[0][1]
            logger.warning("log drain %s refuses line %s: %s", drain.id, line.id, reason)
            state.failures = 0  # it is there, and wants the next one
            return True
        if status in _TOO_MUCH_OR_WRONG:
            state.limit = max(1, len(batch.lines) // 2)
        state.failures += 1
        pause = min(_FIRST_PAUSE_SECS * 2 ** (state.failures - 1), _LONGEST_PAUSE_SECS)
        logger.warning("log drain %s: %s; again in %d s", drain.id, reason, pause)
        self._wake(drain.id, pause)
        return False

    async def _attempt(self, drain: Record, batch: log_drains.Batch) -> tuple[int, str]:
        body = json.encode([shown(line) for _, line in batch.lines])
        try:
            headers = auth_headers(drain.fields["auth_type"], self._auth(drain))
            async with asyncio.timeout(_ANSWER_SECS):
                answer = await self._outbound.post(drain.fields["endpoint_url"], headers, body)
        except TimeoutError:
            return 0, f"no answer within {_ANSWER_SECS} s"
        except (CallError, StoreError) as error:
            return 0, str(error)
        return answer.status, f"it answered {answer.status}"

    def _auth(self, drain: Record) -> dict[str, str]:
        sealed = drain.sealed.get("auth_config", "")
        text = self._platform.vault.open(sealed, field_place(DRAIN, drain.id, "auth_config"))
        config: dict[str, str] = json.decode(text) if text else {}
        return config


def _move(drain_id: str, place: int, unit: Unit) -> None:
    log_drains.move(unit.db, drain_id, place)


def shown(line: Line) -> dict[str, Any]:
    """Return a line as drains get it; its `id` is the same however often it is sent."""
    return {
        "id": line.id,
        "run_id": line.subject,
        "project_id": line.project_id,
        "timestamp": line.at,
        "level": line.level,
        "type": line.type,
        "message": line.message,
        "data": None if line.data is None else Raw(line.data.encode()),
    }


def levels_of(drain: Record) -> list[str]:
    """Return the levels that a drain wants, in all the spellings that handlers give them."""
    given = {level.lower() for level in drain.fields.get("level_filter") or []}
    return sorted(given | _WARN if given & _WARN else given)


_WARN = frozenset({"warn", "warning"})


def auth_headers(auth_type: str, config: dict[str, str]) -> list[Header]:
    """Return the headers by which a drain knows us; an unknown type has none."""
    match auth_type:
        case "bearer":
            return [(b"Authorization", b"Bearer " + config["token"].encode())]
        case "basic":
            pair = f"{config['username']}:{config['password']}".encode()
            return [(b"Authorization", b"Basic " + b64encode(pair))]
        case "header":
            return [(name.encode(), value.encode()) for name, value in config.items()]
        case _:
            return []


def _cut(batch: log_drains.Batch) -> log_drains.Batch:
    """Return as much of a batch as fits into one request, and one line at least."""
    size = 0
    for index, (_, line) in enumerate(batch.lines):
        size += len(line.message) + len(line.data or "") + len(line.id)
        if index and size > BATCH_BYTES:
            return log_drains.Batch(batch.lines[:index], batch.lines[index - 1][0], last=False)
    return batch
