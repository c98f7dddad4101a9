"""What people do with runs: trigger, cancel, pause, put off, replay them, and send events."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from simulation import setting
from simulation.machine import LostError
from simulation.setting import KINDS
from simulation.world import FullError, World


class People(World):
    """Those who have runs carried out."""

    async def _trigger(self) -> None:
        """Trigger a job under a key, again and again until an answer comes, as clients do."""
        chance = self.machine.chance
        self._keys += 1
        key = f"key-{self._keys}" if chance.random() < 0.7 else ""
        payload = {"n": self._keys, "who": chance.choice("ab")}
        body: dict[str, Any] = {"payload": payload, "priority": chance.randint(0, 3)}
        if chance.random() < 0.3:
            body["concurrency_key"] = "one"
        if chance.random() < 0.1:
            body["scheduled_at"] = self._in_secs(chance.choice((1, 60, 7200)))
        job = self.jobs[chance.choice((*KINDS, "throttled", "worked", "worked"))]
        path = f"/v1/jobs/{job}/trigger"
        while True:
            try:
                said = await self._ask("POST", path, body, key=key)
            except LostError:
                if self.machine.platform is None:
                    await self.machine.boot()
                if not key:
                    return
                continue
            except FullError:
                if not key:
                    self.refused.append(payload["n"])
                    return
                continue
            if said.status in {200, 201}:
                self.acknowledged.append(said.body["id"])
                if key:
                    self.by_key.setdefault(key, set()).add(said.body["id"])
            if not key or chance.random() < 0.8:
                return

    async def _trigger_many(self) -> None:
        """Trigger many runs at once, all of them or none, and again if no answer comes."""
        chance = self.machine.chance
        items = []
        for _ in range(chance.randint(2, 6)):
            self._keys += 1
            payload = {"n": self._keys, "who": chance.choice("ab")}
            items.append({"payload": payload, "idempotency_key": f"key-{self._keys}"})
        path = f"/v1/jobs/{self.jobs[chance.choice(KINDS)]}/trigger/bulk"
        for _ in range(chance.randint(1, 3)):
            with suppress(FullError):
                said = await self._ask("POST", path, {"items": items})
                if said.status != 201:
                    return
                for item, result in zip(items, said.body["results"], strict=True):
                    self.acknowledged.append(result["id"])
                    self.by_key.setdefault(str(item["idempotency_key"]), set()).add(result["id"])

    async def _move(self) -> None:
        """Start a run over, put it off or forward, or cancel several."""
        if not self.acknowledged:
            return
        chance = self.machine.chance
        run = chance.choice(self.acknowledged)
        match chance.choice(("restart", "reschedule", "bulk-cancel")):
            case "restart":
                await self._ask("POST", f"/v1/runs/{run}/restart", {})
            case "reschedule":
                body = {"scheduled_at": self._in_secs(chance.choice((-60, 0, 60, 7200)))}
                await self._ask("POST", f"/v1/runs/{run}/reschedule", body)
            case where:
                some = chance.sample(self.acknowledged, min(3, len(self.acknowledged)))
                await self._ask("POST", f"/v1/runs/{where}", {"run_ids": some})

    async def _gather(self) -> None:
        """Trigger a job that makes one run of several triggers."""
        chance = self.machine.chance
        kind = chance.choice(("debounced", "batched"))
        for _ in range(chance.randint(1, 4)):
            self._keys += 1
            body: dict[str, Any] = {"payload": {"n": self._keys}}
            self.sent[kind].append(self._keys)
            said = await self._ask("POST", f"/v1/jobs/{self.jobs[kind]}/trigger", body)
            if said.status == 201:
                self.taken[kind].append(self._keys)

    async def _send(self) -> None:
        """Send an event, to somebody who waits, has waited, or never did."""
        chance = self.machine.chance
        key = chance.choice([*self.handlers.events, *self.keys, setting.SHARED_KEY])
        path = "/v1/events/prefix/flow:/send" if chance.random() < 0.1 else f"/v1/events/{key}/send"
        self._keys += 1
        payload = {"sent": key, "n": self._keys}
        self.handlers.durable.books.sent[key].append(payload)
        # What a durable handler will wait for may be sent before it does.
        held = {"hold_secs": 3600} if key.startswith("durable:") else {}
        await self._ask("POST", path, {"payload": payload, **held})

    async def _cancel(self) -> None:
        if self.acknowledged:
            run = self.machine.chance.choice(self.acknowledged)
            await self._ask("DELETE", f"/v1/runs/{run}")

    async def _replay(self) -> None:
        if self.acknowledged:
            run = self.machine.chance.choice(self.acknowledged)
            said = await self._ask("POST", f"/v1/runs/{run}/replay")
            if said.status == 201:
                self.acknowledged.append(said.body["id"])

    async def _revive(self) -> None:
        """Put a dead letter back into the queue, or all that there are."""
        dead = await self._dead_letters()
        if not dead:
            return
        if self.machine.chance.random() < 0.5:
            run = self.machine.chance.choice(dead)
            await self._ask("POST", f"/v1/runs/{run}/dlq-replay", {})
        else:
            await self._ask("POST", "/v1/runs/bulk-dlq-replay", {"run_ids": dead})

    async def _dead_letters(self) -> list[str]:
        """Return all dead letters, of which each may soon be none any more."""
        said = await self._ask("GET", "/v1/runs/dlq?limit=100")
        dead = [run["id"] for run in said.body["data"]]
        for run in dead:
            self.handlers.durable.revive(run)
        return dead

    async def _pause(self) -> None:
        chance = self.machine.chance
        what = chance.choice(("pause", "resume"))
        if chance.random() < 0.5 and self.acknowledged:
            await self._ask("POST", f"/v1/runs/{chance.choice(self.acknowledged)}/{what}", {})
        else:
            await self._ask("POST", f"/v1/jobs/{self.jobs[chance.choice(KINDS)]}/{what}", {})
