"""Every Python block of the published README 0.1.0, run as it stands there.

`...` stands in three blocks for what the reader fills in; a test fills in the real thing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import strait
from strait import AsyncClient, Client, NotFoundError
from strait.authoring import JobOptions, create_test_context, define_job
from strait.local import LocalPlatform
from support.markdown import Block, blocks

from . import test_composition
from .conftest import PROJECT, README_HOST, Worker
from .snippets import README, SNIPPETS, run_here, snippet


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The README's `strait.json`, in all places that its snippets read it from."""
    (text,) = (block.text for block in blocks(README, "json"))
    for path in ("strait.json", "project/strait.json", "custom-config.json"):
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return tmp_path


def test_every_snippet_is_run() -> None:
    assert run_here(globals()) | run_here(vars(test_composition)) == set(SNIPPETS)


# ------------------------------------------------------------------------------------- the client


@snippet("Quick Start")
def test_the_quick_start_creates_and_triggers_a_job(
    block: Block, names: dict[str, Any], platform: LocalPlatform, worker: Worker
) -> None:
    missing = f'"slug": "my-job", "endpoint_url": "{worker.url}"'
    block.with_({", ...}": ", " + missing + "}"}).run(names)
    client, job, run = names["client"], names["job"], names["run"]
    assert client.base_url == f"https://{README_HOST}"
    assert (job["name"], job["project_id"]) == ("my-job", PROJECT)
    assert [listed["id"] for listed in client.jobs.list()["data"]] == [job["id"]]
    assert run["payload"] == {"key": "value"}
    assert worker.dispatches.get(timeout=10)[0] == run["id"]


@snippet("From strait.json (recommended)")
def test_a_client_is_made_from_the_file_in_every_way_that_is_shown(
    block: Block, names: dict[str, Any], platform: LocalPlatform, files: Path
) -> None:
    block.run(names)
    names["client"].jobs.list()
    assert names["client"]._settings.timeout == 5
    assert names["client"].project_id == "proj_abc123"


@snippet("From strait.json (recommended) 2")
def test_the_file_can_be_read_without_making_a_client(
    block: Block, names: dict[str, Any], platform: LocalPlatform, files: Path
) -> None:
    cfg = block.run(names)["cfg"]
    assert (cfg.base_url, cfg.timeout_ms) == (f"https://{README_HOST}", 30_000)


