"""Workflows in a world: scripted steps, runs, and waiting for what becomes of them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import httpx

from strait.store import workflow_runs
from support.handlers import PATIENCE_SECS, Gate, Received, Script, ok
from support.world import PROJECT, World

Step = dict[str, Any]
_numbers = itertools.count(1)


def told(answer: httpx.Response) -> tuple[int, str]:
    """The status of an answer with an error, and its text."""
    return answer.status_code, str(answer.json()["error"]["message"])


def sleep(ref: str, secs: int, *after: str, **fields: Any) -> Step:
    """A step that sleeps."""
    return {
        "step_ref": ref,
        "step_type": "sleep",
        "sleep_duration_secs": secs,
        "depends_on": list(after),
        **fields,
    }


def approval(ref: str, *after: str, **fields: Any) -> Step:
    """A step that anybody may approve, unless `approval_approvers` says who."""
    return {
        "step_ref": ref,
        "step_type": "approval",
        "approval_approvers": [],
        "depends_on": list(after),
        **fields,
    }


def event(ref: str, key: str, *after: str, **fields: Any) -> Step:
    """A step that waits for an event."""
    return {
        "step_ref": ref,
        "step_type": "wait_for_event",
        "event_key": key,
        "depends_on": list(after),
        **fields,
    }


def child(ref: str, workflow: dict[str, Any], *after: str, **fields: Any) -> Step:
    """A step that runs another workflow."""
    return {
        "step_ref": ref,
        "step_type": "sub_workflow",
        "sub_workflow_id": workflow["id"],
        "depends_on": list(after),
        **fields,
    }


class Flows:
    """What tests of workflows do over and over."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.api = world.api

    # ---------------------------------------------------------------------------------- defining

    async def job(
        self,
        ref: str,
        *after: str,
        returns: object = None,
        script: Script | None = None,
        job: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Step:
        """A job step whose handler is scripted under the path of its ref.

        Args:
            ref: the ref of the step, and the path that its job is called under.
            after: what it depends on.
            returns: what the handler answers.
            script: what answers instead.
            job: fields of the job; it has one attempt unless they say otherwise.
            fields: fields of the step.
        """
        made = await self.world.job(ref, **{"max_attempts": 1, **(job or {})})
        self.world.handlers.scripts[f"/{ref}"] = script or (lambda call: ok(returns))
        return {"step_ref": ref, "job_id": made["id"], "depends_on": list(after), **fields}

    async def create(self, *steps: Step, **fields: Any) -> dict[str, Any]:
        """Make a workflow."""
        answer = await self.post("", steps=list(steps), **fields)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def post(self, path: str, **body: Any) -> httpx.Response:
        """Send a request to make a workflow (or what `path` says) with what must be there."""
        number = next(_numbers)
        needed = {"project_id": PROJECT, "name": f"Flow {number}", "slug": f"flow-{number}"}
        return await self.api.post(f"/v1/workflows{path}", json={**needed, **body})

    async def trigger(self, workflow: dict[str, Any], payload: object = ..., **fields: Any) -> str:
        """Trigger a workflow and return the id of the run."""
        body = fields if payload is ... else {"payload": payload, **fields}
        answer = await self.api.post(f"/v1/workflows/{workflow['id']}/trigger", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def start(self, *steps: Step, payload: object = ..., **fields: Any) -> str:
        """Make a workflow, trigger it, and return the id of the run."""
        return await self.trigger(await self.create(*steps, **fields), payload)

    # ------------------------------------------------------------------------------------ seeing

    async def run(self, run_id: str) -> dict[str, Any]:
        """A workflow run as the API shows it."""
        return await self.get(f"/{run_id}")

    async def get(self, path: str, **params: Any) -> Any:
        """What the API shows under a path below the workflow runs."""
        answer = await self.api.get(f"/v1/workflow-runs{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def steps(self, run_id: str) -> dict[str, Step]:
        """The steps of a run by ref."""
        listed = await self.get(f"/{run_id}/steps", limit=100)
        return {step["step_ref"]: step for step in listed["data"]}

    async def statuses(self, run_id: str) -> dict[str, str]:
        """The statuses of the steps of a run by ref."""
        return {ref: step["status"] for ref, step in (await self.steps(run_id)).items()}

    def inputs(self, ref: str) -> list[Any]:
        """What the handler of a step was given, call by call."""
        return [call.json for call in self.calls(ref)]

    def calls(self, ref: str) -> list[Received]:
        """The dispatches of a step's job so far."""
        return [call for call in self.world.handlers.received if call.path == f"/{ref}"]

    # ----------------------------------------------------------------------------------- waiting

    async def until(self, run_id: str, *statuses: str) -> dict[str, Any]:
        """A workflow run once it has one of the statuses."""
        await self._wait(run_id, lambda: self._status(run_id) in statuses, f"to be {statuses}")
        return await self.run(run_id)

    async def until_step(self, run_id: str, ref: str, *statuses: str) -> Step:
        """A step once it has one of the statuses; `waiting` means that it has begun to wait."""
        await self._wait(run_id, lambda: self._is(run_id, ref, statuses), f"`{ref}` is {statuses}")
        return (await self.steps(run_id))[ref]

    async def until_called(self, ref: str, count: int = 1) -> list[Received]:
        """The dispatches of a step's job once there are that many."""
        total = 0
        while len(self.calls(ref)) < count:
            total = max(total, len(self.world.handlers.received)) + 1
            await self.world.handlers.wait(total)
        return self.calls(ref)

    async def _wait(self, run_id: str, holds: Callable[[], bool], what: str) -> None:
        subscription = self.world.platform.hub.subscribe(run_id)
        try:
            async with asyncio.timeout(PATIENCE_SECS):
                while not holds():
                    await subscription.get(PATIENCE_SECS)
        except TimeoutError:
            seen = await self.run(run_id), await self.steps(run_id)
            raise AssertionError(f"waited until {what}: {seen}") from None
        finally:
            self.world.platform.hub.unsubscribe(run_id, subscription)

    def _status(self, run_id: str) -> str:
        stored = workflow_runs.load(self.world.platform.reader, run_id)
        assert stored is not None
        return stored.run.status

    def _is(self, run_id: str, ref: str, statuses: tuple[str, ...]) -> bool:
        steps = workflow_runs.steps(self.world.platform.reader, run_id)
        step = next(step for step in steps if step.step_ref == ref)
        begun = step.status != "waiting" or bool(step.started_at)
        return step.status in statuses and begun

    # ------------------------------------------------------------------------------------- doing

    async def do(self, run_id: str, what: str, **body: Any) -> httpx.Response:
        """Send a request about a run: `pause`, `steps/a/skip` and the like."""
        return await self.api.post(f"/v1/workflow-runs/{run_id}/{what}", json=body)

    async def did(self, run_id: str, what: str, **body: Any) -> Any:
        """Send a request about a run that succeeds, and return its answer."""
        answer = await self.do(run_id, what, **body)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()

    async def send(self, key: str, payload: object = None) -> httpx.Response:
        """Send an event."""
        return await self.api.post(f"/v1/events/{key}/send", json={"payload": payload})

    def hold(self, ref: str) -> Gate:
        """Hold the handler of a step back until the gate that is returned opens."""
        gate = Gate()
        self.world.handlers.scripts[f"/{ref}"] = gate
        return gate
