"""`strict_responses=True`: what does not fit is an error, and what is newer is none."""

from __future__ import annotations

import pickle

import pytest

from strait import DecodeError, Job, ResponseValidationError
from tests.client.conftest import JOB, Harness, Platform


def test_a_field_of_another_type_is_a_typed_error(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, {**JOB, "version": "two"}, {"x-request-id": "req_1"})
    client = either.client(strict_responses=True)
    with pytest.raises(ResponseValidationError, match="`version`") as caught:
        either.run(lambda: client.jobs.get("job_1"))
    error = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(error, DecodeError)
    assert error.fields == ["version"]
    assert (error.status, error.request_id) == (200, "req_1")
    assert len(platform.requests) == 1


def test_a_field_of_an_item_of_a_page_is_told_with_its_place(
    either: Harness, platform: Platform
) -> None:
    platform.answers_with(200, {"data": [JOB, {**JOB, "version": {}}], "has_more": False})
    client = either.client(strict_responses=True)
    with pytest.raises(ResponseValidationError) as caught:
        either.run(client.jobs.list)
    assert caught.value.fields == ["data.1.version"]


def test_what_is_newer_is_no_error(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, {**JOB, "of_tomorrow": 1})
    client = either.client(strict_responses=True)
    assert either.run(lambda: client.jobs.get("job_1"))["of_tomorrow"] == 1


def test_strictness_ends_with_its_answer(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, {**JOB, "version": "two"})
    strict, usual = either.client(strict_responses=True), either.client()
    with pytest.raises(ResponseValidationError):
        either.run(lambda: strict.get("/v1/jobs/job_1", cast_to=Job))
    assert either.run(lambda: usual.jobs.get("job_1"))["version"] == "two"
