"""The condition language: the contract's tables, and what must never happen."""

from __future__ import annotations

import doctest
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strait import conditions as conditions_module
from strait.conditions import MAX_CHARS, ConditionError, parse

STATUSES = {"a": "completed", "b": "failed"}


def holds(raw):
    return parse(raw if isinstance(raw, str) else json.dumps(raw)).evaluate(STATUSES)


@pytest.mark.parametrize(
    ("condition", "result"),
    [
        ({"type": "step_status", "step_ref": "a", "status": "completed"}, True),
        ({"type": "step_status", "step_ref": "a", "status": "failed"}, False),
        ({"type": "step_status", "step_ref": "a"}, False),
        ({"type": "step_status_in", "step_ref": "b", "statuses": ["failed", "skipped"]}, True),
        ({"type": "step_status_in", "step_ref": "b", "statuses": []}, False),
        ({"type": "step_status_in", "step_ref": "b"}, False),
        ({"type": "not", "condition": {"type": "any_of"}}, True),
        ({"type": "all_of"}, True),
        ({"type": "all_of", "conditions": []}, True),
        ({"type": "any_of"}, False),
        ({"type": "any_of", "conditions": None}, False),
        ({"type": "eq", "left": {"step_ref": "a"}, "right": "completed"}, True),
        ({"type": "ne", "left": {"step_ref": "a"}, "right": {"value": "completed"}}, False),
        ({"type": "eq", "left": {"step_ref": "unknown"}, "right": ""}, True),
        ({"type": "eq", "left": {"value": None}, "right": ""}, True),
        ({"type": "eq", "left": None, "right": ""}, True),
        ({"type": "eq", "left": 1, "right": "1"}, True),
        ({"type": "eq", "left": True, "right": "true"}, True),
        ({"type": "eq", "right": "<nil>"}, True),
        ({"type": "eq", "left": {"x": 1}, "right": "map[x:1]"}, True),
        ({"type": "contains", "left": "abc", "right": "bc"}, True),
        ({"type": "contains", "left": ["a", "b"], "right": "a b"}, True),
        ({"type": "contains", "left": ["a", None, 1.5], "right": "<nil> 1.5"}, True),
        ({"type": "in", "left": "b", "right": ["a", "b"]}, True),
        ({"type": "in", "left": 1, "right": ["1"]}, True),
        ({"type": "in", "left": "z", "right": ["a", "b"]}, False),
        ({"type": "in", "left": {"step_ref": "b"}, "right": ["failed"]}, True),
        ({"type": "gt", "left": 2, "right": 1}, True),
        ({"type": "gte", "left": 1, "right": 1.0}, True),
        ({"type": "lt", "left": 2, "right": 1}, False),
        ({"type": "lte", "left": 1, "right": {"value": 1}}, True),
        ({"type": "regex", "left": "abc", "right": "^a.c$"}, True),
        ({"type": "regex", "left": "xabcx", "right": "b"}, True),
        ({"type": "regex", "left": "abc", "right": "^z+$"}, False),
        ({"type": "exists", "operand": "x"}, True),
        ({"type": "exists", "operand": ""}, False),
        ({"type": "exists", "operand": None}, True),
        ({"type": "exists"}, True),
        ({"type": "exists", "operand": {"step_ref": "a"}}, True),
        ({"type": "exists", "operand": {"step_ref": "unknown"}}, False),
    ],
)
def test_a_condition_gives_what_the_contract_says(condition, result):
    assert holds(condition) is result


def test_numbers_are_compared_as_they_are_written():
    assert holds('{"type":"eq","left":1,"right":1.0}') is False
    assert holds('{"type":"eq","left":1.50,"right":"1.50"}') is True
    assert holds('{"type":"eq","left":1e3,"right":1000}') is False
    assert holds('{"type":"gte","left":1e3,"right":1000}') is True


def test_beside_an_array_numbers_are_printed_like_floats():
    assert holds('{"type":"contains","left":[1.0],"right":1.00}') is True
    assert holds('{"type":"in","left":100000000000000000000,"right":[1e20]}') is True
    assert holds('{"type":"in","left":"1e+21","right":[1000000000000000000000]}') is True


