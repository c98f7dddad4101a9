"""What the published README 0.1.0 states in its tables and sentences, each held by a test.

Statements that cannot be true are in `docs/decisions.md`, and `tests/docs` holds those.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import strait
from strait import AsyncClient, Client, config_from_file
from strait.authoring import (
    AgentOptions,
    RunContext,
    TestRunRecord,
    ai_step,
    create_test_context,
    define_agent,
    define_event,
)
from strait.errors import HttpError, StraitError, map_http_error
from support.markdown import tables

ROOT = Path(__file__).parents[2]
README = Path(__file__).with_name("readme_0_1_0.md")
TABLES = tables(README)

# README 0.1.0 counted 19 services; these are they.
SERVICES = [
    *("health", "jobs", "runs", "workflows", "workflow_runs", "deployments", "environments"),
    *("secrets", "api_keys", "webhooks", "event_triggers", "event_sources", "batch_operations"),
    *("stats", "analytics", "log_drains", "sdk_runs", "rbac", "job_groups"),
]


def by_first_cell(heading: str) -> pytest.MarkDecorator:
    rows = TABLES[heading]
    return pytest.mark.parametrize("row", rows, ids=[row[0] for row in rows])


# --------------------------------------------------------------------------------------- services


@pytest.fixture(params=[Client, AsyncClient])
def any_client(request: pytest.FixtureRequest) -> Any:
    return request.param(api_key="strait_0")


@by_first_cell("Domain Operations (19 Services)")
def test_the_services_of_the_table_have_its_methods(row: list[str], any_client: Any) -> None:
    service, examples = row
    if service.startswith("+"):
        names = [name for name in re.split(r",\s*", examples) if name != "..."]
        assert all(hasattr(any_client, name) for name in names)
        return
    found = getattr(any_client, service.removeprefix("client."))
    for name in re.split(r",\s*", examples):
        assert callable(getattr(found, name)), f"{service}.{name}"


@pytest.mark.parametrize("service", SERVICES)
def test_all_19_services_are_there(service: str, any_client: Any) -> None:
    assert inspect.getmembers(getattr(any_client, service), inspect.ismethod)


# -------------------------------------------------------------------------------------- precedence


FILE = {"base_url": "https://file.test", "auth_type": "bearer", "timeout_ms": 1}
OVER_THE_FILE = {
    "STRAIT_BASE_URL": ("https://env.test", lambda cfg: cfg.base_url, "https://env.test"),
    "STRAIT_AUTH_TYPE": ("runToken", lambda cfg: cfg.auth.type, "runToken"),
    "STRAIT_TIMEOUT_MS": ("2", lambda cfg: cfg.timeout_ms, 2),
    "STRAIT_API_KEY": ("from-env", lambda cfg: cfg.auth.token, "from-env"),
}


@by_first_cell("Environment variable override precedence")
def test_the_environment_wins_over_the_file(
    row: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    variable = row[1]
    for name in OVER_THE_FILE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("STRAIT_PROJECT", raising=False)
    sdk = {**FILE, "api_key": "from-file", "token": "from-file"}
    (tmp_path / "strait.json").write_text(json.dumps({"sdk": sdk}))
    monkeypatch.setenv("STRAIT_API_KEY", "some-token")
    value, read, expected = OVER_THE_FILE[variable]
    monkeypatch.setenv(variable, value)
    assert read(config_from_file(search_dir=str(tmp_path))) == expected


def test_a_token_is_never_read_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STRAIT_API_KEY", raising=False)
    (tmp_path / "strait.json").write_text('{"sdk": {"api_key": "from-file", "token": "from-file"}}')
    assert config_from_file(search_dir=str(tmp_path)).auth is None


# ------------------------------------------------------------------------------- agents, ai steps


def test_the_defaults_of_an_ai_step_apply_only_where_nothing_is_said() -> None:
    options = ai_step(
        "s", "job", timeout_secs_override=5, on_failure="continue", payload={"a": 1}
    ).base_options()
    assert (options.timeout_secs_override, options.retry_max_attempts) == (5, 5)
    assert (options.on_failure, options.payload) == ("continue", {"a": 1})


def test_an_agent_has_the_defaults_of_the_text() -> None:
    agent = define_agent(AgentOptions(name="A", slug="a", project_id="p", tags={"team": "x"}))
    assert agent.options.tags == {"team": "x", "strait.kind": "agent"}
    assert (agent.options.timeout_secs, agent.options.max_attempts) == (600, 5)
    assert agent.options.retry_strategy == "exponential"


async def test_an_agents_context_counts_iterations_and_costs() -> None:
    seen: list[tuple[int, int, bool]] = []

    async def handler(payload: Any, ctx: Any) -> None:
        for _ in range(2):
            await ctx.checkpoint({})
            await ctx.report_usage(provider="openai", model="m", cost_microusd=50)
            spent = ctx.accumulated_cost_microusd()
            seen.append((ctx.iteration, spent, ctx.is_budget_exceeded()))

    agent = define_agent(
        AgentOptions(name="A", slug="a", project_id="p", max_cost_microusd=100, run=handler)
    )
    ctx, _ = create_test_context()
    await agent.run({}, ctx)
    assert seen == [(1, 50, False), (2, 100, True)]


def test_an_event_without_a_check_returns_its_input() -> None:
    raw = {"anything": [1]}
    assert define_event("e").parse(raw) is raw


# -------------------------------------------------------------------------------------- run context


@by_first_cell("Extended RunContext")
def test_the_run_context_has_the_methods_of_the_table(row: list[str]) -> None:
    ctx, _ = create_test_context()
    if row[0] == "ctx.logger":
        assert ctx.logger.isEnabledFor(10)
        return
    path, wanted = re.fullmatch(r"await ctx\.([\w.]+)\((.*)\)", row[0]).groups()
    method = ctx
    for name in path.split("."):
        method = getattr(method, name)
    # `spawn` returns something to await that has `result()`, too.
    returned = inspect.signature(method).return_annotation
    assert inspect.iscoroutinefunction(method) or returned == "Spawn"
    names = [name for name in wanted.split(", ") if name not in {"", "..."}]
    assert list(inspect.signature(method).parameters)[: len(names)] == names


async def test_the_logger_forwards_to_the_run() -> None:
    ctx, record = create_test_context()
    ctx.logger.info("hello")
    ctx.logger.warning("careful")
    assert [(log["level"], log["message"]) for log in record.logs] == [
        ("info", "hello"),
        ("warn", "careful"),
    ]


# Without a note of its own, a call puts what it is given into the field of its name.
CALLS: dict[str, tuple[Any, Any]] = {
    "checkpoints": (lambda ctx: ctx.checkpoint({"a": 1}), [{"a": 1}]),
    "usage_reports": (
        lambda ctx: ctx.report_usage("openai", "m", cost_microusd=5),
        [{"provider": "openai", "model": "m", "cost_microusd": 5}],
    ),
    "tool_calls": (
        lambda ctx: ctx.log_tool_call("search", {"q": 1}),
        [{"tool_name": "search", "input": {"q": 1}}],
    ),
    "outputs": (lambda ctx: ctx.save_output("k", 1), [{"key": "k", "value": 1}]),
    "progress_updates": (
        lambda ctx: ctx.report_progress(50, "half"),
        [{"percent": 50, "message": "half"}],
    ),
    "state_store": (lambda ctx: ctx.state.set("k", [1]), {"k": [1]}),
    "stream_chunks": (lambda ctx: ctx.stream_chunk("x", done=True), [{"chunk": "x", "done": True}]),
    "heartbeats": (lambda ctx: ctx.heartbeat(), 1),
    "spawns": (
        lambda ctx: ctx.spawn("child", "p", {"n": 1}),
        [{"job_slug": "child", "project_id": "p", "payload": {"n": 1}}],
    ),
    "events": (lambda ctx: ctx.wait_for_event("e"), [{"event_key": "e"}]),
    "annotations": (lambda ctx: ctx.annotate({"k": "v"}), [{"k": "v"}]),
    "continuations": (lambda ctx: ctx.continue_run({"n": 2}), [{"payload": {"n": 2}}]),
    "completed": (lambda ctx: ctx.complete({"r": 1}), True),
    "failed": (lambda ctx: ctx.fail("no"), True),
    "fail_error": (lambda ctx: ctx.fail("no"), "no"),
    "result": (lambda ctx: ctx.complete({"r": 1}), {"r": 1}),
}


@by_first_cell("Test harness")
async def test_the_record_captures_what_the_handler_did(row: list[str]) -> None:
    name = row[0].removeprefix("record.")
    ctx, record = create_test_context()
    before = getattr(TestRunRecord(), name)
    kind = {"list[dict]": list, "dict": dict, "int": int, "bool": bool}.get(row[1], type(None))
    assert type(before) is kind
    if name == "logs":
        ctx.logger.error("broken")
        assert record.logs[0]["message"] == "broken"
        return
    call, expected = CALLS[name]
    await call(ctx)
    assert getattr(record, name) == expected


# ------------------------------------------------------------------------------------------ errors


@by_first_cell("Error Handling")
def test_an_error_of_the_table_is_what_its_status_becomes(row: list[str]) -> None:
    cls = getattr(strait, row[0])
    assert issubclass(cls, StraitError)
    if row[1] == "—":
        assert not issubclass(cls, HttpError)
        assert hasattr(cls, "status")
        assert hasattr(cls, "body")
        return
    statuses = [418, 500] if row[1] == "other" else [int(s) for s in row[1].split(", ")]
    for status in statuses:
        error = map_http_error(status, body={"error": {"message": "m"}})
        assert type(error) is cls
        assert (error.status, error.body) == (status, {"error": {"message": "m"}})


# ------------------------------------------------------------------------------------- development


@pytest.mark.parametrize("target", ["bootstrap", "test", "lint", "typecheck", "run-all"])
def test_make_has_the_targets_of_the_text(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_python_311_is_enough() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (project["name"], project["requires-python"]) == ("strait-python", ">=3.11")


def test_every_await_of_the_table_belongs_to_the_run_context() -> None:
    awaited = [row[0] for row in TABLES["Extended RunContext"] if row[0].startswith("await")]
    assert len(awaited) == 17
    assert RunContext.__module__.startswith("strait.authoring")
