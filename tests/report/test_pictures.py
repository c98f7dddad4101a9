"""Where things stand in the pictures of a run."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from strait.report.axis import Axis
from strait.report.gantt import gantt
from strait.report.graph import graph, left_out, nodes
from strait.report.spans import Span, duration, timeline

from .documents import at, document, step


def test_an_attempt_is_a_row_of_what_it_did_and_waited_for() -> None:
    lanes = timeline(document()).lanes
    told = {
        lane.label: [(span.kind, span.end - span.start) for span in lane.spans] for lane in lanes
    }
    assert told == {
        "attempt 1": [("queued", 1.0), ("executing", 1.0)],
        "attempt 2": [("queued", 2.0), ("executing", 1.0), ("waiting", 23.0), ("executing", 2.0)],
    }
    assert [span.status for span in lanes[0].spans] == ["queued", "failed"]


def test_what_still_runs_ends_with_the_export() -> None:
    running = document(run={"status": "executing", "finished_at": None})
    running["events"] = running["events"][:2]
    running["steps"] = [step("load", 2, 3, finished_at=None, status="running")]
    first, second = timeline(running).lanes
    assert (first.spans[-1].end - first.spans[-1].start, second.spans[0].kind) == (59.0, "step")
    assert second.spans[0].end == first.spans[-1].end


def test_rows_that_there_is_no_room_for_are_counted() -> None:
    many = document(steps=[step(f"s{number}", 1, 2) for number in range(100)])
    found = timeline(many)
    assert (len(found.lanes), found.left_out) == (60, 42)
    assert gantt(found).count('class="lane"') == 60


def test_a_long_wait_is_folded_and_order_is_kept() -> None:
    wait = Span(10, 300_000, "waiting", "waiting", "")
    axis = Axis(
        [
            Span(0, 10, "executing", "completed", ""),
            wait,
            Span(300_000, 300_010, "executing", "", ""),
        ]
    )
    places = [axis.place(instant) for instant in (0, 5, 10, 150_000, 300_000, 300_010)]
    assert places == sorted(places)
    assert places[0] == 0.0
    assert places[-1] == pytest.approx(1.0)
    assert places[2] == pytest.approx(1 / 3)
    assert [stretch.is_folded for stretch in axis.stretches if stretch.right > stretch.left] == [
        False,
        True,
        False,
    ]
    assert "3 d 11 h" in gantt(timeline(_with_wait()))


def _with_wait() -> dict[str, Any]:
    found = document()
    found["events"][5]["created_at"] = "2026-01-04T21:00:00Z"
    found["events"][6]["created_at"] = found["run"]["finished_at"] = "2026-01-04T21:00:02Z"
    return found


def test_everything_at_one_instant_is_drawn_too() -> None:
    still = document(steps=[step("now", 3, 3)], events=[], run={"finished_at": at(3)})
    assert 'class="bar step s-completed"' in gantt(timeline(still))


def test_a_run_without_times_has_no_timeline() -> None:
    assert gantt(timeline(document(events=[]))) == ""


def test_steps_stand_behind_those_that_had_ended() -> None:
    fork = [
        step("load", 0, 1),
        step("charge", 1, 3),
        step("reserve", 1, 4),
        step("mail", 4, 5),
    ]
    found = {node.label: [need[-2:] for need in node.needs] for node in nodes(document(steps=fork))}
    assert found == {
        "order": [],
        "load": [("run",)],
        "charge": [("load", "0")],
        "reserve": [("load", "0")],
        "mail": [("charge", "0"), ("reserve", "0")],
    }


def test_steps_of_one_instant_are_a_chain() -> None:
    found = nodes(document(steps=[step(name, 1, 1) for name in "abc"]))
    assert [node.needs[0][1:] for node in found[2:]] == [("a", "0"), ("b", "0")]


def test_boxes_do_not_overlap_and_all_lie_inside() -> None:
    many = [step(f"s{number}", number, number + 1.5) for number in range(23)]
    picture = graph(nodes(document(steps=many)))
    width, height = map(float, re.findall(r'viewBox="0 0 (\d+) (\d+)"', picture)[0])
    boxes = [
        (float(x), float(y))
        for x, y in re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="164"', picture)
    ]
    assert len(boxes) == 24
    assert all(x >= 0 and x + 164 <= width for x, _ in boxes)
    assert all(y >= 0 and y + 46 <= height for _, y in boxes)
    assert all(
        abs(a[0] - b[0]) >= 164 or abs(a[1] - b[1]) >= 46
        for a, b in itertools.combinations(boxes, 2)
    )


def test_a_workflow_shows_its_graph_with_the_states_of_its_steps() -> None:
    rows = [
        {"step_ref": "a", "status": "completed", "started_at": at(0), "finished_at": at(2)},
        {"step_ref": "b", "status": "failed", "started_at": at(2), "finished_at": at(3)},
    ]
    drawn = [
        {"step_ref": "a", "type": "job", "status": "completed"},
        {"step_ref": "b", "type": "approval", "status": "failed", "depends_on": ["a"]},
        {"step_ref": "c", "type": "job", "status": "pending", "depends_on": ["b", "gone"]},
    ]
    found = document(kind="workflow_run", steps=rows, graph={"nodes": drawn})
    boxes = nodes(found)
    assert [(box.label, box.kind, box.status) for box in boxes] == [
        ("a", "job", "completed"),
        ("b", "approval", "failed"),
        ("c", "job", "pending"),
    ]
    assert graph(boxes).count('class="link"') == 2


def test_a_circle_is_drawn_and_not_walked_for_ever() -> None:
    drawn = [{"step_ref": name, "depends_on": [other]} for name, other in (("a", "b"), ("b", "a"))]
    found = document(kind="workflow_run", graph={"nodes": drawn})
    assert graph(nodes(found)).count('class="box"') == 2


def test_ten_thousand_steps_are_counted_and_not_all_drawn() -> None:
    many = document(steps=[step(f"s{number}", 1, 1) for number in range(10_000)])
    assert graph(nodes(many)).count('class="box"') == 80
    assert left_out(many) == 9_921


@pytest.mark.parametrize(
    ("secs", "said"),
    [
        (None, "\N{EN DASH}"),
        (0, "0 ms"),
        (0.00001, "<1 ms"),
        (0.0421, "42 ms"),
        (3, "3 s"),
        (3.456, "3.46 s"),
        (75, "1 min 15 s"),
        (7_260, "2 h 1 min"),
        (270_000, "3 d 3 h"),
    ],
)
def test_durations_are_told_as_people_do(secs: float | None, said: str) -> None:
    assert duration(secs) == said
