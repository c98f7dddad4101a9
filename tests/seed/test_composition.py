"""The README's snippets of `strait.composition`, run as they stand there."""

from __future__ import annotations

from typing import Any

import pytest

from strait import AsyncClient, Client
from strait.authoring import JobOptions, define_job
from strait.local import LocalPlatform
from support.markdown import Block

from .conftest import PROJECT, Worker
from .snippets import snippet


def job(client: Client, slug: str, worker: Worker) -> str:
    options = JobOptions(name=slug, slug=slug, endpoint_url=worker.url, project_id=PROJECT)
    return str(define_job(options).register(client)["id"])


@snippet("Composition Helpers")
def test_helpers_retry_wait_and_paginate(
    block: Block,
    names: dict[str, Any],
    ids: dict[str, str],
    platform: LocalPlatform,
    worker: Worker,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names["client"] = client = Client(base_url=platform.base_url, api_key=platform.api_key)
    ids["j1"] = job(client, "helpers", worker)
    ids["run-1"] = client.jobs.trigger(ids["j1"])["id"]
    names["payload"] = {"payload": {"n": 1}}
    block.run(names)
    assert client.runs.get(names["result"]["id"])["payload"] == {"n": 1}
    assert (names["run"]["id"], names["run"]["status"]) == (ids["run-1"], "completed")
    printed = capsys.readouterr().out
    assert printed.count("Job(") == len(list(client.jobs.list()))


@snippet("Cost budget")
async def test_a_budget_is_kept(
    block: Block, names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    await block.run_here(names)
    assert names["result"] == "done"
    assert capsys.readouterr().out.split() == ["500000", "200000", "False"]
    with pytest.raises(names["CostBudgetExceededError"]):
        names["tracker"].add(500_000)
    assert capsys.readouterr().out == "Warning: 1000000/1000000 microusd\n"


@snippet("Checkpoint resume")
async def test_long_work_goes_on_from_its_last_checkpoint(
    block: Block, names: dict[str, Any], platform: LocalPlatform, worker: Worker
) -> None:
    done: list[int] = []

    async def do_step(i: int) -> None:
        done.append(i)

    worker.answers.clear()
    with Client(base_url=platform.base_url, api_key=platform.api_key) as owner:
        owner.jobs.trigger(job(owner, "resumes", worker))
        run_id, token = worker.dispatches.get(timeout=10)
        async with AsyncClient(base_url=platform.base_url, run_token=token) as client:
            names.update(client=client, run_id=run_id, do_step=do_step)
            await block.run_here(names)
        kept = [checkpoint["state"] for checkpoint in owner.runs.list_checkpoints(run_id)]
    assert names["result"] == "all done"
    assert done == list(range(100))
    assert {"next_index": 100} in kept
    assert all(state["next_index"] % 5 == 0 for state in kept)
