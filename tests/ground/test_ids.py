"""Ids: valid, in the order of their making, and different."""

from __future__ import annotations

import os
import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strait.ids import uuid7, version_id
from strait.reserved import STATE_PREFIX, child_outcome_key, event_state_key, spawn_key

microseconds = st.integers(min_value=0, max_value=2**48 * 1000 - 1)


@given(microseconds)
def test_an_id_is_a_uuid_of_version_seven(instant: int) -> None:
    made = uuid.UUID(uuid7(instant))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert str(made) == str(made).lower()
    assert made.int >> 80 == instant // 1000, "the first 48 bits are milliseconds (RFC 9562)"


@given(microseconds, microseconds)
def test_ids_sort_like_the_instants_of_their_making(a: int, b: int) -> None:
    # Twelve bits hold the microseconds of a millisecond, each in a place of its own.
    if a < b:
        assert uuid7(a) < uuid7(b)


def test_ids_of_one_instant_differ() -> None:
    assert len({uuid7(1_000_000) for _ in range(10_000)}) == 10_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_does_not_make_the_ids_of_its_parent() -> None:
    uuid7(1)  # so that there are random bits in store
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, uuid7(1).encode())
        os._exit(0)
    os.waitpid(child, 0)
    with open(write, "w", encoding="ascii"), open(read, encoding="ascii") as of_child:
        assert of_child.read(36) != uuid7(1)


def test_version_ids_look_as_the_platform_makes_them() -> None:
    assert re.fullmatch(r"ver_[0-9a-z]{12}", version_id())
    assert version_id() != version_id()


@given(st.text(min_size=1, max_size=512), st.integers(min_value=0, max_value=10**6))
def test_reserved_keys_fit_into_a_state_and_say_that_they_are_reserved(
    name: str, number: int
) -> None:
    for key in (event_state_key(name, number), spawn_key(name), child_outcome_key("run_1")):
        assert key.startswith(STATE_PREFIX)
        assert len(key) <= 256


def test_waits_for_one_key_are_kept_apart() -> None:
    assert len({event_state_key("paid", n) for n in range(100)}) == 100
    assert event_state_key("a", 0) != event_state_key("b", 0)
