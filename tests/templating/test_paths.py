"""Paths into outputs: what the platform's `output_transform` finds."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strait.templating import TransformError, transform

OUTPUT = {
    "a": {"b": [1, 2, {"c": 3}]},
    "items": [{"n": 1}, {"n": 2}, {"other": 0}],
    "b": None,
    "dotted.name": 4,
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b.2.c", 3),
        ("items.#.n", [1, 2]),
        ("items.#", 3),
        ("{a,x:b}", {"a": OUTPUT["a"], "x": None}),
        # the later of two equal names counts, as in JSON
        ("{n:a.b.0,items.1.n}", {"n": 2}),
        ("[a.b.0,a.b.1]", [1, 2]),
        ("[a.b.0,nowhere]", [1]),
        ("@this", OUTPUT),
        ("@this.a.b.0", 1),
        ("a.@this.b.1", 2),
        ("b", None),
        ("dotted\\.name", 4),
        ("a.b.{first:0}", {"first": 1}),
        ("items.#.{n}", [{"n": 1}, {"n": 2}, {}]),
        ('{"quoted":a.b.0}', {"quoted": 1}),
        ("{a.b}.b.0", 1),
    ],
)
def test_a_path_finds_what_the_platform_finds(path, found):
    assert transform(path, OUTPUT) == found


@pytest.mark.parametrize(
    "path",
    [
        "",
        "p",
        "a.",
        ".a",
        "a..b",
        "a.b.9",
        "a.b.-1",
        "a.b." + "9" * 200,
        "items.#(n==1)",
        "items.#.",
        "a*",
        "@reverse",
        "a|b",
        "{a",
        "{a]",
        "{a}b",
        "{a}.",
        "x" * 2000,
        "a." * 300 + "a",
    ],
)
def test_a_path_that_finds_nothing_says_which_one(path):
    with pytest.raises(TransformError) as caught:
        transform(path, OUTPUT)
    assert str(caught.value) == f'output transform: path "{path}" not found in output'


def test_a_path_that_multiplies_its_input_is_refused_in_time():
    path = "[@this,@this]" + ".#.[@this,@this]" * 40
    started = time.perf_counter()
    with pytest.raises(TransformError):
        transform(path, OUTPUT)
    assert time.perf_counter() - started < 10


def test_copies_of_a_large_output_are_refused():
    big = {"text": "x" * 1_000_000}
    with pytest.raises(TransformError):
        transform("[" + ",".join(["@this"] * 10) + "]", big)
    assert transform("[@this,@this]", big) == [big, big]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=10,
)


@given(st.text(alphabet='ab.#@this{}[],:\\"0123*?()', max_size=30), json_values)
def test_any_text_is_a_path_or_is_not_found(path, value):
    try:
        found = transform(path, value)
    except TransformError:
        found = None
    assert found is None or isinstance(found, bool | int | str | list | dict)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), json_values, min_size=1))
def test_every_member_is_found_by_its_name(value):
    for name, member in value.items():
        assert transform(name, value) == member
