"""Requests that no operation describes, and what their answers can be made."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from typing_extensions import TypedDict

from strait import DecodeError, Job, ValidationError
from tests.client.conftest import JOB, Harness, Platform


class Thing(TypedDict):
    id: str


@dataclasses.dataclass
class Point:
    id: str
    version: int


@pytest.mark.parametrize("verb", ["get", "post", "put", "patch", "delete"])
def test_each_verb_sends_itself(either: Harness, platform: Platform, verb: str) -> None:
    platform.answers_with(200, {"id": "x"})
    options: dict[str, Any] = {} if verb in {"get", "delete"} else {"body": {"a": 1}}
    call = getattr(either.client(), verb)
    answer = either.run(lambda: call("/v1/x", query={"q": 1, "r": None}, timeout=3.0, **options))
    assert answer == {"id": "x"}
    assert platform.last.method == verb.upper()
    assert str(platform.last.url) == "https://platform.test/v1/x?q=1"
    assert platform.last.extensions["timeout"]["read"] == 3.0
    assert json.loads(platform.last.content or b"{}") == options.get("body", {})


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (Thing, {"id": "job_1"}),
        (Point, Point("job_1", 1)),
        (bytes, json.dumps(JOB).encode()),
        (str, json.dumps(JOB)),
        (dict[str, Any], JOB),
    ],
)
def test_an_answer_is_made_what_was_asked_for(
    either: Harness, platform: Platform, kind: Any, wanted: Any
) -> None:
    platform.answers_with(200, JOB)
    assert either.run(lambda: either.client().request("GET", "/v1/x", cast_to=kind)) == wanted


def test_a_model_of_the_sdk_is_as_lenient_as_ever(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, {**JOB, "of_tomorrow": 1, "version": "two"})
    client = either.client(response_format="dict")
    job = either.run(lambda: client.get("/v1/jobs/job_1", cast_to=Job))
    assert isinstance(job, Job)
    assert (job["of_tomorrow"], job["version"]) == (1, "two")


def test_a_list_can_be_asked_for_too(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, [JOB, JOB])
    jobs = either.run(lambda: either.client().get("/v1/x", cast_to=list[Job]))
    assert [job.slug for job in jobs] == ["a-job", "a-job"]


def test_an_answer_that_cannot_be_that_is_a_decode_error(
    either: Harness, platform: Platform
) -> None:
    platform.answers_with(200, {"id": 5})
    with pytest.raises(DecodeError):
        either.run(lambda: either.client().get("/v1/x", cast_to=Point))


def test_what_cannot_be_asked_for_is_refused_before_anything_is_sent(
    either: Harness, platform: Platform
) -> None:
    for ask in (
        {"cast_to": object(), "path": "/v1/x"},
        {"path": "v1/x"},
        {"path": "/v1/../x"},
        {"path": "/v1/x", "tiemout": 1},
    ):
        with pytest.raises(ValidationError):
            either.run(lambda ask=ask: either.client().get(**ask))
    assert platform.requests == []
