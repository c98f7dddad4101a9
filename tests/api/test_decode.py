"""Bodies are decoded in one pass, and what is wrong is told in the contract's words."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from strait.server._generated import bodies
from strait.server._generated.routes import BY_ID, ROUTES
from strait.server.decode import MAX_DEPTH, decode_as, decode_body
from strait.server.errors import ApiError

WITH_BODY = [route for route in ROUTES if route.body is not None]


def refused(struct: type[msgspec.Struct], raw: bytes) -> ApiError:
    with pytest.raises(ApiError) as caught:
        decode_as(struct, raw)
    return caught.value


def test_absent_null_and_a_value_of_any_json_stay_distinct() -> None:
    assert decode_as(bodies.TriggerRequest, b"{}").payload is UNSET
    for text in (b"null", b"0", b'{"a": 1.0,  "b":[]}'):
        payload = decode_as(bodies.TriggerRequest, b'{"payload":' + text + b"}").payload
        assert isinstance(payload, Raw)
        assert bytes(payload) == text


def test_an_empty_body_has_the_zero_values() -> None:
    assert decode_as(bodies.TriggerRequest, b"") == bodies.TriggerRequest()
    error = refused(bodies.CreateJobRequest, b"")
    assert error.status == 422
    assert error.code == "validation_failed"
    assert error.message == "validation failed"
    assert error.details == (
        "project_id: failed on 'required'",
        "name: failed on 'required'",
        "slug: failed on 'required'",
    )


def job(**fields: Any) -> bytes:
    base = {"project_id": "p", "name": "n", "slug": "s"}
    return json.dumps({**base, **fields}).encode()


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"name": ""}, "name: failed on 'required'"),
        ({"name": "x" * 256}, "name: failed on 'max'"),
        ({"endpoint_url": "not an address"}, "endpoint_url: failed on 'url'"),
        ({"endpoint_url": "/path"}, "endpoint_url: failed on 'url'"),
        ({"endpoint_signing_secret": "short"}, "endpoint_signing_secret: failed on 'min'"),
        ({"max_attempts": 101}, "max_attempts: failed on 'max'"),
        ({"max_attempts": -1}, "max_attempts: failed on 'min'"),
        ({"retry_strategy": "bogus"}, "retry_strategy: failed on 'oneof'"),
        ({"poison_pill_threshold": 0}, "poison_pill_threshold: failed on 'min'"),
    ],
)
def test_a_broken_rule_is_told_by_field_and_tag(fields: dict[str, Any], detail: str) -> None:
    error = refused(bodies.CreateJobRequest, job(**fields))
    assert (error.status, error.details) == (422, (detail,))


@pytest.mark.parametrize(
    "fields",
    [
        {"max_attempts": 0},
        {"endpoint_url": ""},
        {"retry_strategy": ""},
        {"poison_pill_threshold": None},
        {"name": "ü" * 255},
        {"endpoint_url": "https://worker.test/run?a=1#b"},
        {"of_tomorrow": {"any": "thing"}},
    ],
)
def test_zero_values_of_optional_scalars_count_as_absent(fields: dict[str, Any]) -> None:
    assert decode_as(bodies.CreateJobRequest, job(**fields)).slug == "s"


def test_every_broken_rule_is_told_at_once() -> None:
    error = refused(bodies.CreateJobRequest, job(name="", max_attempts=200, slug=""))
    assert len(error.details) == 3


def test_an_empty_list_breaks_another_rule_than_an_absent_one() -> None:
    assert refused(bodies.BulkTriggerRequest, b"{}").details == ("items: failed on 'required'",)
    assert refused(bodies.BulkTriggerRequest, b'{"items":null}').details == (
        "items: failed on 'required'",
    )
    assert refused(bodies.BulkTriggerRequest, b'{"items":[]}').details == (
        "items: failed on 'min'",
    )


def test_a_rule_inside_a_list_is_told_by_its_path() -> None:
    raw = b'{"items":[{"user_id":"u","role_id":"r"},{"user_id":"u"}]}'
    assert refused(bodies.BulkAssignMembersRequest, raw).details == (
        "items[1].role_id: failed on 'required'",
    )


def test_jobs_of_a_batch_are_left_to_their_handler() -> None:
    assert decode_as(bodies.BatchCreateJobsRequest, b'{"jobs":[{}]}').jobs


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"[]", "it must be object, got array"),
        (b'{"priority":"high"}', "`priority` must be int, got str"),
        (b'{"priority":1.5}', "`priority` must be int, got float"),
        (b'{"priority":true}', "`priority` must be int, got bool"),
        (b'{"priority":9223372036854775808}', "`priority` must be int"),
        (b'{"tags":{"a":1}}', "`tags[...]` must be str, got int"),
        (b'{"scheduled_at":"tomorrow"}', "`scheduled_at` must be an RFC 3339 timestamp"),
        (b'{"scheduled_at":"2026-02-30T00:00:00Z"}', "`scheduled_at` must be"),
        (b'{"payload":"\xff"}', "no UTF-8"),
        (b'{"payload":1e999}', "too large"),
        (b'{"payload":' + b"9" * 400 + b".5}", "too large"),
        (b'{"payload":"\\ud800"}', "invalid request body"),
        (b'{"payload":NaN}', "invalid"),
        (b'{"payload":' + b"[" * 300 + b"]" * 300 + b"}", "nested deeper than 200"),
        (b'{"x":' + b"[" * 100_000, "nested deeper than 200"),
        (b"{", "invalid request body: "),
        (b"{}}", "trailing"),
    ],
)
def test_what_is_no_body_is_a_bad_request_that_says_why(raw: bytes, text: str) -> None:
    error = refused(bodies.TriggerRequest, raw)
    assert error.status == 400
    assert error.code == "bad_request"
    assert error.message.startswith("invalid request body: ")
    assert text in error.message


def test_brackets_in_texts_are_no_nesting() -> None:
    raw = json.dumps({"payload": '["' * 400}).encode()
    assert decode_as(bodies.TriggerRequest, raw).payload is not UNSET


def test_whole_numbers_may_be_written_with_a_point() -> None:
    raw = b'{"items":[{"priority":5.0,"payload":{"a":5.0,"b":"1.0"}},{"ttl_secs":1e2}]}'
    found = decode_as(bodies.BulkTriggerRequest, raw)
    assert found.items is not None
    assert found.items[0].priority == 5
    assert isinstance(found.items[0].payload, Raw)
    assert bytes(found.items[0].payload) == b'{"a":5.0,"b":"1.0"}'
    assert found.items[1].ttl_secs == 100


def test_what_published_clients_call_otherwise_is_read_too() -> None:
    raw = b'{"project_id":"p","name":"n","slug":"s","timezone":"UTC","steps":[{"step_ref":"a",'
    raw += b'"type":"approval","approvers":["x"]}]}'
    found = decode_as(bodies.CreateWorkflowRequest, raw)
    assert found.cron_timezone == "UTC"
    assert found.steps is not None
    assert found.steps[0].step_type == "approval"
    assert found.steps[0].approval_approvers == ["x"]
    assert decode_as(bodies.SDKOutputRequest, b'{"key":"k","value":1}').output_key == "k"


def test_null_is_a_value_where_any_json_is_required() -> None:
    assert decode_as(bodies.SDKSetStateRequest, b'{"key":"k","value":null}').key == "k"
    error = refused(bodies.SDKSetStateRequest, b'{"key":"k"}')
    assert error.details == ("value: failed on 'required'",)


def test_nul_bytes_are_dropped_as_the_platform_drops_them() -> None:
    assert decode_as(bodies.TriggerRequest, b'{"priority":5}\0').priority == 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(WITH_BODY), st.data())
def test_no_body_raises_anything_but_an_answer(route: Any, data: st.DataObject) -> None:
    names = [field.encode_name for field in msgspec.structs.fields(route.body)]
    keys = st.sampled_from(names) if names else st.text()
    value = data.draw(st.dictionaries(keys, JSON) | JSON)
    raw = data.draw(st.just(json.dumps(value).encode()) | st.binary(max_size=30))
    try:
        answer: object = decode_body(route, raw)
    except ApiError as error:
        answer = (error.status, bool(error.details))
    assert isinstance(answer, route.body) or answer in {(400, False), (422, True)}


@pytest.mark.parametrize(
    "raw",
    [
        b'{"payload":' + b'[{"a":1}],' * 50_000,
        b'{"payload":"' + b'\\"[' * 300_000,
        b'{"payload":"' + b'\\"[' * 300_000 + b"\\",
        b'{"payload":[' + (b"1" * 308 + b",") * 3_000 + b"1]}",
        b'{"priority":5.5,"payload":"' + b'\\"[' * 300_000 + b'"}',
        b'"' * 900_000,
    ],
)
def test_no_body_of_a_megabyte_can_keep_the_server_busy(raw: bytes) -> None:
    # Quadratic work on any of these would run into the timeout of the test.
    try:
        answer: object = decode_as(bodies.TriggerRequest, raw)
    except ApiError as error:
        answer = error.status
    assert answer == 400 or isinstance(answer, bodies.TriggerRequest)


def test_a_route_without_a_body_has_nothing_to_decode() -> None:
    with pytest.raises(ValueError, match="get-job"):
        decode_body(BY_ID["get-job"], b"{}")


def test_the_deepest_body_is_decoded() -> None:
    inner = MAX_DEPTH - 1
    raw = b'{"payload":' + b"[" * inner + b"]" * inner + b"}"
    assert decode_as(bodies.TriggerRequest, raw).payload is not UNSET
