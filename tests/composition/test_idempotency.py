"""`with_idempotency` and `with_idempotency_header`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strait.composition import with_idempotency, with_idempotency_header
from strait.errors import ValidationError

from .conftest import Platform


def test_a_key_is_added_to_a_copy() -> None:
    headers = {"X-A": "1"}
    assert with_idempotency(headers, "k") == {"X-A": "1", "Idempotency-Key": "k"}
    assert headers == {"X-A": "1"}
    assert with_idempotency(None, "k") == {"Idempotency-Key": "k"}


@pytest.mark.parametrize("name", ["idempotency-key", "IDEMPOTENCY-KEY", "Idempotency-Key"])
def test_a_key_of_any_case_is_replaced(name: str) -> None:
    assert with_idempotency({name: "old"}, "new") == {"Idempotency-Key": "new"}
    assert with_idempotency_header({name: "old"}, "new", "idempotency-Key") == {
        "idempotency-Key": "new"
    }


def test_the_header_may_have_another_name() -> None:
    assert with_idempotency_header({"A": "b"}, "k", "X-Once") == {"A": "b", "X-Once": "k"}


@pytest.mark.parametrize("key", ["", "  ", "a\nb", "é", "k" * 257])
def test_a_key_that_no_request_can_carry_is_refused(key: str) -> None:
    with pytest.raises(ValidationError):
        with_idempotency({}, key)


@pytest.mark.parametrize("name", ["", "a b", "a:b"])
def test_a_name_that_no_request_can_carry_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="no name of a header"):
        with_idempotency_header({}, "k", name)


@given(
    headers=st.dictionaries(
        st.sampled_from(["idempotency-key", "Idempotency-KEY", "x", "X-B"]), st.text()
    )
)
def test_there_is_one_key_and_every_other_header_stays(headers: dict[str, Any]) -> None:
    found = with_idempotency(headers, "k")
    kept = {name: value for name, value in headers.items() if name.lower() != "idempotency-key"}
    assert found == {**kept, "Idempotency-Key": "k"}


def test_our_client_sends_the_key_once(platform: Platform) -> None:
    platform.answers = [(201, {"id": "run_1"})]
    with platform.client() as client:
        client.jobs.trigger("job_1", headers=with_idempotency({"idempotency-key": "old"}, "new"))
    assert platform.requests[0].headers.get_list("idempotency-key") == ["new"]
