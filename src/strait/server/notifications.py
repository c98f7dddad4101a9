"""Telling the address that a wait names that somebody waits for an event (`contract/runs.md` §9.1).

A notice is sent after the wait is on disk, and never holds anything up. What became of it is kept
in the wait's `notify_status`; while that is `pending` the next server takes it up again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote

from msgspec import json
from msgspec.structs import replace

from strait.engine.model import EventTrigger
from strait.server.outbound import CallError
from strait.server.unit import Unit
from strait.store import triggers

if TYPE_CHECKING:
    from strait.server.platform import Platform

# How long to wait after each attempt that did not get through; after the fifth it is given up.
PAUSES_SECS = (5, 25, 125, 625)
_ANSWER_SECS = 10
_MAX_ANSWER_BYTES = 65_536
_AT_ONCE = 32


class Notifier:
    """Sends notices, each again while the address is down and the wait is open."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._outbound = platform.outside.outbound(max_body_bytes=_MAX_ANSWER_BYTES)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, trigger: EventTrigger) -> None:
        """Begin to send the notice of a wait."""
        task = asyncio.get_running_loop().create_task(self._tell(trigger))
        self._tasks.add(task)
        task.add_done_callback(self._told)

    async def stop(self) -> None:
        """Send no more; notices that did not get through stay `pending`."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._outbound.close()

    def _told(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._platform.report("a notice of a wait could not be sent", error)

    async def _tell(self, trigger: EventTrigger) -> None:
        status = await self._attempt(trigger)
        for pause_secs in PAUSES_SECS:
            if status != "pending":
                break
            await self._platform.nap(pause_secs)
            # Once the wait is over there is nothing left to tell.
            status = await self._attempt(trigger) if self._is_open(trigger.id) else "failed"
        await self._keep(trigger.id, "failed" if status == "pending" else status)

    async def _attempt(self, trigger: EventTrigger) -> str:
        try:
            async with self._slots, asyncio.timeout(_ANSWER_SECS):
                answer = await self._outbound.post(trigger.notify_url, (), notice(trigger))
        except (CallError, TimeoutError):
            return "pending"
        if 200 <= answer.status < 300:
            return "sent"
        # Who answers, and does not want it, will not want it later.
        return "pending" if answer.status >= 500 else "failed"

    def _is_open(self, trigger_id: str) -> bool:
        present = triggers.load(self._platform.reader, trigger_id)
        return present is not None and present.status == "waiting"

    async def _keep(self, trigger_id: str, status: str) -> None:
        def work(unit: Unit) -> None:
            # Whoever was told may have sent the event already: only this field is ours.
            present = triggers.load(unit.db, trigger_id)
            if present is not None:
                triggers.save(unit.db, replace(present, notify_status=status))

        await self._platform.write(work)


def notice(trigger: EventTrigger) -> bytes:
    """Return what is posted: who waits for which event until when, and where to send it."""
    return json.encode(
        {
            "event_key": trigger.event_key,
            "trigger_id": trigger.id,
            "project_id": trigger.project_id,
            "expires_at": trigger.expires_at,
            "callback_url": f"/v1/events/{quote(trigger.event_key, safe=':')}/send",
        }
    )
