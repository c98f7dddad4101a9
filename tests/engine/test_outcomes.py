"""Which error class an answer belongs to (`contract/runs.md` §4.3)."""

from __future__ import annotations

import pytest

from strait.engine.outcomes import class_of_message, class_of_status


@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        (301, "unknown"),
        (400, "client"),
        (401, "auth"),
        (403, "auth"),
        (404, "client"),
        (408, "client"),
        (429, "rate_limited"),
        (500, "server"),
        (503, "server"),
        (599, "server"),
    ],
)
def test_the_status_tells_the_class(status: int, error_class: str) -> None:
    assert class_of_status(status) == error_class


@pytest.mark.parametrize(
    ("text", "error_class"),
    [
        ("Budget exceeded for run", "budget"),
        ("the cost limit was reached", "budget"),
        ("MemoryError: ", "oom"),
        ("killed: out of memory", "oom"),
        ("ValueError: no room", ""),
    ],
)
def test_some_texts_tell_the_class(text: str, error_class: str) -> None:
    assert class_of_message(text) == error_class
