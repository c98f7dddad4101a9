"""Query strings become typed values, and wrong ones an error in the contract's words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strait.server._generated.routes import BY_ID, ROUTES
from strait.server.decode import decode_query
from strait.server.errors import ApiError


def decoded(route: str, query: str) -> dict[str, Any]:
    return {k: v for k, v in decode_query(BY_ID[route], query.encode()).items() if v is not None}


def test_every_declared_parameter_is_there() -> None:
    values = decode_query(BY_ID["list-jobs"], b"")
    assert set(values) == {query.name for query in BY_ID["list-jobs"].query}
    assert values["limit"] == 50
    assert values["slug"] is None


@pytest.mark.parametrize(
    ("route", "query", "expected"),
    [
        ("list-runs", "limit=1000", {"limit": 100}),
        ("list-runs", "limit=&status=", {"limit": 50}),
        ("list-runs", "statuses=queued&statuses%5B%5D=failed", {"statuses": ["queued", "failed"]}),
        ("list-runs", "tag_key=a%20b&tag_value=%C3%BC", {"tag_key": "a b", "tag_value": "ü"}),
        ("get-job-health", "", {"window": "7d"}),
        ("verify-audit-chain", "incremental=true", {"incremental": True}),
        ("list-notification-deliveries", "limit=x&cursor=y", {"limit": 50}),
        ("list-workers", "offset=20", {"limit": 50, "offset": 20}),
        ("get-run", "anything=1", {}),
    ],
)  # fmt: skip
def test_values_have_their_types_and_defaults(
    route: str, query: str, expected: dict[str, Any]
) -> None:
    found = decoded(route, query)
    assert {name: found[name] for name in expected} == expected


def test_lists_with_commas_are_lists() -> None:
    bounds = "from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00.5%2B02:00"
    found = decoded("get-job-comparison", f"job_ids=a,%20b&{bounds}")
    assert found["job_ids"] == ["a", "b"]
    assert found["to"] == "2026-02-01T00:00:00.5+02:00"


@pytest.mark.parametrize(
    ("route", "query", "text"),
    [
        ("list-runs", "limit=0", "limit must be a positive integer"),
        ("list-runs", "limit=-1", "limit must be a positive integer"),
        ("list-runs", "limit=x", "limit must be a positive integer"),
        ("list-runs", "limit=" + "9" * 30, "limit must be a positive integer"),
        ("list-runs", "cursor=yesterday", "invalid cursor format"),
        ("list-runs", "status=dreaming", "status is invalid"),
        ("list-runs", "statuses=queued&statuses=dreaming", "status is invalid"),
        ("list-runs", "tag_value=a", "tag_key is required when tag_value is provided"),
        ("list-runs", "payload_contains=%7B", "payload_contains must be valid JSON"),
        ("get-run-summary", "", "from and to query parameters are required (RFC3339 format)"),
        ("get-tag-cost", "limit=501", "limit must be an integer from 1 to 500"),
        (
            "get-usage-history",
            "",
            "from and to query parameters are required (a date like 2026-01-31)",
        ),
        ("get-cost-insights", "threshold=0", "threshold must be a number above 0"),
        ("drop-audit-deadletter", "", "reason is required"),
        ("export-jobs", "format=xml", "format must be one of json, ndjson"),
        ("verify-audit-chain", "incremental=maybe", "incremental must be true or false"),
    ],
)
def test_a_wrong_value_is_refused_in_the_words_of_the_contract(
    route: str, query: str, text: str
) -> None:
    with pytest.raises(ApiError) as caught:
        decoded(route, query)
    assert (caught.value.status, caught.value.message) == (400, text)


WITH_QUERY = [route for route in ROUTES if route.query]


@given(st.sampled_from(WITH_QUERY), st.data())
def test_no_query_raises_anything_but_an_answer(route: Any, data: st.DataObject) -> None:
    names = st.sampled_from([query.name for query in route.query]).map(str.encode)
    values = st.binary(max_size=12) | st.sampled_from([b"1", b"true", b"2026-01-01T00:00:00Z"])
    pairs = data.draw(st.lists(st.tuples(names, values), max_size=5))
    raw = b"&".join(name + b"=" + value for name, value in pairs)
    try:
        answer: object = set(decode_query(route, raw))
    except ApiError as error:
        answer = error.status
    assert answer in ({query.name for query in route.query}, 400)
