"""`@job`, `@agent` and `@workflow`: definitions that stay functions."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing

import pytest
from pydantic import BaseModel

from strait.authoring import (
    AgentOptions,
    DefinitionError,
    IterationLimitExceeded,
    JobDefinition,
    JobOptions,
    WorkflowOptions,
    agent,
    create_test_context,
    job,
    job_step,
    sleep_step,
    workflow,
)
from strait.authoring.keywords import AgentKeywords, JobKeywords, WorkflowKeywords
from strait.serve.discovery import definitions_in


class Greeting(BaseModel):
    name: str


@job(slug="greet", name="Greet", timeout_secs=60)
async def greet(payload: Greeting, ctx) -> str:
    """Say hello."""
    await ctx.report_progress(100)
    return f"hello {payload.name}"


@job
def plain_thing(payload, ctx=None, *, loud=False):
    return payload if not loud else str(payload).upper()


@workflow(slug="order", payload_type=Greeting, timeout_secs=5)
def order():
    return [job_step("greet", greet), sleep_step("rest", 1, depends_on=["greet"])]


@workflow
def rest():
    return [sleep_step("rest", 1)]


async def test_a_decorated_job_is_a_definition_and_is_called_as_the_function():
    assert isinstance(greet, JobDefinition)
    assert (greet.slug, greet.options.name, greet.options.timeout_secs) == ("greet", "Greet", 60)
    assert greet.payload_type.name == "Greeting"
    context, record = create_test_context()
    assert await greet(Greeting(name="ada"), context) == "hello ada"
    assert record.progress_updates[0]["percent"] == 100


def test_it_looks_like_the_function():
    assert (greet.__name__, greet.__doc__, greet.__module__) == ("greet", "Say hello.", __name__)
    assert list(inspect.signature(greet).parameters) == ["payload", "ctx"]
    assert greet.run is greet.function is greet.__wrapped__


def test_without_parentheses_the_names_are_those_of_the_function():
    assert (plain_thing.slug, plain_thing.options.name) == ("plain-thing", "plain-thing")
    assert plain_thing("a", loud=True) == "A"


def test_a_decorated_workflow_has_the_steps_that_its_function_returns():
    assert (order.slug, order.order) == ("order", ["greet", "rest"])
    assert order.steps[0].job_id is greet
    assert order.options.payload_type is Greeting
    assert [step.step_ref() for step in order()] == ["greet", "rest"]
    assert (rest.slug, rest.options.name) == ("rest", "rest")


async def test_a_decorated_agent_is_called_as_the_function_and_hosted_with_an_account():
    @agent(slug="think", max_iterations=1)
    async def think(payload, ctx):
        for i in range(3):
            await ctx.checkpoint({"i": i})

    assert think.options.tags == {"strait.kind": "agent"}
    context, record = create_test_context()
    await think({}, context)
    assert len(record.checkpoints) == 3
    with pytest.raises(IterationLimitExceeded):
        await think.run({}, create_test_context()[0])


def test_decorated_definitions_are_discovered():
    module = types.ModuleType("mine")
    module.greet, module.order = greet, order
    assert definitions_in(module) == [greet, order]


def test_a_wrong_option_is_refused_where_it_is_written():
    with pytest.raises(DefinitionError, match="timeout_secs"):
        job(slug="x", timeout_secs=0)(lambda payload, ctx: None)


@pytest.mark.parametrize(
    ("keywords", "options", "own"),
    [
        (JobKeywords, JobOptions, {"run"}),
        (AgentKeywords, AgentOptions, {"run"}),
        (WorkflowKeywords, WorkflowOptions, {"run", "steps", "payload_type"}),
    ],
)
def test_the_keywords_are_the_fields_of_the_options_with_their_types(keywords, options, own):
    fields = {one.name: one.type for one in dataclasses.fields(options) if one.name not in own}
    taken = {
        name: hint.__forward_arg__ if isinstance(hint, typing.ForwardRef) else hint
        for name, hint in keywords.__annotations__.items()
    }
    assert taken == fields