@snippet("From environment variables")
def test_a_client_is_made_from_the_environment(
    block: Block,
    names: dict[str, Any],
    platform: LocalPlatform,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STRAIT_BASE_URL", platform.base_url)
    monkeypatch.setenv("STRAIT_AUTH_TYPE", "apiKey")
    monkeypatch.setenv("STRAIT_TIMEOUT_MS", "1234")
    client = block.run(names)["client"]
    client.jobs.list()
    assert (client.base_url, client._settings.timeout) == (platform.base_url, 1.234)


@snippet("Inline")
def test_a_client_is_made_from_arguments(
    block: Block, names: dict[str, Any], platform: LocalPlatform
) -> None:
    client = block.run(names)["client"]
    client.jobs.list()
    assert client._settings.timeout == 5


@snippet("Async client")
def test_the_async_client_is_made_in_the_same_ways(
    block: Block,
    names: dict[str, Any],
    platform: LocalPlatform,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STRAIT_BASE_URL", f"https://{README_HOST}")
    block.run(names)
    assert isinstance(names["jobs"]["data"], list)


@snippet("Middleware")
def test_middleware_sees_requests_answers_and_errors(
    block: Block,
    names: dict[str, Any],
    platform: LocalPlatform,
    capsys: pytest.CaptureFixture[str],
) -> None:
    block.with_(_address(platform)).run(names)
    names["client"].jobs.list()
    with pytest.raises(NotFoundError):
        names["client"].jobs.get("job_nonexistent")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["->", "GET"], ["<-", "200"]]
    assert lines[1].endswith("ms)")
    assert [line.split()[0] for line in lines[2:]] == ["->", "<-", "!!"]
    assert "not found" in lines[4]


@snippet("Custom HTTP Client")
async def test_both_clients_take_an_http_client_of_ones_own(
    block: Block, names: dict[str, Any], platform: LocalPlatform
) -> None:
    await block.with_(_address(platform)).run_here(names)
    assert [*names["client"].jobs.list()] == [
        job async for job in names["async_client"].jobs.list()
    ]
    await names["async_client"].close()
    assert not names["custom_async"].is_closed, "it belongs to the user"
    await names["custom_async"].aclose()


@snippet("Error Handling")
def test_errors_are_caught_by_their_class(
    block: Block,
    names: dict[str, Any],
    platform: LocalPlatform,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names["client"] = Client(base_url=platform.base_url, api_key=platform.api_key)
    block.run(names)
    said = capsys.readouterr().out
    assert said.startswith("Not found: job not found")
    assert said.endswith("(status=404)\n")


@snippet("Error Handling")
def test_a_wrong_key_takes_the_other_branch_of_the_snippet(
    block: Block,
    names: dict[str, Any],
    platform: LocalPlatform,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names["client"] = Client(base_url=platform.base_url, api_key="strait_wrong")
    block.run(names)
    assert capsys.readouterr().out.startswith("Auth error: ")


# ---------------------------------------------------------------------------------- the authoring


@snippet("Authoring DSL")
def test_the_authored_job_and_workflow_really_register(
    block: Block, names: dict[str, Any], platform: LocalPlatform
) -> None:
    block.run(names)
    names["client"] = client = Client(base_url=platform.base_url, api_key=platform.api_key)
    job = names["job"].register(client)
    assert (job["slug"], job["max_concurrency"], job["timeout_secs"]) == ("process-order", 10, 300)
    for slug in ("validate-job", "charge-job", "ship-job"):
        options = {
            "slug": slug,
            "endpoint_url": "https://worker.example.com",
            "project_id": PROJECT,
        }
        define_job(JobOptions(name=slug, **options)).register(client)
    workflow = names["wf"].register(client)
    assert names["wf"].register(client)["id"] == workflow["id"]
    steps = client.workflows.get(workflow["id"])["steps"]
    assert [step["step_ref"] for step in steps] == ["validate", "charge", "approve", "ship"]
    assert [step["depends_on"] for step in steps] == [[], ["validate"], ["charge"], ["approve"]]


@snippet("AI step builder")
def test_an_ai_step_has_the_defaults_of_the_text(block: Block, names: dict[str, Any]) -> None:
    s = block.run(names)["s"]
    given = s.base_options()
    assert (s.step_ref(), s.job_id, given.depends_on) == ("summarize", "job_summarize", ["extract"])
    assert (given.timeout_secs_override, given.retry_max_attempts) == (600, 5)
    assert (given.retry_backoff, given.resource_class) == ("exponential", "large")


@snippet("Durable AI agents")
async def test_the_agent_works_until_its_budget_is_spent(
    block: Block, names: dict[str, Any]
) -> None:
    async def do_work(payload: Any) -> dict[str, Any]:
        return {"cost": 2_000_000, "about": payload["topic"]}

    names["do_work"] = do_work
    agent = block.run(names)["agent"]
    ctx, record = create_test_context("test-run")
    await agent.run({"topic": "tea"}, ctx)
    assert len(record.checkpoints) == len(record.usage_reports) == 3
    assert record.usage_reports[0]["model"] == "gpt-4o"
    assert record.result == {"summary": {"cost": 2_000_000, "about": "tea"}}


@snippet("Event definitions")
def test_an_event_is_validated(block: Block, names: dict[str, Any]) -> None:
    names["raw_data"] = {"user_id": "u1"}
    block.run(names)
    assert names["parsed"] == {"user_id": "u1"}
    with pytest.raises(ValueError, match="user_id is required"):
        names["approval"].parse({})


@snippet("Extended RunContext")
async def test_a_run_context_writes_the_state_of_a_run(
    block: Block, names: dict[str, Any], platform: LocalPlatform, worker: Worker
) -> None:
    worker.answers.clear()
    with Client(base_url=platform.base_url, api_key=platform.api_key) as owner:
        options = {"slug": "stateful", "endpoint_url": worker.url, "project_id": PROJECT}
        job = define_job(JobOptions(name="Stateful", **options)).register(owner)
        owner.jobs.trigger(job["id"])
    run_id, token = worker.dispatches.get(timeout=10)
    async with AsyncClient(base_url=platform.base_url, run_token=token) as client:
        await block.run_here(names | {"client": client, "run_id": run_id, "value": [1]})
        assert (await client.sdk_runs.get_state(run_id, "key"))["value"] == [1]


@snippet("Test harness")
async def test_the_harness_records_what_a_handler_does(block: Block, names: dict[str, Any]) -> None:
    async def my_job_handler(payload: Any, ctx: Any) -> None:
        await ctx.checkpoint({"seen": payload})
        await ctx.state.set("key", "expected")
        await ctx.complete()

    block.run(names)
    names.update(my_job_handler=my_job_handler, payload=1)
    await names["test_my_handler"]()

    async def forgets_to_complete(payload: Any, ctx: Any) -> None:
        await ctx.checkpoint({})

    names["my_job_handler"] = forgets_to_complete
    with pytest.raises(AssertionError):
        await names["test_my_handler"]()


@snippet("FSM State Machines")
def test_the_state_machine_gives_the_next_status(block: Block, names: dict[str, Any]) -> None:
    assert block.run(names)["next_status"] == "completed"


def _address(platform: LocalPlatform) -> dict[str, str]:
    return {
        'base_url="..."': f'base_url="{platform.base_url}"',
        'api_key="..."': f'api_key="{platform.api_key}"',
    }


def test_the_readmes_json_is_what_the_example_file_has() -> None:
    (text,) = (block.text for block in blocks(README, "json"))
    example = Path(strait.__file__).parents[2] / "strait.json.example"
    assert json.loads(example.read_text()).keys() == json.loads(text).keys()
