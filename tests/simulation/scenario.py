"""One seed's story: jobs, workflows, people and accidents, until everything has come to its end."""

from __future__ import annotations

import asyncio
import logging
import random
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulation import invariants, receivers, setting
from simulation.crew import Crew, simulated
from simulation.errors import Errors
from simulation.handlers import Handlers
from simulation.machine import LostError, Machine, Said, seeded
from simulation.receivers import Receivers
from simulation.setting import KINDS, PROJECT
from simulation.time import run as run_in_simulated_time
from strait.clock import SECOND, to_timestamp
from strait.server.outbound import Answer
from strait.server.unit import Unit
from strait.server.work import api_keys
from strait.store import meta

# Everything has to be over within this time once nothing goes wrong any more.
PATIENCE_SECS = 40 * 24 * 3600.0


@dataclass
class Outcome:
    """What became of a seed."""

    seed: int
    digest: str
    faults: list[str]
    lines: list[str] = field(repr=False)
    runs: int = 0
    starts: int = 0


class FullError(Exception):
    """Nothing was changed, because the disk was full."""


class Story:
    """The people and programs around the platform."""

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

    # ---------------------------------------------------------------------------------- the story

    async def tell(self) -> None:
        """Set up, let everything happen, and bring it to its end."""
        machine = self.machine
        await machine.boot()
        self.token = await machine._inside(machine._running().write(_project_and_key))
        self.handlers.users_token = self.token
        self.handlers.healthy = True
        await self._set_up()
        self.crew.work()
        self.handlers.healthy = False
        for _ in range(machine.chance.randint(15, 45)):
            await machine.clock.sleep(machine.chance.choice((0.0, 0.0, 0.01, 1.0, 30.0)))
            await self._something_happens()
        self.handlers.healthy = True
        machine.free_disk()
        self.crew.recover()
        await machine.clock.sleep(1.0)
        self.calm_after = invariants.newest_line(machine._running().reader)
        await self._calm_down()
        await machine.clock.sleep(invariants.WORKERS_BACK_SECS)
        self.workers_back_after = invariants.newest_line(machine._running().reader)
        await self._until_all_is_over()
        await self._mend_all()
        await self._until_all_is_over()
        await self.crew.rest()
        # Pauses go by the wall clock, and are longer by as much as that is set back.
        set_back = setting.SET_BACK_SECS * machine.clock.times_set_back
        await machine.clock.sleep(receivers.LATEST_SECS + set_back)
        # What is on disk may not have been told as yet.
        await machine.settle()
        machine.faults += self._still_counted()
        await machine.shut_down()

    async def _something_happens(self) -> None:
        chance = self.machine.chance
        event = chance.choices(
            (self._trigger, self._gather, self._run_workflow, self._send, self._cancel,
             self._pause, self._act, self._mend, self._accident, self._set_clock, self._replay,
             self._fill_disk, self._revive, self._restart, self._trigger_many, self._move,
             self._overwork),
            weights=(26, 10, 10, 10, 5, 4, 6, 10, 9, 3, 3, 5, 4, 4, 4, 5, self._load),
        )[0]  # fmt: skip
        try:
            await event()
        except (LostError, FullError):
            self.machine.note("no answer")
            if self.machine.platform is None:
                await self.machine.boot()

    async def _set_up(self) -> None:
        chance = self.machine.chance
        await self._ask("PUT", "/v1/throttles/slow", setting.THROTTLE)
        await self._ask("POST", "/v1/webhooks/subscriptions", receivers.SUBSCRIPTION)
        await self._ask("POST", "/v1/log-drains", receivers.DRAIN)
        for kind, body in setting.jobs(chance).items():
            self.jobs[kind] = (await self._ask("POST", "/v1/jobs", body)).body["id"]
        for number in range(3):
            body = setting.workflow(chance, number, self.jobs, self.workflows)
            said = await self._ask("POST", "/v1/workflows", body)
            self.workflows.append(said.body["id"])

    # ------------------------------------------------------------------------------ what happens

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

    def _in_secs(self, seconds: int) -> str:
        return to_timestamp(self.machine.clock.now() + seconds * SECOND)

    async def _trigger_once(self, kind: str, payload: object) -> None:
        said = await self._ask("POST", f"/v1/jobs/{self.jobs[kind]}/trigger", {"payload": payload})
        if said.status == 201:
            self.acknowledged.append(said.body["id"])

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

    async def _run_workflow(self) -> None:
        self._keys += 1
        workflow = self.machine.chance.choice(self.workflows)
        body = {"payload": {"n": self._keys, "who": "flow"}}
        said = await self._ask("POST", f"/v1/workflows/{workflow}/trigger", body)
        if said.status == 201:
            self.workflow_runs.append(said.body["id"])
            self.keys += [f"flow:{self._keys}:s{index}" for index in range(6)]

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

    async def _act(self) -> None:
        """Approve, cancel, pause or resume a workflow run."""
        path = await self._some_workflow_run()
        if not path:
            return
        chance = self.machine.chance
        match chance.choice(("approve", "approve", "cancel", "pause", "resume")):
            case "approve":
                await self._approve_all(path)
            case "cancel":
                await self._ask("DELETE", path)
            case other:
                await self._ask("POST", f"{path}/{other}", {})

    async def _mend(self) -> None:
        """Retry or undo a workflow run, or deal with one of its steps by hand."""
        how = self.machine.chance.choice(("retry", "compensate", "step", "step", "bulk"))
        path = await self._some_workflow_run("" if how == "bulk" else "failed")
        if path:
            await self._mend_one(path, how)

    async def _mend_one(self, path: str, how: str) -> None:
        chance = self.machine.chance
        match how:
            case "bulk":
                body = {"workflow_run_ids": [path.rpartition("/")[2]]}
                where = chance.choice(("bulk-cancel", "bulk-replay", "bulk-replay"))
                await self._ask("POST", f"/v1/workflow-runs/{where}", body)
            case "step":
                what = chance.choice(("retry", "retry", "replay-subtree", "skip", "force-complete"))
                steps = (await self._ask("GET", f"{path}/steps")).body["data"]
                failed = [step["step_ref"] for step in steps if step["status"] == "failed"]
                step = chance.choice(failed or ["s0"])
                await self._ask("POST", f"{path}/steps/{step}/{what}", {})
            case _:
                await self._ask("POST", f"{path}/{how}", {})

    async def _some_workflow_run(self, status: str = "") -> str:
        """Return the path of a run that somebody, a step or a schedule has started, or ""."""
        asked = f"&status={status}" if status else ""
        said = await self._ask("GET", f"/v1/workflow-runs?limit=100{asked}")
        found = [run["id"] for run in said.body["data"]]
        return f"/v1/workflow-runs/{self.machine.chance.choice(found)}" if found else ""

    async def _approve_all(self, path: str) -> None:
        steps = await self._ask("GET", f"{path}/steps")
        for step in steps.body["data"]:
            if step["status"] == "waiting":
                await self._ask("POST", f"{path}/steps/{step['step_ref']}/approve", {})

    async def _accident(self) -> None:
        """Cut the power, now or in the middle of what comes next; it comes back after a while."""
        chance, machine = self.machine.chance, self.machine
        await machine.clock.sleep(chance.choice((0.0, 0.0001, 0.0015, 0.3)))
        await machine.cut_power()
        await machine.clock.sleep(chance.choice((0.0, 1.0, 3600.0)))
        await machine.boot()

    async def _overwork(self) -> None:
        """Give workers something to do, and have something happen to them in the midst of it."""
        chance = self.machine.chance
        for _ in range(chance.randint(1, 5)):
            await self._trigger_once("worked", {"n": -3, "who": "a"})
        await self.machine.clock.sleep(chance.choice((0.0, 0.001, 0.3, 1.5)))
        mishap = self.crew.have_an_accident
        await chance.choice((mishap, mishap, mishap, self._accident, self._restart))()

    async def _restart(self) -> None:
        """Stop the platform in order, while some go on to ask, and start it again."""
        chance, machine = self.machine.chance, self.machine
        asking = [asyncio.ensure_future(self._somebody_asks()) for _ in range(2)]
        await machine.clock.sleep(chance.choice((0.0, 0.0001, 0.0015, 0.3)))
        stops = asyncio.ensure_future(machine.shut_down())
        await asyncio.gather(*asking, stops)
        await machine.clock.sleep(chance.choice((0.0, 1.0, 3600.0)))
        await machine.boot()

    async def _somebody_asks(self) -> None:
        """Trigger a few runs, whether or not anybody is there to answer."""
        chance = self.machine.chance
        for _ in range(chance.randint(0, 3)):
            with suppress(LostError, FullError):
                await self._trigger_once(chance.choice(KINDS), {"n": -2, "who": "b"})
            await self.machine.clock.sleep(chance.choice((0.0, 0.001, 0.5)))

    async def _set_clock(self) -> None:
        seconds = self.machine.chance.choice((-setting.SET_BACK_SECS, -5.0, 5.0, 7200.0))
        self.was_set_back |= seconds < 0
        self.machine.note("the clock is set by", seconds)
        self.machine.clock.set(seconds)

    async def _fill_disk(self) -> None:
        """Let the disk be full for a while: for commits, or in the midst of an operation."""
        chance = self.machine.chance
        if chance.random() < 0.5:
            # Some of these will wait for a slot of their job, and start while it is full.
            for _ in range(4):
                await self._trigger_once("plain", {"n": -1, "who": "a"})
        commits, statements = chance.choice(
            ((1.0, 0.0), (0.5, 0.0), (0.5, 0.0), (0.0, 0.02), (0.3, 0.1))
        )
        self.machine.fill_disk(chance.choice((0.01, 1.0, 20.0)), commits, statements)

    # ------------------------------------------------------------------------------------ the end

    async def _calm_down(self) -> None:
        """Resume all jobs, and end the schedules."""
        for kind in KINDS:
            await self._ask("POST", f"/v1/jobs/{self.jobs[kind]}/resume", {})
        for path in [f"jobs/{self.jobs['scheduled']}", *(f"workflows/{w}" for w in self.workflows)]:
            await self._ask("PATCH", f"/v1/{path}", {"cron": ""})

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

    async def _mend_all(self) -> None:
        """Do again or undo what has failed, now that nothing goes wrong any more."""
        if await self._dead_letters():
            await self._ask("POST", "/v1/runs/bulk-dlq-replay", {"project_id": PROJECT})
            await self._until_all_is_over()
        said = await self._ask("GET", "/v1/workflow-runs?limit=20&status=failed")
        for run in said.body["data"]:
            how = self.machine.chance.choice(("retry", "compensate", "compensate", "step"))
            await self._mend_one(f"/v1/workflow-runs/{run['id']}", how)

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


def _project_and_key(unit: Unit) -> str:
    project = meta.Project(
        id=PROJECT, org_id="org-1", name="Test", created_at=unit.stamp, updated_at=unit.stamp
    )
    meta.put_project(unit.db, project)
    return api_keys.make(unit, project_id=PROJECT, name="all", scopes=["*"], lifetime_days=None)[1]


def simulate(seed: int) -> Outcome:
    """Tell the story of a seed and check what it leaves behind."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        machine = Machine(seed, Path(directory))
        story = Story(machine)
        errors = Errors(machine)
        logger = logging.getLogger("strait")
        logger.addHandler(errors)
        propagates, logger.propagate = logger.propagate, False
        try:
            with seeded(random.Random(seed)), simulated(story.crew, machine):
                run_in_simulated_time(story.tell(), machine.clock)
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed that shows it is told
            machine.faults.append(f"it ended with {error!r}")
        finally:
            logger.removeHandler(errors)
            logger.propagate = propagates
        faults = machine.faults or invariants.broken(machine.database, story)
        return Outcome(
            seed,
            machine.digest,
            faults,
            machine.lines,
            runs=len(story.acknowledged),
            starts=machine.starts,
        )
