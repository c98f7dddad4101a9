"""What a program uses that a target cannot do is told with file and line."""

from __future__ import annotations

import importlib.util
import itertools
import tomllib
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

from strait import Client, compatibility
from strait.authoring import JobOptions, RunContext, WorkflowOptions, steps
from strait.authoring.portability import unportable
from strait.authoring.shapes import SHAPES
from strait.compatibility import Target
from strait.serve.discovery import definitions_in

_numbers = itertools.count()
ROOT = Path(__file__).parents[2]


def loaded(tmp_path: Path, text: str) -> ModuleType:
    path = tmp_path / f"program_{next(_numbers)}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def told(
    tmp_path: Path, text: str, target: Target = "platform", *allow: str
) -> list[tuple[int, str]]:
    """Return line and feature of each refusal; lines that are marked `# no` are expected."""
    module = loaded(tmp_path, text)
    found = unportable(definitions_in(module), target, allow=allow)
    assert {refusal.place.path for refusal in found} <= {module.__file__}
    return [(refusal.place.line, refusal.feature.id) for refusal in found]


def marked(text: str) -> list[int]:
    return [number for number, line in enumerate(text.splitlines(), 1) if "# no" in line]


# ------------------------------------------------------------------------------------- the table


def test_every_use_of_the_table_is_something_that_programs_can_write() -> None:
    names = tomllib.loads((ROOT / "api" / "names.toml").read_text())["operations"].values()
    kinds = (
        *(steps.JobStep, steps.ApprovalStep, steps.SubWorkflowStep, steps.WaitForEventStep),
        *(steps.SleepStep, steps.BaseStepOptions),
    )
    known = {
        "job": {field.name for field in fields(JobOptions)},
        "workflow": {field.name for field in fields(WorkflowOptions)},
        "step": {field.name for kind in kinds for field in fields(kind)} | {"type"},
        "ctx": set(dir(RunContext)),
        "shape": {*SHAPES, "parent_outputs"},
        "client": set(names),
    }
    for feature in compatibility.features():
        for use in feature.uses:
            kind, _, rest = use.partition(".")
            assert rest.partition("=")[0].partition("(")[0] in known[kind], (feature.id, use)


def test_every_shape_belongs_to_a_feature() -> None:
    used = {use for feature in compatibility.features() for use in feature.uses}
    assert {f"shape.{name}" for name in SHAPES} <= used


def test_what_cannot_be_used_everywhere_says_why_and_what_to_use_instead() -> None:
    for feature in compatibility.features():
        if {feature.embedded, feature.platform} & {"broken", "missing"}:
            assert feature.says, feature.id
            assert feature.instead, feature.id
        for status in (feature.embedded, feature.platform):
            assert status in {"works", "broken", "missing", "untested"}, feature.id


def test_ids_are_there_once() -> None:
    ids = [feature.id for feature in compatibility.features()]
    assert len(set(ids)) == len(ids)


def test_what_works_on_the_embedded_platform_is_served_there() -> None:
    from strait.server.routes import registry

    names = tomllib.loads((ROOT / "api" / "names.toml").read_text())["operations"]
    by_method = {method: operation for operation, method in names.items()}
    for feature in compatibility.features():
        calls = [use.removeprefix("client.") for use in feature.uses if use.startswith("client.")]
        operations = {by_method[call.partition("(")[0]] for call in calls}
        served = operations <= registry.operations()
        if operations:
            assert served == (feature.embedded == "works"), (
                f"correct `embedded` of `{feature.id}` in compatibility.toml; `make generate`"
            )


# --------------------------------------------------------------------------------------- options

OPTIONS = """\
from strait.authoring import JobOptions, define_job, job

@job(
    slug="a",
    throttles=[{"name": "mail"}],  # no
    retry_strategy="exponential",
)
def a(payload, ctx):
    return 1

b = define_job(
    JobOptions(
        name="B",
        slug="b",
        timeout_secs=5,
        on_complete_trigger_job="a",  # no
        run=lambda payload, ctx: 1,
    )
)
c = define_job(JobOptions(name="C", slug="c", retry_strategy="linear"))  # no
"""


def test_options_are_told_at_the_line_that_gives_them(tmp_path: Path) -> None:
    found = told(tmp_path, OPTIONS)
    assert [line for line, _ in found] == marked(OPTIONS)
    assert [feature for _, feature in found] == ["throttles", "job-chains", "retry-strategy"]


def test_only_what_the_target_cannot_do_is_told(tmp_path: Path) -> None:
    assert told(tmp_path, OPTIONS, "embedded") == []
    worker = OPTIONS.replace('retry_strategy="linear"', 'execution_mode="worker"')
    assert told(tmp_path, worker, "embedded") == []
    assert [feature for _, feature in told(tmp_path, worker)] == ["throttles", "job-chains"]


def test_what_is_allowed_is_not_told(tmp_path: Path) -> None:
    found = told(tmp_path, OPTIONS, "platform", "throttles", "job-chains")
    assert [feature for _, feature in found] == ["retry-strategy"]


# -------------------------------------------------------------------------------------- handlers

