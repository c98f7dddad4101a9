"""Which reads make a document; lists without an end, and parts that a platform has not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strait.report import Ask, gather

RUN = {"id": "r", "job_id": "j", "status": "completed"}
NOW = "2026-01-01T00:00:00Z"


def gathered(answers: Mapping[str, Any], kind: Any = "run") -> tuple[dict[str, Any], list[Ask]]:
    """Drive the reads; `answers` has what each operation answers, page by page in a list."""
    pages = {name: iter(found) for name, found in answers.items() if isinstance(found, tuple)}
    asked: list[Ask] = []
    flow = gather(kind, "r", NOW)
    answer: Any = None
    while True:
        try:
            ask = flow.send(answer)
        except StopIteration as end:
            return end.value, asked
        asked.append(ask)
        in_pages = pages.get(ask.operation)
        answer = answers.get(ask.operation) if in_pages is None else next(in_pages)


def test_what_a_platform_has_not_is_missing_and_the_rest_is_there() -> None:
    found, _ = gathered({"get-run": RUN, "list-run-events": [{"message": "m"}]})
    assert found["missing"] == [
        "children", "checkpoints", "outputs", "usage", "tool_calls", "state",
    ]  # fmt: skip
    assert (found["events"], found["job"]) == ([{"message": "m"}], {"id": "j"})


def test_pages_are_followed_to_their_end_and_put_oldest_first() -> None:
    rows = [
        {"message": str(number), "created_at": f"2026-01-01T00:00:{number:02d}Z"}
        for number in range(9)
    ]
    pages = (
        {"data": rows[:4:-1], "next_cursor": "older"},
        {"data": rows[4::-1], "has_more": False},
    )
    found, asked = gathered({"get-run": RUN, "list-run-events": pages})
    assert [row["message"] for row in found["events"]] == list("012345678")
    events = [ask.query for ask in asked if ask.operation == "list-run-events"]
    assert events == [{"limit": 100}, {"limit": 100, "cursor": "older"}]


def test_a_list_without_an_end_is_cut_and_that_is_said() -> None:
    page = {"data": [{"output_key": "k"}] * 100, "next_cursor": "more"}
    found, _ = gathered({"get-run": RUN, "list-run-outputs": (page,) * 9})
    assert (len(found["outputs"]), found["truncated"]) == (500, {"outputs": 500})


def test_where_steps_cannot_be_listed_they_come_from_the_state_of_the_run() -> None:
    def row(key: str, **value: Any) -> dict[str, Any]:
        return {"state_key": key, "value": value}

    state = [
        row("strait.step.0.b", name="charge", finished_at="2026-01-01T00:00:02Z", undo=True),
        row("strait.step.0.a", name="load", finished_at="2026-01-01T00:00:01Z"),
        row("strait.step.0.c", name="undo:charge", finished_at="2026-01-01T00:00:03Z"),
        row("own", n=1),
    ]
    found, _ = gathered({"get-run": RUN, "list-run-state": state})
    assert [(step["name"], step["undone"]) for step in found["steps"]] == [
        ("load", False),
        ("charge", True),
        ("undo:charge", False),
    ]
    assert found["state"] == [{"key": "own", "value": {"n": 1}}]
    assert "steps" not in found["missing"]


def test_steps_that_are_listed_are_taken_as_they_are() -> None:
    listed = {"data": [{"name": "load", "undone": False}], "has_more": False}
    found, _ = gathered({"get-run": RUN, "list-run-steps": listed})
    assert found["steps"] == [{"name": "load", "undone": False}]


def test_of_a_workflow_with_very_many_steps_the_first_are_told_with_their_logs() -> None:
    steps = [{"step_ref": f"s{number}", "job_run_id": f"r{number}"} for number in range(70)]
    found, asked = gathered(
        {
            "get-workflow-run": {"id": "r", "workflow_id": "w", "status": "running"},
            "list-workflow-step-runs": {"data": steps},
            "list-run-events": {"data": [{"message": "m"}]},
        },
        "workflow_run",
    )
    assert len(found["events"]) == 60
    assert found["truncated"] == {"runs of steps": 60}
    assert sum(ask.operation == "list-run-usage" for ask in asked) == 1
    assert found["missing"] == ["usage", "tool_calls"]
