"""The world of a story: the platform, who is around it, and what they know to be true."""

from __future__ import annotations

from simulation import invariants, receivers
from simulation.crew import Crew
from simulation.handlers import Handlers
from simulation.machine import LostError, Machine, Said
from simulation.receivers import Receivers
from strait.clock import SECOND, to_timestamp
from strait.server.outbound import Answer

# Everything has to be over within this time once nothing goes wrong any more.
PATIENCE_SECS = 40 * 24 * 3600.0


class FullError(Exception):
    """Nothing was changed, because the disk was full."""


class World:
    """The people and programs around the platform, and the books that they keep."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.handlers = Handlers(machine)
        self.receivers = Receivers(machine, self.handlers)
        machine.post = self._posted
        self.crew = Crew(machine, self.handlers)
        self.token = ""
        self.jobs: dict[str, str] = {}
        self.workflows: list[str] = []
        self.acknowledged: list[str] = []
        self.by_key: dict[str, set[str]] = {}
        self.workflow_runs: list[str] = []
        self.sent: dict[str, list[int]] = {"debounced": [], "batched": []}
        self.taken: dict[str, list[int]] = {"debounced": [], "batched": []}
        self.keys: list[str] = []
        self.refused: list[int] = []
        self.calm_after = 0
        self.workers_back_after = 0
        self.was_set_back = False
        self._keys = 0
        # In some stories little happens but to workers.
        self._load = machine.chance.choice((5, 5, 100))

    async def _posted(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        who = self.receivers if url.startswith(receivers.URL) else self.handlers
        return await who.post(url, headers, body)

    def _in_secs(self, seconds: int) -> str:
        return to_timestamp(self.machine.clock.now() + seconds * SECOND)

    async def _trigger_once(self, kind: str, payload: object) -> None:
        said = await self._ask("POST", f"/v1/jobs/{self.jobs[kind]}/trigger", {"payload": payload})
        if said.status == 201:
            self.acknowledged.append(said.body["id"])

    async def _until_all_is_over(self) -> None:
        waited = 0.0
        pause = 60.0
        while not await self._all_is_over():
            if waited > PATIENCE_SECS:
                self.machine.faults.append(f"not over after {waited} s: {self._unfinished()}")
                return
            await self.machine.clock.sleep(pause)
            waited += pause
            pause = min(pause * 1.5, 24 * 3600.0)

    def _still_counted(self) -> list[str]:
        """Return what the platform takes for unfinished in its memory, and is not."""
        platform = self.machine._running()
        counts = {
            "executing": platform.scheduler.executing,
            "queued": platform.scheduler.queued,
            "beginning": platform.dispatcher._beginning,
            "a worker's": platform.workers.busy_with,
        }
        return [f"{n} runs count as {what}, and all are over" for what, n in counts.items() if n]

    async def _all_is_over(self) -> bool:
        """Resume what is paused, approve what waits, and say whether nothing is left."""
        reader = self.machine._running().reader
        if invariants.left_to_workers(reader, self.jobs["worked"]):
            self.crew.work()
        else:
            await self.crew.rest()  # who is there says so every few seconds, for days
        for kind, run, status in self._unfinished():
            path = f"/v1/{kind}/{run}"
            if status == "paused":
                await self._ask("POST", f"{path}/resume", {})
        for run, ref in invariants.asked_for(reader):
            await self._ask("POST", f"/v1/workflow-runs/{run}/steps/{ref}/approve", {})
        return not self._unfinished()

    async def _insist(self, method: str, path: str, body: object, *, key: str) -> Said:
        """Send a request under a key, again and again until an answer comes."""
        while True:
            try:
                return await self._ask(method, path, body, key=key)
            except LostError:
                if self.machine.platform is None:
                    await self.machine.boot()
            except FullError:
                pass

    def _next(self) -> int:
        """Return a number that nothing else has."""
        self._keys += 1
        return self._keys

    def _unfinished(self) -> list[tuple[str, str, str]]:
        return invariants.unfinished(self.machine._running().reader)

    async def _ask(self, method: str, path: str, body: object = None, *, key: str = "") -> Said:
        chance = self.machine.chance
        said = await self.machine.ask(method, path, body, token=self.token, key=key)
        if said.status == 503:
            await self.machine.clock.sleep(chance.choice((0.1, 2.0)))
            raise FullError
        if not self.handlers.healthy and chance.random() < 0.03 and method != "GET":
            raise LostError
        return said
