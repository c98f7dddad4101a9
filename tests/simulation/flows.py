"""What people do with workflow runs: start, approve, end, and mend them."""

from __future__ import annotations

from simulation.world import World


class Flows(World):
    """Those who have workflows carried out."""

    async def _run_workflow(self) -> None:
        self._keys += 1
        workflow = self.machine.chance.choice(self.workflows)
        body = {"payload": {"n": self._keys, "who": "flow"}}
        said = await self._ask("POST", f"/v1/workflows/{workflow}/trigger", body)
        if said.status == 201:
            self.workflow_runs.append(said.body["id"])
            self.keys += [f"flow:{self._keys}:s{index}" for index in range(6)]

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