def test_decoded_json_is_as_good_as_text():
    condition = {"type": "eq", "left": 1, "right": 1.0}
    assert parse(condition).evaluate({}) is False
    assert parse(json.dumps(condition).encode()).evaluate({}) is False


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"type": "nope"}, 'unknown condition type: "nope"'),
        ({}, 'unknown condition type: ""'),
        (None, 'unknown condition type: ""'),
        ([], 'unknown condition type: ""'),
        ({"type": 1}, 'unknown condition type: "1"'),
        ({"type": "step_status", "step_ref": "zz"}, 'step "zz" not found in statuses'),
        ({"type": "step_status_in", "step_ref": "zz"}, 'step "zz" not found in statuses'),
        ({"type": "step_status"}, "step_ref is required for step_status condition"),
        ({"type": "step_status_in"}, "step_ref is required for step_status_in condition"),
        (
            {"type": "step_status_in", "step_ref": "a", "statuses": "failed"},
            "statuses must be an array for step_status_in condition",
        ),
        ({"type": "not"}, "condition is required for not condition"),
        (
            {"type": "all_of", "conditions": 1},
            "conditions must be an array for all_of condition",
        ),
        (
            {"type": "gt", "left": "2", "right": 1},
            "numeric comparison requires numeric left/right",
        ),
        ({"type": "lt", "left": 2}, "numeric comparison requires numeric left/right"),
        (
            {"type": "gt", "left": True, "right": 0},
            "numeric comparison requires numeric left/right",
        ),
        ({"type": "in", "left": "x", "right": "x"}, "in requires right operand array"),
        (
            {"type": "regex", "left": "x", "right": "x" * 1001},
            "regex pattern exceeds maximum length of 1000 characters",
        ),
        (
            {"type": "regex", "left": "x" * 10001, "right": "x"},
            "regex input exceeds maximum length of 10000 characters",
        ),
    ],
)
def test_an_unusable_condition_says_why(condition, message):
    with pytest.raises(ConditionError) as caught:
        holds(condition)
    assert str(caught.value) == message


def test_a_bad_pattern_says_what_is_wrong_with_it():
    with pytest.raises(ConditionError, match=r"^invalid regex: unclosed group$"):
        holds({"type": "regex", "left": "x", "right": "("})
    with pytest.raises(ConditionError, match=r"^invalid regex: Compiled regex exceeds size limit"):
        holds({"type": "regex", "left": "x", "right": "((a{1000}){1000}){1000}"})


def test_what_is_not_needed_cannot_fail():
    bad = {"type": "nope"}
    yes = {"type": "all_of"}
    assert holds({"type": "any_of", "conditions": [yes, bad]}) is True
    assert holds({"type": "all_of", "conditions": [{"type": "any_of"}, bad]}) is False
    with pytest.raises(ConditionError):
        holds({"type": "all_of", "conditions": [yes, bad]})


def test_a_pattern_that_backtracks_for_ever_elsewhere_ends_at_once():
    started = time.perf_counter()
    assert holds({"type": "regex", "left": "a" * 9_999 + "!", "right": "^(a+)+$"}) is False
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("{", "condition is not JSON"),
        ('{"type":"eq","left":NaN}', "`NaN` is not a JSON value"),
        ("[" * 100_000, "exceeds maximum length|maximum depth"),
        ("[" * 60_000, "maximum depth|not JSON"),
        ("[" * 100 + "]" * 100, "maximum depth"),
        (" " * (MAX_CHARS + 1), "exceeds maximum length of 65536 characters"),
        ({"type": "eq", "left": {1, 2}}, "condition is not JSON"),
    ],
)
def test_what_is_no_bounded_json_is_refused(raw, message):
    with pytest.raises(ConditionError, match=message):
        parse(raw)


def test_nesting_is_refused_by_depth_and_not_by_the_stack():
    nested: object = {"type": "all_of"}
    for _ in range(31):
        nested = {"type": "not", "condition": nested}
    assert holds(nested) is False
    for _ in range(40):
        nested = {"type": "not", "condition": nested}
    with pytest.raises(ConditionError, match="maximum depth of 64"):
        holds(nested)


# ------------------------------------------------------------------------------------ properties

scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=6)
operands = st.recursive(
    scalars | st.builds(lambda r: {"step_ref": r}, st.sampled_from(["a", "b", "zz"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
types = st.sampled_from(
    ["eq", "ne", "gt", "gte", "lt", "lte", "contains", "in", "regex", "exists", "step_status", "x"]
)
leaves = st.fixed_dictionaries(
    {"type": types},
    optional={
        "left": operands,
        "right": operands,
        "operand": operands,
        "step_ref": st.sampled_from(["a", "b", "zz", ""]),
        "status": scalars,
    },
)
conditions = st.recursive(
    leaves,
    lambda inner: (
        st.builds(lambda c: {"type": "not", "condition": c}, inner)
        | st.builds(
            lambda t, cs: {"type": t, "conditions": cs},
            st.sampled_from(["all_of", "any_of"]),
            st.lists(inner, max_size=3),
        )
    ),
    max_leaves=8,
)


@given(conditions)
def test_every_condition_gives_an_answer_or_a_condition_error(condition):
    try:
        result = holds(condition)
    except ConditionError:
        result = None
    assert result in (True, False, None)


@given(operands, operands)
def test_ne_is_the_opposite_of_eq_and_eq_is_symmetric(left, right):
    equal = holds({"type": "eq", "left": left, "right": right})
    assert holds({"type": "ne", "left": left, "right": right}) is not equal
    assert holds({"type": "eq", "left": right, "right": left}) is equal


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_refused(text):
    try:
        condition = parse(text)
    except ConditionError:
        condition = None
    assert condition is None or condition is parse(text)


def test_the_examples_of_the_module_run():
    result = doctest.testmod(conditions_module)
    assert result.attempted > 0
    assert result.failed == 0