HANDLERS = """\
from strait.authoring import AgentOptions, define_agent, job

async def paid(context, order):
    return await context.wait_for_event(f"paid-{order}")  # no

@job(slug="a")
async def a(payload, ctx):
    await ctx.spawn("b")
    await ctx.spawn("b", await_completion=False)
    await ctx.spawn(
        "b", await_completion=True)
    payload.wait_for_event("not ours")
    child = await ctx.spawn("b")
    await child.result()
    await ctx.spawn("b").result()
    payload.result()
    await ctx.step("charge", len, "", undo=print)
    await ctx.step("ship", len, "")
    return await paid(ctx, order=payload["id"])

class Loop:
    async def __call__(self, payload, ctx):
        await ctx.report_usage(provider="p", model="m")  # no

async def think(payload, ctx):
    await ctx.log_tool_call("search")  # no

agent = define_agent(AgentOptions(name="A", slug="agent", run=think))
loop = job(slug="loop")(Loop().__call__)
"""


def test_calls_of_a_context_are_found_without_running_them(tmp_path: Path) -> None:
    found = told(tmp_path, HANDLERS)
    assert found == [
        (4, "wait-for-event"),
        (10, "spawn-await"),
        (14, "spawn-await"),
        (15, "spawn-await"),
        (17, "undo"),
        (23, "usage-reports"),
        (26, "usage-reports"),
    ]


CALLS = """\
from strait.authoring import job

@job(slug="a")
def a(payload, ctx):
    return payload["parent_outputs"]["b"]  # no

def begin(client):
    client.jobs.trigger("id", {"payload": 1})
    client.jobs.bulk_trigger("id", {"items": []})  # no
    client.event_triggers.send_event("key", {"payload": 1})
    client.event_triggers.send_event("key", {"payload": 1, "hold_secs": 60})  # no
"""


def test_calls_of_a_client_in_the_same_files_are_found(tmp_path: Path) -> None:
    found = told(tmp_path, CALLS)
    assert [line for line, _ in found] == marked(CALLS)
    assert [feature for _, feature in found] == ["step-output", "bulk-trigger", "held-events"]


# ----------------------------------------------------------------------------------------- steps

_TRUE = '{"type": "step_status", "step_ref": "a", "status": "completed"}'
STEPS = f"""\
from strait.authoring import *

review = approval_step("review", depends_on=["a"])  # no
flow = define_workflow(WorkflowOptions(name="F", slug="f", steps=[
    job_step("a", "job-a", condition={_TRUE.replace('"a"', '"d"')}),  # no
    review,
    wait_for_event_step("paid", "paid", depends_on=["review"]),  # no
    approval_step("other", approval_timeout_secs=9, depends_on=["a"]),  # no
    job_step("d", "job-d", depends_on=["other"], on_failure="continue"),
    job_step("join", "job-e", depends_on=["d", "paid"]),  # no
    job_step("maybe", "job-f", depends_on=["a"], condition={_TRUE}),
    job_step("behind", "job-g", depends_on=["maybe"]),  # no
    job_step("f", "job-f",
        depends_on=["a"],
        output_transform="x",  # no
    ),
    job_step("gated", "job-g", depends_on=["a"],
        cost_gate_threshold_microusd=50_000,  # no
        cost_gate_timeout_secs=60,
    ),
]))
"""


def test_shapes_of_steps_are_told_at_the_step(tmp_path: Path) -> None:
    found = told(tmp_path, STEPS)
    assert sorted({line for line, _ in found}) == marked(STEPS)
    assert [feature for _, feature in found] == [
        "approval-for-ever",
        "condition-on-root",
        "event-key-reuse",
        "side-by-side-waits",
        "join-after-continue",
        "skipped-by-condition",
        "step-output",
        "cost-gates",
    ]


def test_a_refusal_says_what_the_platform_does_and_what_to_use(tmp_path: Path) -> None:
    module = loaded(tmp_path, OPTIONS)
    first = unportable(definitions_in(module), "platform")[0]
    assert str(first) == (
        f"{module.__file__}:5: <job 'a'>: `job.throttles` is missing on the platform: only the "
        "embedded platform has them; the field is ignored; instead: `rate_limit_max`, which "
        "refuses triggers with 429, and a client that comes again after `retry_after` [throttles]"
    )


@pytest.mark.parametrize("text", ["x = 1\n", "def f(:\n"])
def test_what_cannot_be_read_is_passed_over(tmp_path: Path, text: str) -> None:
    from strait.authoring.sources import Place, function_at, option_place, step_place

    (tmp_path / "odd.py").write_text(text)
    place = Place(str(tmp_path / "odd.py"), 1)
    assert option_place(place, "name") == step_place(place, "a", "b") == place
    assert function_at(place) is None


def test_the_client_has_what_the_table_names() -> None:
    with Client(base_url="http://127.0.0.1:1", api_key="k") as client:
        for feature in compatibility.features():
            for use in feature.uses:
                if use.startswith("client."):
                    _, service, method = use.partition("(")[0].split(".")
                    assert callable(getattr(getattr(client, service), method)), use
