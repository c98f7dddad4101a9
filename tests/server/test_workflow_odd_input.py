"""Odd and bad input to workflows: an answer of the contract, never an error of the server."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from support.handlers import Answer
from support.workflows import Flows, approval, event

FOR_EVER = 9_000_000_000_000_000
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("workflow", "step"),
    [
        ({"timeout_secs": FOR_EVER}, {}),
        ({"timeout_secs": -5}, {}),
        ({}, {"approval_timeout_secs": FOR_EVER}),
        ({}, {"expected_duration_secs": FOR_EVER}),
        ({"max_parallel_steps": FOR_EVER, "max_concurrent_runs": -1}, {}),
    ],
)
async def test_limits_beyond_all_measure_are_no_errors(
    flows: Flows, workflow: dict[str, int], step: dict[str, int]
) -> None:
    run_id = await flows.start(approval("a", **step), **workflow)
    await flows.did(run_id, "steps/a/approve")
    assert (await flows.run(run_id))["status"] == "completed"
    assert (await flows.did(run_id, "retry"))["status"] == "completed"


@pytest.mark.parametrize(("asked", "kept"), [(FOR_EVER, 30 * 24 * 3600), (-1, 3600), (0, 3600)])
async def test_a_wait_lasts_thirty_days_at_most(flows: Flows, asked: int, kept: int) -> None:
    await flows.start(event("e", "go", event_timeout_secs=asked))
    assert (await flows.api.get("/v1/events/go")).json()["timeout_secs"] == kept


@pytest.mark.parametrize(
    "fields", [{"timeout_secs_override": FOR_EVER}, {"retry_max_attempts": -1}]
)
async def test_a_step_with_odd_limits_has_its_attempt(
    flows: Flows, fields: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    run_id = await flows.start(await flows.job("a", script=lambda call: Answer(500), **fields))
    await flows.until(run_id, "failed")
    assert len(flows.calls("a")) == 1
    assert "Traceback" not in caplog.text


async def test_a_pause_between_attempts_may_be_longer_than_anybody_lives(flows: Flows) -> None:
    pause = {"retry_max_attempts": 2, "retry_initial_delay_secs": FOR_EVER}
    run_id = await flows.start(await flows.job("a", script=lambda call: Answer(500), **pause))
    (call,) = await flows.until_called("a")
    run = await flows.world.until(call.run_id, "queued", attempt=2)
    assert run["next_retry_at"] > "2090"
    await flows.api.delete(f"/v1/workflow-runs/{run_id}")
    assert (await flows.world.run(call.run_id))["status"] == "canceled"


@pytest.mark.parametrize("ref", ["a/b", "ü", "a b", "a.b", "%2F", "x" * 2000, "'; --"])
async def test_a_ref_may_be_any_text(flows: Flows, ref: str) -> None:
    run_id = await flows.start(approval(ref))
    answer = await flows.did(run_id, f"steps/{quote(ref, safe='')}/approve")
    assert (answer["step_run"]["step_ref"], answer["step_run"]["status"]) == (ref, "completed")


@pytest.mark.parametrize(
    "payload",
    [
        {"n": 12345678901234567890123},
        {"one": 1.0, "big": 1e300, "zero": -0.0},
        {"text": '\u2028 \u0001 😀 "quoted" \\'},
        {"deep": [[[[[[[[{"x": []}]]]]]]]]},
        [],
        "",
        0,
        False,
        None,
    ],
    ids=repr,
)
async def test_a_payload_reaches_the_handler_as_it_was_sent(flows: Flows, payload: object) -> None:
    run_id = await flows.start(await flows.job("a"), payload=payload)
    await flows.until(run_id, "completed")
    (given,) = flows.inputs("a")
    # As text, because Python takes 1, 1.0 and true for equal.
    assert json.dumps(given, sort_keys=True) == json.dumps(payload, sort_keys=True)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"[]", "it must be object, got array"),
        (b"{", "Input data was truncated"),
        (b'{"payload": }', "JSON is malformed"),
        (b'{"step_overrides": [1]}', "`step_overrides[0]` must be object, got int"),
        (b'{"labels": []}', "`labels` must be object, got array"),
        (b'{"triggered_by": 5}', "`triggered_by` must be str, got int"),
        (b'{"payload": "\xff"}', "it is no UTF-8"),
    ],
)
async def test_a_bad_body_starts_nothing(flows: Flows, body: bytes, text: str) -> None:
    made = await flows.create(approval("a"))
    path = f"/v1/workflows/{made['id']}/trigger"
    answer = await flows.api.post(path, content=body, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(f"invalid request body: {text}")
    assert answer.json()["request_id"]
    assert (await flows.get(""))["data"] == []


async def test_an_approval_takes_a_body_that_says_something_else(flows: Flows) -> None:
    run_id = await flows.start(approval("a"))
    path = f"/v1/workflow-runs/{run_id}/steps/a/approve"
    answer = await flows.api.post(path, content=b'{"else": 1}', headers=JSON)
    assert answer.status_code == 200
