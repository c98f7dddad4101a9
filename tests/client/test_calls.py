"""What a call sends, and what it returns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from strait import (
    IdempotencyWarning,
    Job,
    MisplacedPayloadWarning,
    UnsupportedByPlatform,
    ValidationError,
)
from strait.client.address import query_string
from strait.client.body import encode

from .conftest import JOB, Harness, Platform

NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001 - nobody knows which instant it means


def test_a_job_is_a_model_and_answers_like_a_dictionary(
    either: Harness, platform: Platform
) -> None:
    platform.answers_with(200, {**JOB, "of_tomorrow": [1]})
    client = either.client()
    job = either.run(lambda: client.jobs.get("job_1"))
    assert isinstance(job, Job)
    assert job.id == job["id"] == job.get("id") == dict(job)["id"] == "job_1"
    assert job["of_tomorrow"] == [1]
    assert job.created_at == datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)
    assert job.to_dict() == {**JOB, "of_tomorrow": [1]}


def test_what_the_platform_left_out_is_none_and_not_in_the_model(
    either: Harness, platform: Platform
) -> None:
    platform.answers_with(200, JOB)
    client = either.client()
    job = either.run(lambda: client.jobs.get("job_1"))
    assert job.cron is None
    assert job["cron"] is None
    assert "cron" not in job
    assert job.get("cron", "none") == "none"
    with pytest.raises(KeyError):
        job["nothing"]


@pytest.mark.parametrize(
    ("arguments", "keywords"),
    [
        (({"payload": {"a": 1}, "priority": 3},), {}),
        ((), {"payload": {"a": 1}, "priority": 3}),
        (({"payload": {"a": 1}, "priority": 1},), {"priority": 3}),
    ],
)
def test_a_body_is_a_mapping_or_keywords_or_both(
    either: Harness, platform: Platform, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> None:
    platform.answers_with(201, {"id": "run_1", "status": "queued"})
    client = either.client()
    run = either.run(lambda: client.jobs.trigger("job_1", *arguments, **keywords))
    assert run["id"] == run.id == "run_1"
    assert platform.sent() == {"payload": {"a": 1}, "priority": 3}
    assert platform.last.headers["content-type"] == "application/json"


class Order(BaseModel):
    number: int = Field(alias="no")
    at: datetime


def test_a_pydantic_model_of_the_user_is_a_body_or_stands_in_one(
    either: Harness, platform: Platform
) -> None:
    platform.answers_with(201, {"id": "run_1"})
    client = either.client()
    order = Order(no=1, at=datetime(2026, 1, 1, tzinfo=UTC))
    either.run(lambda: client.jobs.trigger("job_1", payload=[order]))
    either.run(lambda: client.do_request("POST", "/v1/any", body=order))
    sent = {"no": 1, "at": "2026-01-01T00:00:00Z"}
    assert platform.sent(0) == {"payload": [sent]}
    assert platform.sent(1) == sent


def test_a_model_can_be_sent_back_as_a_body(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, JOB)
    client = either.client()
    job = either.run(lambda: client.jobs.get("job_1"))
    either.run(lambda: client.jobs.update("job_1", job, name="Another"))
    assert platform.sent() == {**JOB, "name": "Another"}


def test_none_is_not_sent_but_a_payload_of_null_is(either: Harness, platform: Platform) -> None:
    platform.answers_with(201, {"id": "run_1", "status": "queued"})
    client = either.client()
    either.run(lambda: client.jobs.trigger("job_1", payload=None, priority=None))
    assert platform.sent() == {"payload": None}
    either.run(lambda: client.jobs.trigger("job_1"))
    assert platform.last.content == b""
    either.run(lambda: client.jobs.trigger("job_1", {}))
    assert platform.sent() == {}


def test_query_parameters_are_keywords_and_a_mapping(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, {"data": [], "has_more": False})
    client = either.client()
    either.run(
        lambda: client.runs.list(
            query={"limit": "5", "cursor": None, "status": "failed"},
            statuses=["queued", "failed"],
            status="queued",
        )
    )
    assert platform.last.url.params.multi_items() == [
        ("limit", "5"),
        ("status", "queued"),
        ("statuses", "queued"),
        ("statuses", "failed"),
    ]


def test_instants_and_lists_are_written_as_the_platform_reads_them(
    either: Harness, platform: Platform
) -> None:
    platform.answers_with(200, [])
    client = either.client()
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    either.run(
        lambda: client.analytics.get_jobs_comparison(job_ids=["a", "b"], from_=moment, to=moment)
    )
    assert dict(platform.last.url.params) == {
        "job_ids": "a,b",
        "from": "2026-01-02T00:00:00.000000Z",
        "to": "2026-01-02T00:00:00.000000Z",
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), NAIVE])
def test_a_parameter_without_a_form_is_refused_before_anything_is_sent(value: object) -> None:
    with pytest.raises(ValidationError, match="`limit`"):
        query_string({"limit": value})


@pytest.mark.parametrize("value", [float("nan"), object(), {1: {2}, "\ud800": 1}, "\ud800"])
def test_a_body_that_is_no_json_is_a_validation_error(value: object) -> None:
    with pytest.raises(ValidationError, match="body"):
        encode({"t": value})


@dataclass
class Items:
    items: list[Any]


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (Items([1, NAIVE]), "`payload.items[1]` must have a time zone"),
        ({"a": {"at": NAIVE}}, "`payload.a.at` must have a time zone"),
        ({"a": [{"x": b"1"}]}, "bytes has no form in JSON at `payload.a[0].x`"),
    ],
)
def test_what_cannot_be_sent_is_told_with_its_place(payload: object, told: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(told)):
        encode({"payload": payload})


def test_dates_in_bodies_have_their_form_of_the_platform() -> None:
    body = {"at": datetime(2026, 1, 2, 3, tzinfo=UTC), "on": date(2026, 1, 2), "tags": {"b", "a"}}
    assert encode(body) == (
        b'{"at":"2026-01-02T03:00:00.000000Z","on":"2026-01-02","tags":["a","b"]}'
    )


def test_an_operation_that_no_platform_has_says_what_to_use_instead(
    either: Harness, platform: Platform
) -> None:
    client = either.client()
    with pytest.raises(UnsupportedByPlatform, match=r"`workflow_policies\.get`"):
        either.run(lambda: client.workflows.get_policy("wf_1"))
    assert platform.requests == []


def test_metrics_are_text(either: Harness, platform: Platform) -> None:
    platform.answers_text(200, "up 1\n", "text/plain; version=0.0.4")
    client = either.client()
    assert either.run(client.health.list_metrics) == "up 1\n"


def test_usage_is_exported_as_text_or_bytes(either: Harness, platform: Platform) -> None:
    platform.answers_text(200, "day,runs\n", "text/csv")
    client = either.client()
    call = client.billing.export_usage
    assert either.run(lambda: call(from_=date(2026, 1, 1), to=date(2026, 1, 2))) == "day,runs\n"
    assert either.run(lambda: call(format="pdf")) == b"day,runs\n"


def test_an_export_is_a_page_of_models_or_text(either: Harness, platform: Platform) -> None:
    client = either.client()
    platform.answers_with(200, [JOB])
    assert [job.id for job in either.items(client.exports.export_jobs)] == ["job_1"]
    platform.answers.clear()
    platform.answers_text(200, '{"id":"run_1"}\n{"id":"run_2"}\n', "application/x-ndjson")
    runs = either.items(lambda: client.exports.export_runs(format="ndjson"))
    assert [run.id for run in runs] == ["run_1", "run_2"]
    platform.answers.clear()
    platform.answers_text(200, "id\nrun_1\n", "text/csv")
    assert either.run(lambda: client.exports.export_runs(format="csv")) == "id\nrun_1\n"


def test_a_bare_array_is_a_page(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, [{"id": "drain_1", "name": "a"}])
    client = either.client()
    page = either.run(client.log_drains.list)
    assert page[0].id == page["data"][0]["id"] == "drain_1"
    assert len(page) == 1
    assert not page.has_more


def test_a_payload_may_be_null(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, None)
    platform.answers.clear()
    platform.answers_text(200, "null", "application/json")
    client = either.client(run_token="token")
    assert either.run(lambda: client.sdk_runs.get_payload("run_1")) is None


def test_the_client_says_who_it_is(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, JOB)
    client = either.client()
    either.run(lambda: client.jobs.get("job_1"))
    assert platform.last.headers["user-agent"].startswith("strait-python/")
    assert platform.last.headers["x-sdk-version"]
    assert platform.last.headers["authorization"].startswith("Bearer strait_")


def test_headers_are_merged_without_regard_to_case(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, JOB)
    client = either.client(default_headers={"authorization": "Bearer other", "X-A": "1"})
    either.run(lambda: client.jobs.get("job_1", headers={"x-a": "2"}))
    assert platform.last.headers.get_list("authorization") == ["Bearer other"]
    assert platform.last.headers.get_list("x-a") == ["2"]


def test_an_idempotency_key_is_made_where_the_platform_honours_it(
    either: Harness, platform: Platform
) -> None:
    platform.answers_with(201, {"id": "run_1", "status": "queued"})
    client = either.client()
    for _ in range(2):
        either.run(lambda: client.jobs.trigger("job_1"))
    keys = [request.headers["idempotency-key"] for request in platform.requests]
    assert len(set(keys)) == 2
    either.run(lambda: client.jobs.trigger("job_1", idempotency_key="mine"))
    assert platform.last.headers["idempotency-key"] == "mine"
    either.run(lambda: client.jobs.trigger("job_1", {"idempotency_key": "in the body"}))
    assert platform.last.headers["idempotency-key"] == "in the body"
    assert platform.sent() == {}
    either.run(lambda: client.api_keys.rotate("key_1"))
    assert "idempotency-key" not in platform.last.headers


DIFFERS = {"Idempotency-Replayed": "true", "Idempotency-Body-Differs": "true"}


def test_a_key_that_was_used_with_another_body_is_told_at_the_line_of_the_call(
    either: Harness, platform: Platform
) -> None:
    platform.answers_with(201, {"id": "run_1", "status": "queued"}, DIFFERS)
    client = either.client()
    with pytest.warns(IdempotencyWarning, match=r"trigger.*another body") as told:
        run = either.run(lambda: client.jobs.trigger("job_1", payload=2, idempotency_key="k"))
    assert run.id == "run_1"
    assert [warning.filename for warning in told] == [
        str(Path(__file__).with_name("conftest.py")) if either.is_async else __file__
    ]


def test_raw_requests_with_a_key_are_told_too(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, {}, DIFFERS)
    client = either.client()
    with pytest.warns(IdempotencyWarning, match="another body"):
        either.run(lambda: client.do_request("POST", "/v1/things", idempotency_key="k"))


def test_an_answer_to_the_same_body_is_not_warned_about(
    either: Harness, platform: Platform
) -> None:
    same = {"Idempotency-Replayed": "true"}
    platform.answers_with(201, {"id": "run_1", "status": "queued"}, same)
    client = either.client()
    run = either.run(lambda: client.jobs.trigger("job_1", idempotency_key="k"))
    assert run.id == "run_1"


def test_raw_requests_return_plain_json(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, JOB)
    client = either.client()
    assert either.run(lambda: client.do_request("GET", "/v1/jobs/job_1")) == JOB
    platform.answers.clear()
    platform.answers_with(204)
    assert either.run(lambda: client.do_request("DELETE", "/v1/jobs/job_1")) == {}
    with pytest.raises(ValidationError, match="`path`"):
        either.run(lambda: client.do_request("GET", "/v1/../metrics"))


def test_a_payload_in_the_place_of_the_body_is_told(either: Harness, platform: Platform) -> None:
    platform.answers_with(201, {"id": "run_1", "status": "queued"})
    client = either.client()
    with pytest.warns(MisplacedPayloadWarning, match=r"reads `order` in this body") as told:
        either.run(lambda: client.jobs.trigger("job_1", {"order": 1}))
    assert Path(told[0].filename).parent == Path(__file__).parent


@pytest.mark.parametrize(
    "body", [{}, {"payload": {"order": 1}}, {"order": 1, "tags": {}}, {"idempotency_key": "k"}]
)
def test_a_body_with_a_field_of_the_platform_is_sent_without_a_word(
    either: Harness, platform: Platform, body: dict[str, Any]
) -> None:
    platform.answers_with(201, {"id": "run_1", "status": "queued"})
    client = either.client()
    # A warning would be an error here.
    assert either.run(lambda: client.jobs.trigger("job_1", body)).id == "run_1"
