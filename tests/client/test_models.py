"""Models take whatever a newer platform may send."""

from __future__ import annotations

import contextlib
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import strait.models
from strait.errors import DecodeError, StraitError
from strait.models import Job, JobRun, WorkflowResponse
from strait.models.base import StraitModel

from .conftest import JOB, Harness, Platform

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
NAMES = sorted(name for name in strait.models._MODULES if name != "StraitModel")
MODELS = [
    model
    for name in NAMES
    if isinstance(model := getattr(strait.models, name), type) and issubclass(model, StraitModel)
]


@given(st.sampled_from(MODELS), st.data())
def test_no_answer_with_an_object_fails_and_none_loses_a_field(
    model: type[StraitModel], data: st.DataObject
) -> None:
    names = [field.alias or name for name, field in model.model_fields.items()]
    keys = st.sampled_from([*names, "of_tomorrow"]) if names else st.just("of_tomorrow")
    value = data.draw(st.dictionaries(keys, JSON, max_size=6))
    found = model.from_json(json.dumps(value).encode())
    assert set(dict(found)) == set(value)
    assert all(name in found for name in value)
    assert set(found.to_dict()) == set(value)


def test_a_value_of_another_type_is_kept_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    body = json.dumps({**JOB, "max_attempts": {"now": "an object"}, "tags": 5}).encode()
    with caplog.at_level(logging.WARNING, logger="strait"):
        jobs = [Job.from_json(body) for _ in range(3)]
    assert jobs[0]["max_attempts"] == {"now": "an object"}
    assert jobs[0]["tags"] == 5
    assert jobs[0].created_at.year == 2026
    assert caplog.text.count("`Job`") == 1


def test_a_model_within_a_model_is_kept_as_a_model() -> None:
    step = {"id": "s1", "step_ref": "a", "depends_on": "not a list", "on_failure": "explode"}
    found = WorkflowResponse.from_json(json.dumps({"id": "w", "steps": [step]}).encode())
    assert found["steps"][0]["step_ref"] == "a"
    assert found["steps"][0].depends_on == "not a list"


def test_an_unknown_value_of_an_enum_is_a_text() -> None:
    run = JobRun.from_json(json.dumps({"id": "r", "status": "dreaming"}).encode())
    assert run.status == "dreaming"


def test_a_model_shows_what_the_platform_sent_and_not_too_much() -> None:
    run = JobRun.from_json(b'{"id":"r","status":"queued"}')
    assert repr(run) == str(run) == "JobRun(id='r', status='queued')"
    large = JobRun.from_json(json.dumps({"id": "r", "payload": "x" * 5000}).encode())
    assert len(repr(large)) == 1025


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (
            strait.models.CreateSseTokenResponse,
            {"token": "hush.hush.hush", "expires_at": "2026-01-01"},
        ),
        (
            strait.models.CreateAPIKeyResponse,
            {"key": "strait_hush", "rotation_webhook_secret": "hush"},
        ),
        (strait.models.RotateApiKeyResponse, {"key": "strait_hush"}),
        (strait.models.DeviceTokenResponse, {"api_key": "strait_hush"}),
        (strait.models.SetJobEndpointResponse, {"signing_secret": "esec_hush"}),
        (strait.models.CreateWebhookSubscriptionResponse, {"signing_secret": "whsec_hush"}),
    ],
)
def test_the_text_of_an_answer_shows_no_credential(
    model: type[StraitModel], fields: dict[str, str]
) -> None:
    made = model.from_json(json.dumps(fields).encode())
    name = next(iter(fields))
    assert made[name] == fields[name]
    for text in (repr(made), str(made), f"{[made]}"):
        assert "hush" not in text
        assert f"{name}='***'" in text


def test_what_only_is_called_a_key_is_shown() -> None:
    throttle = strait.models.JobThrottle(name="t", key="{{ payload.user }}")
    assert repr(throttle) == "JobThrottle(name='t', key='{{ payload.user }}')"


def test_numbers_of_any_size_survive() -> None:
    run = JobRun.from_json(b'{"id":"r","payload":123456789012345678901234567890}')
    assert run.payload == 123456789012345678901234567890


def test_fields_that_python_cannot_name_have_an_underscore_and_their_own_name() -> None:
    change = strait.models.RunStreamItem.from_json(b'{"from":"queued","to":"executing"}')
    assert change.from_ == change["from"] == "queued"
    assert change.to_dict() == {"from": "queued", "to": "executing"}
    assert json.loads(change.to_json()) == change.to_dict()


@pytest.mark.parametrize(
    ("status", "content"),
    [(200, b"[]"), (200, b'"text"'), (200, b"\xff"), (200, b"<html>"), (200, b"{"), (200, b"nul")],
)
def test_what_is_no_object_is_a_decode_error(
    either: Harness, platform: Platform, status: int, content: bytes
) -> None:
    platform.answers_text(status, content.decode("latin-1"), "application/json")
    client = either.client()
    with pytest.raises(DecodeError):
        either.run(lambda: client.jobs.get("job_1"))
    with pytest.raises(StraitError):
        either.run(client.jobs.list)


def test_an_empty_answer_is_a_model_without_fields(either: Harness, platform: Platform) -> None:
    platform.answers_with(204)
    client = either.client()
    job: Any = either.run(lambda: client.jobs.get("job_1"))
    assert job.id is None
    assert dict(job) == {}


@given(st.binary(max_size=40))
def test_no_bytes_raise_anything_but_a_value_error(data: bytes) -> None:
    results = []
    for load in (Job.from_json, Job.list_from_json):
        with contextlib.suppress(ValueError):
            results.append(load(data))
    assert all(isinstance(found, Job | list) for found in results)
