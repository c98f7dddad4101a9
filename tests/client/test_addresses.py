"""Path parameters reach the thing that they name, and nothing else."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strait import ValidationError
from strait.client.address import query_string, segment

from .conftest import Harness, Platform

NAMES = st.text(st.characters(exclude_categories=["Cs"], min_codepoint=32), min_size=1)


@pytest.mark.parametrize(
    "value",
    ["", ".", "..", "../environments/env_1", "a/b", "a\n", "\x7f", None, 123, b"a", "\ud800"],
)
def test_what_no_address_can_carry_is_refused_before_anything_is_sent(
    either: Harness, platform: Platform, value: object
) -> None:
    client = either.client()
    with pytest.raises(ValidationError, match="`job_id`"):
        either.run(lambda: client.jobs.delete(value))
    assert platform.requests == []


def test_a_second_parameter_is_checked_too(either: Harness, platform: Platform) -> None:
    client = either.client(run_token="token")
    with pytest.raises(ValidationError, match="`key`"):
        either.run(lambda: client.sdk_runs.delete_state("run_1", "../../run_2/state/k"))
    assert platform.requests == []


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("x?limit=1", "/v1/jobs/x%3Flimit=1"),
        ("x#f", "/v1/jobs/x%23f"),
        ("order:123", "/v1/jobs/order:123"),
        ("a b", "/v1/jobs/a%20b"),
        ("50%", "/v1/jobs/50%25"),
        ("日", "/v1/jobs/%E6%97%A5"),
        ("$&+,:;=@-_.~", "/v1/jobs/$&+,:;=@-_.~"),
    ],
)
def test_a_parameter_is_escaped_as_the_router_reads_it(
    either: Harness, platform: Platform, value: str, path: str
) -> None:
    platform.answers_with(204)
    client = either.client()
    either.run(lambda: client.jobs.delete(value))
    assert platform.last.url.raw_path == path.encode()


@given(
    NAMES.filter(lambda text: text not in {".", ".."} and "/" not in text and "\x7f" not in text)
)
def test_every_other_text_survives_the_way_through_an_address(text: str) -> None:
    url = httpx.URL(f"https://platform.test/v1/events/{segment(text, 'event_key')}/send")
    raw = url.raw_path.decode().removeprefix("/v1/events/").removesuffix("/send")
    assert unquote(raw) == text


@given(st.dictionaries(NAMES, NAMES | st.integers() | st.lists(NAMES, min_size=1), max_size=4))
def test_every_query_survives_the_way_through_an_address(query: dict[str, object]) -> None:
    url = httpx.URL("https://platform.test/v1/jobs?" + query_string(query))
    expected = [
        (name, str(item))
        for name, value in query.items()
        for item in (value if isinstance(value, list) else [value])
    ]
    assert parse_qsl(url.query.decode(), keep_blank_values=True) == expected
