"""Workflows as Mermaid text and as a picture in notebooks."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from strait.authoring import (
    WorkflowOptions,
    approval_step,
    define_workflow,
    job_step,
    sleep_step,
    sub_workflow_step,
    wait_for_event_step,
)

SVG = "{http://www.w3.org/2000/svg}"


def flow(*steps):
    return define_workflow(WorkflowOptions(name="W", slug="w", steps=list(steps)))


def order():
    return flow(
        job_step("check", "check-job"),
        approval_step("ok", depends_on=["check"]),
        sleep_step("rest", 3 * 86_400, depends_on=["check"]),
        wait_for_event_step("paid", "paid.{{id}}", depends_on=["ok"]),
        sub_workflow_step(
            "ship",
            "shipping",
            depends_on=["paid", "rest"],
            condition={"type": "step_status", "step_ref": "paid", "status": "completed"},
        ),
    )


def boxes(svg):
    """Return (left, top, right, bottom) of each step by name."""
    found = {}
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        rect, name = group.find(f"{SVG}rect"), group.find(f"{SVG}text").text
        x, y, w, h = (float(rect.get(key)) for key in ("x", "y", "width", "height"))
        found[name] = (x, y, x + w, y + h)
    return found


def test_mermaid_shows_steps_by_their_type_and_conditions_as_dotted_arrows():
    assert order().to_mermaid() == (
        "flowchart TD\n"
        '    s0["check<br/>job check-job"]\n'
        '    s1{{"ok<br/>approval"}}\n'
        '    s2("rest<br/>sleep 3 d")\n'
        '    s3(["paid<br/>event paid.#123;#123;id#125;#125;"])\n'
        '    s4[["ship<br/>workflow shipping"]]\n'
        "    s0 --> s1\n"
        "    s0 --> s2\n"
        "    s1 --> s3\n"
        "    s3 -.-> s4\n"
        "    s2 -.-> s4\n"
    )


def test_names_mean_nothing_to_mermaid_or_to_the_picture():
    nasty = 'end"]; click x "<script>&'
    drawn = flow(sleep_step(nasty, 1))
    assert drawn.to_mermaid().count('"') == 2
    assert "<script" not in drawn.to_mermaid() + drawn.to_svg()
    assert list(boxes(drawn.to_svg())) == [nasty]


def test_a_step_stands_below_all_that_it_depends_on():
    drawn = order()
    places = boxes(drawn.to_svg())
    for step in drawn.steps:
        for dep in step.base_options().depends_on:
            assert places[dep][3] < places[step.step_ref()][1]
    edges = ET.fromstring(drawn.to_svg()).findall(f"{SVG}path")
    assert len(edges) == 5
    assert [bool(edge.get("stroke-dasharray")) for edge in edges].count(True) == 2


def test_notebooks_show_the_picture_and_terminals_the_name():
    bundle = order()._repr_mimebundle_()
    assert bundle["text/plain"] == "<workflow 'w'>"
    assert bundle["image/svg+xml"].startswith("<svg ")


def test_a_workflow_without_steps_has_a_picture_too():
    assert ET.fromstring(flow().to_svg()).tag == f"{SVG}svg"
    assert flow().to_mermaid() == "flowchart TD\n"


@given(st.data())
def test_boxes_never_overlap_and_stay_inside_the_picture(data):
    count = data.draw(st.integers(1, 12))
    steps = []
    for number in range(count):
        earlier = [f"step-{n}" for n in range(number)]
        deps = data.draw(st.lists(st.sampled_from(earlier), unique=True)) if earlier else []
        steps.append(sleep_step(f"step-{number}", number + 1, depends_on=deps))
    svg = flow(*steps).to_svg()
    width, height = map(float, re.search(r'width="(\d+)" height="(\d+)"', svg).groups())
    places = list(boxes(svg).values())
    assert len(places) == count
    for i, (left, top, right, bottom) in enumerate(places):
        assert left >= 0 and top >= 0 and right <= width and bottom <= height  # noqa: PT018 - one box
        for other_left, other_top, other_right, other_bottom in places[i + 1 :]:
            apart = right <= other_left or other_right <= left
            assert apart or bottom <= other_top or other_bottom <= top
