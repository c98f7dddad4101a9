"""What is kept in memory of workflow runs: a bounded part of what the database has."""

from __future__ import annotations

from strait.server.unit import Unit
from strait.server.workflow_cache import WorkflowCache
from strait.store import workflow_runs
from support.workflows import Flows, approval


async def _states(flows: Flows, cache: WorkflowCache, run_ids: list[str]) -> list[int]:
    """Put runs into a cache in their order; return how many steps each has when it is read."""

    def work(unit: Unit) -> list[int]:
        found = []
        for run_id in run_ids:
            stored = workflow_runs.load(unit.db, run_id)
            assert stored is not None
            state = cache.state(unit.db, stored)
            cache.put(stored, state)
            found.append(len(state.step_runs))
        return found

    return await flows.world.server.platform.write(work)


async def _waiting(flows: Flows, count: int) -> list[str]:
    made = await flows.create(approval("ok"), approval("then", "ok"))
    return [await flows.trigger(made) for _ in range(count)]


async def test_memory_holds_the_runs_that_moved_last_and_no_more_steps_than_it_may(
    flows: Flows,
) -> None:
    cache = WorkflowCache(most_steps=5)
    run_ids = await _waiting(flows, 4)
    assert await _states(flows, cache, run_ids) == [2, 2, 2, 2]
    assert [run_id in cache for run_id in run_ids] == [False, False, True, True]
    assert await _states(flows, cache, run_ids[2:3] + run_ids[:1]) == [2, 2]
    assert [run_id in cache for run_id in run_ids] == [True, False, True, False]


async def test_memory_lets_go_of_a_run_that_is_over(flows: Flows) -> None:
    (run_id,) = await _waiting(flows, 1)
    cache = flows.world.server.platform.workflow_runs
    assert run_id in cache
    answer = await flows.api.delete(f"/v1/workflow-runs/{run_id}")
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    assert run_id not in cache
