"""A run and all that is known of it, read from a real platform by its public API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from strait.errors import NotFoundError
from strait.redaction import HIDDEN
from strait.report import render
from strait.takeaway import collect
from strait.testing import TestPlatform, platform

from .orders import flow, pack_job, ship_job


@pytest.fixture(scope="module")
def world() -> Iterator[TestPlatform]:
    with platform(ship_job, pack_job) as made:
        yield made


@pytest.fixture(scope="module")
def shipped(world: TestPlatform) -> str:
    """A run that failed once, waited for an event and for a child, and completed."""
    payload = {"order": "o-4711", "card": {"number": "4242 4242"}, "api_key": "k-123456"}
    run = world.run(ship_job, payload, within=timedelta(seconds=30))
    assert run.status == "waiting"
    world.client.post("/v1/events/paid/send", body={"payload": {"amount": 42}})
    world.advance(seconds=5)
    assert world.client.runs.get(run.id).status == "completed"
    return run.id


def test_the_document_of_a_run_has_all_its_parts(world: TestPlatform, shipped: str) -> None:
    found = collect(world.client, shipped)
    assert (found["format"], found["kind"], found["run"]["id"]) == ("strait.run/1", "run", shipped)
    assert found["job"]["slug"] == "ship"
    assert "endpoint_url" not in found["job"]
    assert found["run"]["result"] == {"paid": 42, "packed": 3}
    assert [row["state"]["attempt"] for row in found["checkpoints"] if row["source"] == "sdk"] == [
        1, 2, 2, 2,
    ]  # fmt: skip
    assert [(child["job_slug"], child["result"]) for child in found["children"]] == [
        ("pack", {"packed": 3})
    ]
    assert [(row["key"], row["value"]) for row in found["state"]] == [("seen", {"own": True})]
    assert [row["output_key"] for row in found["outputs"]] == ["label"]
    assert {row["cost_microusd"] for row in found["usage"]} == {1_500}
    assert (found["missing"], found["truncated"]) == ([], {})
    times = [event["created_at"] for event in found["events"]]
    assert times == sorted(times)
    changes = [event["data"]["to"] for event in found["events"] if event["type"] == "state_change"]
    assert (changes[0], changes[-1]) == ("queued", "completed")
    assert "waiting" in changes


def test_secrets_and_paths_do_not_leave(world: TestPlatform, shipped: str) -> None:
    found = collect(world.client, shipped, redact=["card.number", "order"])
    assert found["run"]["payload"] == {
        "order": HIDDEN,
        "card": {"number": HIDDEN},
        "api_key": HIDDEN,
    }
    # The log line had it, too.
    page = render(found)
    assert "o-4711" not in page
    assert f"order {HIDDEN}" in page


def test_the_page_of_a_run_shows_its_story(world: TestPlatform, shipped: str) -> None:
    page = render(collect(world.client, shipped))
    for said in ("attempt 1", "attempt 2", "the printer is &lt;out&gt; of paper", "traceback"):
        assert said in page


def test_a_workflow_run_is_found_by_its_id(world: TestPlatform) -> None:
    run = world.run(flow, {"n": 1})
    found = collect(world.client, run.id)
    assert (found["kind"], found["workflow"]["slug"]) == ("workflow_run", "flow")
    assert [(step["step_ref"], step["status"]) for step in found["steps"]] == [
        ("pack", "completed"),
        ("rest", "completed"),
    ]
    assert {event["step_ref"] for event in found["events"]} == {"pack"}
    assert [(row["step_ref"], row["cost_microusd"]) for row in found["usage"]] == [("pack", 250)]
    assert "rest" in render(found)


def test_an_id_of_nothing_is_told(world: TestPlatform) -> None:
    with pytest.raises(NotFoundError, match="there is no run and no workflow run `nobody`"):
        collect(world.client, "nobody")
