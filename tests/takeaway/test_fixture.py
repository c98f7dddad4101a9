"""Runs of a real platform as fixtures, and their replay against code that has changed since."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from strait.authoring import JobOptions, RunContext, define_job
from strait.errors import ValidationError
from strait.redaction import HIDDEN
from strait.takeaway import NoFixtureError, collect_fixture
from strait.testing import RecordedRun, ReplayError, TestPlatform, load_run, platform

from . import replayed
from .orders import flow, pack_job
from .replayed import (
    breaks_job,
    executed,
    fail_job,
    fulfil_job,
    label,
    pay_job,
    sealed_job,
    think_agent,
    waits_job,
)

Exported = Callable[..., RecordedRun]


@pytest.fixture(scope="module")
def world() -> Iterator[TestPlatform]:
    with platform(*replayed.JOBS) as made:
        yield made


@pytest.fixture(scope="module")
def ended(world: TestPlatform) -> dict[str, str]:
    """A run of each job, by the slug of it."""
    runs = {}
    for job, payload in (
        (pay_job, {"id": "o-1"}),
        (sealed_job, {"id": "o-2"}),
        (fail_job, {"id": "o-3"}),
        (breaks_job, {}),
        (think_agent, {"question": "why"}),
        (replayed.pack_job, {"items": 1}),
    ):
        runs[job.slug] = world.run(job, payload).id
    runs["waits"] = world.run(waits_job, {}, within=timedelta(0)).id
    order = {"id": "o-9", "cents": 450, "card": {"number": "5555-4444"}}
    run = world.run(fulfil_job, order, within=timedelta(seconds=30))
    assert run.status == "waiting"
    world.client.post("/v1/events/packed/send", body={"payload": {"by": "ada"}})
    world.advance(seconds=10)
    assert world.client.runs.get(run.id).status == "completed"
    return {**runs, "fulfil": run.id}


@pytest.fixture
def exported(world: TestPlatform, ended: dict[str, str], tmp_path: Path) -> Exported:
    """Exports a run and loads it; from then on `executed` is empty."""

    def export(slug: str, **options: Any) -> RecordedRun:
        found = collect_fixture(world.client, ended[slug], **options)
        path = tmp_path / f"{slug}.json"
        path.write_text(json.dumps(found))
        executed.clear()
        return load_run(path)

    return export


def job(run: Any, slug: str = "fulfil", **options: Any) -> Any:
    return define_job(JobOptions(name=slug, slug=slug, run=run, **options))


def test_a_run_with_every_kind_of_answer_is_replayed_and_nothing_is_done_again(
    exported: Exported,
) -> None:
    recorded = exported("fulfil")
    replay = recorded.replay(fulfil_job)
    assert executed == []
    assert replay.differences == ()
    assert replay.result == recorded.result
    assert replay.result["early"] == 1
    assert replay.result["checkpoint"] == {"seen": "o-9"}
    assert "not at once" in replay.result["previous"]
    assert replay.record.progress_updates[0]["percent"] == 90
    assert replay.record.state_store == {"early": 1, "late": 2}
    assert replay.record.steps == []


@pytest.mark.parametrize("slug", ["pack", "think"])
def test_plain_handlers_and_agents_are_replayed_too(exported: Exported, slug: str) -> None:
    handler = {"pack": replayed.pack_job, "think": think_agent}[slug]
    recorded = exported(slug)
    assert recorded.replay(handler).result == recorded.result
    assert executed == []


async def test_a_replay_has_its_own_loop_inside_of_a_test_that_has_one(exported: Exported) -> None:
    recorded = exported("fulfil")
    assert recorded.replay(fulfil_job).result == recorded.result


async def test_a_handler_may_be_called_by_hand(exported: Exported) -> None:
    recorded = exported("think")
    answer = await recorded.context().step("ask", label, "why")
    assert answer == "label of why"
    plain = exported("pack").context(sync=True)
    assert plain.step("count", lambda: 99) == 2
    assert executed == []


def test_a_step_that_is_not_on_record_is_named_and_not_carried_out(exported: Exported) -> None:
    async def more(payload: dict[str, Any], ctx: RunContext) -> Any:
        await ctx.step("screen", label, "y")
        return await replayed.fulfil(payload, ctx)

    with pytest.raises(ReplayError, match=r"step `screen` at test_fixture.py:\d+ is not on record"):
        exported("fulfil").replay(job(more))
    assert executed == []


def test_a_step_behind_the_end_of_the_record_is_carried_out_only_when_asked(
    exported: Exported,
) -> None:
    async def more(payload: dict[str, Any], ctx: RunContext) -> Any:
        result = await replayed.pack_async(payload, ctx)
        await ctx.step("tell", label, "y")
        return result

    recorded = exported("pack")
    with pytest.raises(ReplayError, match="step `tell`"):
        recorded.replay(job(more, "pack"))
    assert executed == []
    replay = recorded.replay(job(more, "pack"), allow_new=True)
    assert executed == ["label"]
    assert [step["name"] for step in replay.record.steps] == ["tell"]


def test_other_arguments_name_the_step_and_what_it_is_asked_with(exported: Exported) -> None:
    async def dearer(payload: dict[str, Any], ctx: RunContext) -> Any:
        return await replayed.fulfil({**payload, "cents": 500}, ctx)

    with pytest.raises(ReplayError) as caught:
        exported("fulfil").replay(job(dearer))
    (line,) = caught.value.differences
    assert line.startswith("step `charge`: recorded at replayed.py:")
    assert line.endswith("it is asked with ('o-9', 500); argument 2 differs")


def test_a_result_that_differs_is_told_by_its_places(exported: Exported) -> None:
    async def other(payload: dict[str, Any], ctx: RunContext) -> Any:
        result = await replayed.fulfil(payload, ctx)
        del result["by"]
        return {**result, "packed": True, "labels": [*result["labels"], "c"]}

    with pytest.raises(ReplayError) as caught:
        exported("fulfil").replay(job(other))
    assert caught.value.differences == (
        'result.by: recorded "ada", now nothing',
        "result.packed: recorded 4, now true",
        'result.labels.2: recorded nothing, now "c"',
    )


def test_a_step_that_is_not_asked_for_any_more_is_told(exported: Exported) -> None:
    async def less(payload: dict[str, Any], ctx: RunContext) -> dict[str, int]:
        return {"n": 2}

    found = exported("pack").replay(job(less, "pack"), compare=False)
    assert found.differences == ("step `count` is on record, and is not asked for any more",)


def test_an_event_and_a_child_that_are_not_on_record_are_named(exported: Exported) -> None:
    async def waits(payload: dict[str, Any], ctx: RunContext) -> None:
        await ctx.wait_for_event("other")

    async def spawns(payload: dict[str, Any], ctx: RunContext) -> None:
        try:
            await ctx.spawn("elsewhere")
        except Exception as error:  # what is not on record is no error of a handler
            raise AssertionError from error

    async def sleeps(payload: dict[str, Any], ctx: RunContext) -> None:
        await ctx.gather(ctx.sleep(1, name="nap"))

    recorded = exported("pack")
    for handler, named in ((waits, "event `other`"), (spawns, "child `elsewhere`"),
                           (sleeps, "sleep `nap`")):  # fmt: skip
        with pytest.raises(ReplayError, match=f"{named} is not on record"):
            recorded.replay(job(handler, "pack"))


def test_the_replay_fails_at_the_step_whose_answer_is_hidden_unless_it_is_given(
    exported: Exported,
) -> None:
    recorded = exported("pay")
    assert recorded.missing == ("step `charge`: card.number",)
    with pytest.raises(ReplayError, match=r"answer of step `charge`: card.number was hidden"):
        recorded.replay(pay_job)
    whole = {"receipt": "r-o-1", "cents": 5, "card": {"number": "4111-1111"}}
    assert recorded.replay(pay_job, answers={"charge": whole}).result == "r-o-1"
    with pytest.raises(ValidationError, match="no answer of the name `refund` is hidden"):
        recorded.replay(pay_job, answers={"refund": 1})
    assert executed == []


def test_paths_hide_in_the_payload_and_a_difference_tells_of_it(exported: Exported) -> None:
    recorded = exported("fulfil", redact=["card.number", "cents"])
    assert recorded.payload == {"id": "o-9", "cents": HIDDEN, "card": {"number": HIDDEN}}
    payload = {"id": "o-9", "cents": 450}
    with pytest.raises(ReplayError) as caught:
        recorded.replay(fulfil_job, payload=None)
    assert "payload: card.number, cents" in str(caught.value)
    answers = {"charge": {"receipt": "r-o-9"}}
    assert recorded.replay(fulfil_job, payload=payload, answers=answers).differences == ()


def test_what_a_codec_has_sealed_stays_sealed_and_the_job_opens_it(
    exported: Exported, tmp_path: Path
) -> None:
    recorded = exported("sealed")
    assert recorded.missing == ()
    assert "4111-1111" not in (tmp_path / "sealed.json").read_text()
    assert recorded.replay(sealed_job).result == "r-o-2"
    with pytest.raises(ReplayError, match="sealed by codec `reversed`"):
        recorded.replay(job(replayed.pay, "sealed"))


def test_a_run_that_failed_fails_again_and_code_that_is_right_now_is_told(
    exported: Exported,
) -> None:
    recorded = exported("fail")
    replay = recorded.replay(fail_job)
    assert str(replay.error) == "no stock of o-3"

    async def mended(payload: dict[str, Any], ctx: RunContext) -> str:
        return str(await ctx.step("label", label, "x"))

    with pytest.raises(ReplayError, match='no stock of o-3\'; now: completed with "label of x"'):
        recorded.replay(job(mended, "fail"))
    assert recorded.replay(job(mended, "fail"), compare=False).result == "label of x"

    async def worse(payload: dict[str, Any], ctx: RunContext) -> None:
        raise KeyError("elsewhere")

    with pytest.raises(ReplayError, match="raised KeyError") as caught:
        recorded.replay(job(worse, "fail"))
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_replay_ends_where_the_record_does_if_the_run_did_not_complete(
    exported: Exported,
) -> None:
    recorded = exported("breaks")
    assert (recorded.status, recorded.result) == ("dead_letter", None)
    replay = recorded.replay(breaks_job)
    assert replay.stopped_at.startswith("step `refuse` at replayed.py:")
    assert (replay.result, replay.error, executed) == (None, None, [])

    async def earlier(payload: dict[str, Any], ctx: RunContext) -> None:
        await ctx.step("refuse", label, "y")

    with pytest.raises(ReplayError) as caught:
        recorded.replay(job(earlier, "breaks"))
    assert [line.partition(" at ")[0] for line in caught.value.differences] == [
        "step `refuse`",
        "step `label` is on record, and is not asked for any more",
    ]
    with pytest.raises(ReplayError, match=r"recorded: dead_letter with .*; now: completed with"):
        recorded.replay(job(lambda payload, ctx: ctx.step("label", label, "x"), "breaks"))


def test_a_run_that_is_not_over_is_replayed_as_far_as_it_has_come(exported: Exported) -> None:
    recorded = exported("waits")
    assert recorded.status == "waiting"
    assert recorded.replay(waits_job).stopped_at == "event `never`"
    assert executed == []


def test_the_run_of_a_workflow_is_no_fixture(world: TestPlatform) -> None:
    with platform(flow, pack_job) as other:
        run = other.run(flow, {})
        with pytest.raises(NoFixtureError, match="export the runs of its steps"):
            collect_fixture(other.client, run.id)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        ("[]", "is not a run of the format"),
        ('{"format": "strait.fixture/9"}', "but 'strait.fixture/9'"),
    ],
)
def test_a_file_that_is_no_fixture_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(ValidationError, match=said):
        load_run(path)
    with pytest.raises(ValidationError, match="cannot be read"):
        load_run(tmp_path / "none.json")
