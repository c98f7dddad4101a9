"""Placeholders in payloads and event keys."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strait import templating
from strait.templating import TemplateError, render, render_key

PAYLOAD = {
    "id": 7,
    "big": 1e21,
    "half": 0.5,
    "whole": 2.0,
    "ok": True,
    "none": None,
    "text": "hi",
    "o": {"k": [10, 20], "n": {"1": "one"}},
}


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("{{id}}", 7),
        ("{{o}}", PAYLOAD["o"]),
        ("{{o.k}}", [10, 20]),
        ("{{none}}", None),
        ("{{ok}}", True),
        ("{{o.n.1}}", "one"),
        ("n={{id}}", "n=7"),
        ("{{id}}{{id}}", "77"),
        ("n={{big}}", "n=1000000000000000000000"),
        ("n={{whole}}", "n=2"),
        ("n={{half}}", "n=0.5"),
        ("n={{ok}}", "n=true"),
        ("n={{none}}", "n="),
        ("n={{o.k}}", "n=[10,20]"),
        ("n={{o.n}}", 'n={"1":"one"}'),
        ("{{missing}}", "{{missing}}"),
        ("n={{o.missing}}", "n={{o.missing}}"),
        ("{{ id }}", "{{ id }}"),
        ("{{o.k.0}}", "{{o.k.0}}"),
        ("{{payload.id}}", "{{payload.id}}"),
        ("{{a-b}}", "{{a-b}}"),
        ("{{1}}", "{{1}}"),
        ("{{{id}}}", "{7}"),
        ("{{id}}\n", "7\n"),
    ],
)
def test_a_placeholder_becomes_what_the_trigger_payload_says(template, rendered):
    assert render({"v": template}, PAYLOAD) == {"v": rendered}


def test_values_are_rendered_at_any_depth_and_keys_never():
    assert render({"{{id}}": [{"x": ["{{text}}"]}]}, PAYLOAD) == {"{{id}}": [{"x": ["hi"]}]}


@pytest.mark.parametrize("trigger", [None, 1, "x", [{"id": 1}]])
def test_nothing_is_rendered_from_a_payload_that_is_no_object(trigger):
    assert render({"v": "{{id}}"}, trigger) == {"v": "{{id}}"}
    assert render_key("k:{{id}}", trigger) == "k:{{id}}"


@pytest.mark.parametrize(
    ("key", "rendered"),
    [
        ("order:{{id}}", "order:7"),
        ("{{o.k.1}}", "20"),
        ("{{none}}", ""),
        ("{{o.k}}", "[10,20]"),
        ("{{o.k.2}}", "{{o.k.2}}"),
        ("{{missing}}:{{text}}", "{{missing}}:hi"),
    ],
)
def test_event_keys_may_name_items_of_lists(key, rendered):
    assert render_key(key, PAYLOAD) == rendered


@pytest.mark.parametrize("template", ["{{x}}" * 10, ["{{x}}"] * 10])
def test_a_short_template_cannot_expand_without_bound(template):
    with pytest.raises(TemplateError, match="expands to more than"):
        render({"v": template}, {"x": "y" * 1_000_000})


def test_a_large_value_may_be_named_once_by_type_and_once_in_text():
    text = "y" * 1_000_000
    assert render(["{{x}}", "-{{x}}"], {"x": text}) == [text, "-" + text]


def test_a_template_nested_too_deep_is_refused():
    value: object = "{{id}}"
    for _ in range(300):
        value = [value]
    with pytest.raises(TemplateError, match="nested deeper"):
        render(value, PAYLOAD)


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=8)


@given(st.dictionaries(names, scalars, min_size=1))
def test_a_lone_placeholder_keeps_the_type(payload):
    for name, value in payload.items():
        rendered = render("{{" + name + "}}", payload)
        assert rendered == value
        assert type(rendered) is type(value)


@given(st.text(alphabet="{}ab._ 0", max_size=30))
def test_text_without_known_names_is_left_as_it_is(text):
    assert render(text, {"zzz": 1}) == text
    assert render_key(text, {"zzz": 1}) == text


def test_the_examples_of_the_module_run():
    result = doctest.testmod(templating)
    assert result.attempted > 0
    assert result.failed == 0
