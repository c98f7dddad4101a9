"""Simulated handlers: they answer, fail, hang, wait, spawn, repeat themselves and come late."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from simulation.durable import Durable, GoneError
from simulation.machine import LostError, Machine, Said
from simulation.setting import HANG_SECS
from strait.server.outbound import Answer, CallError


@dataclass
class Attempt:
    """One dispatch, as its handler sees it."""

    run_id: str
    number: int
    token: str
    payload: object
    undoes: str = ""


class Handlers:
    """All endpoints of the simulated world.

    Attributes:
        healthy: no faults from now on, so that everything can come to its end.
        given: what handlers gave as results, by run.
        events: the keys that somebody began to wait for.
        durable: handlers whose steps are on record.
        dispatched: all runs that were sent to a handler.
        called: where each run was sent, and when, in their order.
        users_token: with which people act on runs while handlers are at work.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.healthy = False
        self.given: dict[str, list[object]] = defaultdict(list)
        self.events: list[str] = []
        self.durable = Durable(machine, self)
        self.dispatched: set[str] = set()
        self.called: dict[str, list[tuple[str, int]]] = defaultdict(list)
        self.users_token = ""
        self._results = 0
        self._asides: set[asyncio.Future[None]] = set()
        self._newest: dict[str, str] = {}

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """Answer a dispatch, or break the connection in one of the ways that there are."""
        chance, clock = self._machine.chance, self._machine.clock
        attempt = Attempt(
            headers["x-run-id"],
            int(headers["x-attempt"]),
            headers["x-run-token"],
            json.loads(body or b"null"),
            headers.get("x-strait-undo-of", ""),
        )
        self._newest[attempt.run_id] = attempt.token
        self.dispatched.add(attempt.run_id)
        self.called[attempt.run_id].append((url.rpartition("/")[2], self._machine.stamp()))
        self._machine.note("dispatch", attempt.run_id, attempt.number)
        if not self.healthy and (fault := chance.random()) < 0.1:
            await clock.sleep(chance.choice((0.0, 0.5)))
            reusable = fault < 0.03
            raise CallError("the endpoint closed it", "connection", reusable_broke=reusable)
        # What is done where a start may be lost finds most.
        often = 0.5 if self._machine.is_full else 0.03
        if not self.healthy and chance.random() < often:
            self._asides.add(asyncio.ensure_future(self._canceled_by_someone(attempt.run_id)))
        try:
            answer = await self._handled(url.rpartition("/")[2], attempt)
        except (GoneError, LostError):
            answer = Answer(500, {}, b"gone")
        if not self.healthy and chance.random() < 0.05:
            raise CallError("the answer was lost", "connection")
        return answer

    async def _canceled_by_someone(self, run_id: str) -> None:
        """Have somebody cancel a run in the moment in which its handler has it."""
        with suppress(LostError):
            await self._machine.ask("DELETE", f"/v1/runs/{run_id}", token=self.users_token)

    async def _handled(self, kind: str, attempt: Attempt) -> Answer:
        chance, clock = self._machine.chance, self._machine.clock
        await clock.sleep(0.001 if self.healthy else chance.choice((0.0, 0.001, 0.05, 2.0, 20.0)))
        if not self.healthy and chance.random() < 0.06:
            await clock.sleep(HANG_SECS)
        match kind:
            case "reports":
                await self._reports(attempt)
            case "waits":
                await self._waits(attempt)
            case "spawns":
                await self._spawns(attempt)
            case "says":
                return await self._says(attempt)
            case "durable":
                if not await self.durable.carry_out(attempt):
                    return Answer(404, {}, b"for good")
        if not self.healthy and chance.random() < 0.2:
            return Answer(chance.choice((500, 503, 429, 404, 302)), {}, b"no")
        return Answer(200, {}, json.dumps(self._result(attempt)).encode())

    def _result(self, attempt: Attempt) -> object:
        return self.result_of(attempt.run_id, attempt.number)

    def result_of(self, run_id: str, attempt: int) -> dict[str, Any]:
        """Return a result that no other attempt has, and take note that it was given."""
        self._results += 1
        result = {"by": self._results, "attempt": attempt}
        self.given[run_id].append(result)
        return result

    # ------------------------------------------------------------------------ what they do inside

    async def _reports(self, attempt: Attempt) -> None:
        for number in range(self._machine.chance.randint(1, 4)):
            await self.sdk(attempt, "progress", {"percent": 25 * number, "message": "on it"})
            await self.sdk(attempt, "checkpoint", {"state": {"number": number}})
            await self.sdk(attempt, "state", {"key": "n", "value": number})
        await self.sdk(attempt, "annotate", {"annotations": {"said": str(attempt.number)}})

    async def _waits(self, attempt: Attempt) -> None:
        """Wait for an event once; the next dispatch finds that it came, or does without."""
        key = f"event:{attempt.run_id}"
        if key in self.events:
            return
        body = {"event_key": key, "timeout_secs": self._machine.chance.choice((60, 3600))}
        said = await self.sdk(attempt, "wait-for-event", body)
        if said.status == 200:
            self.events.append(key)
            raise GoneError  # the platform hangs up, and calls again

    async def _spawns(self, attempt: Attempt) -> None:
        body = {
            "job_slug": "plain",
            "project_id": "proj-1",
            "payload": {"from": attempt.run_id},
            "await_completion": self._machine.chance.random() < 0.5,
            "spawn_key": "child",
        }
        said = await self.sdk(attempt, "spawn", body)
        if said.status == 201 and "await_event_key" in said.body:
            current = await self.sdk(attempt, "payload", None, method="GET")
            if current.status != 200:
                raise GoneError

    async def _says(self, attempt: Attempt) -> Answer:
        """Complete or fail through the API, and then answer otherwise."""
        if self._machine.chance.random() < 0.8:
            await self.sdk(attempt, "complete", {"result": self._result(attempt)})
        else:
            await self.sdk(attempt, "fail", {"error": "it said so"})
        self.given[attempt.run_id].append(None)
        return Answer(self._machine.chance.choice((200, 500)), {}, b"")

    async def sdk(self, attempt: Attempt, what: str, body: object, *, method: str = "POST") -> Said:
        """Speak for a run; some things are said twice, and some answers never come."""
        chance = self._machine.chance
        path = f"/sdk/v1/runs/{attempt.run_id}/{what}"
        is_old = self._newest[attempt.run_id] != attempt.token
        said = await self._machine.ask(method, path, body, token=attempt.token)
        if said.status == 503:
            await self._machine.clock.sleep(1.0)
            said = await self._machine.ask(method, path, body, token=attempt.token)
        if not self.healthy and chance.random() < 0.1:
            await self._machine.ask(method, path, body, token=attempt.token)
        if is_old and said.status < 300:
            self._machine.faults.append(f"an old dispatch of {attempt.run_id} could {what}")
        if said.status in {401, 403, 404, 410, 503}:
            raise GoneError
        return said
