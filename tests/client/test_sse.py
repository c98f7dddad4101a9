"""The parser of server-sent events follows the standard, however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strait.client.sse import EventParser, ServerEvent
from strait.errors import StreamError


def parsed(data: bytes) -> list[tuple[str, str, str]]:
    return [(e.event, e.data, e.id) for e in EventParser().feed(data)]


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"data: a\n\n", [("message", "a", "")]),
        (b"data: line1\ndata: line2\n\n", [("message", "line1\nline2", "")]),
        (b"data:a\r\n\r\ndata:b\r\rdata:c\n\n", [("message", x, "") for x in "abc"]),
        (b"event: log\nid: 7\ndata: x\n\ndata: y\n\n", [("log", "x", "7"), ("message", "y", "7")]),
        (b"id: 1\n\ndata: a\n\n", [("message", "a", "1")]),
        (b"id: a\0b\ndata: a\n\n", [("message", "a", "")]),
        (b": keepalive\n\n:\n\n", []),
        (b"event: x\n\ndata: a\n\n", [("message", "a", "")]),
        (b"data\n\n", [("message", "", "")]),
        (b"data:  two\nunknown: z\nretry: x\n\n", [("message", " two", "")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("message", "a", "")]),
        ("data: a\u0085b\u2028c\n\n".encode(), [("message", "a\u0085b\u2028c", "")]),
        (b"data: unfinished\n", []),
    ],
)
def test_each_form_of_the_standard_is_read(data: bytes, events: list[tuple[str, str, str]]) -> None:
    assert parsed(data) == events


def test_the_server_says_how_long_to_wait() -> None:
    parser = EventParser()
    parser.feed(b"retry: 1500\n\n")
    assert parser.retry_secs == 1.5


LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=9)


@given(
    st.lists(st.tuples(st.lists(LINE, min_size=1, max_size=3), LINE), max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(1, 7), max_size=60),
)
def test_events_do_not_depend_on_how_their_bytes_are_cut(
    events: list[tuple[list[str], str]], end: str, cuts: list[int]
) -> None:
    text = "".join(
        f"id: {event_id}{end}" + "".join(f"data: {line}{end}" for line in lines) + end
        for lines, event_id in events
    )
    rest = text.encode()
    parser = EventParser()
    found: list[ServerEvent] = []
    for cut in cuts:
        found += parser.feed(rest[:cut])
        rest = rest[cut:]
    found += parser.feed(rest)
    assert [(event.data, event.id) for event in found] == [
        ("\n".join(lines), event_id) for lines, event_id in events
    ]


def test_an_event_without_end_does_not_fill_the_memory() -> None:
    parser = EventParser(max_chars=100)
    for _ in range(10):
        parser.feed(b"data: 0123456789\n")
    with pytest.raises(StreamError, match="larger"):
        parser.feed(b"data: 0")
