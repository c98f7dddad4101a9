"""Pages follow cursors, one request at a time, and never for ever."""

from __future__ import annotations

from typing import Any

import pytest

from strait import DecodeError, PaginationError, ValidationError

from .conftest import JOB, Harness, Platform


def page(*ids: str, cursor: str | None = None, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"data": [{**JOB, "id": i} for i in ids], "has_more": bool(cursor)}
    return {**body, **({"next_cursor": cursor} if cursor else {}), **more}


def test_iteration_goes_through_every_page(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, page("a", "b", cursor="1"))
    platform.answers_with(200, page(cursor="2"))
    platform.answers_with(200, page("c"))
    client = either.client()
    jobs = either.items(lambda: client.jobs.list(limit=2, slug="s"))
    assert [job.id for job in jobs] == ["a", "b", "c"]
    assert [dict(request.url.params) for request in platform.requests] == [
        {"slug": "s", "limit": "2"},
        {"slug": "s", "limit": "2", "cursor": "1"},
        {"slug": "s", "limit": "2", "cursor": "2"},
    ]


def test_one_page_is_one_request(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, page("a", "b", cursor="1", note="kept"))
    client = either.client()
    found = either.run(client.jobs.list)
    assert [job.id for job in found.data] == [job["id"] for job in found["data"]] == ["a", "b"]
    assert found["next_cursor"] == found.next_cursor == "1"
    assert found.has_more
    assert found["has_more"] is True
    assert found["note"] == found.get("note") == "kept"
    assert found.get("nothing", 5) == 5
    assert "data" in found
    assert len(found) == 2
    assert found.to_dict() == page("a", "b", cursor="1", note="kept")
    assert repr(found).endswith("of 2 items, and more>")
    assert len(platform.requests) == 1


def test_pages_can_be_walked(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, page("a", cursor="1"))
    platform.answers_with(200, page("b"))
    client = either.client()
    first = either.run(client.jobs.list)
    second = either.run(first.next_page)
    assert second is not None
    assert [job.id for job in second.data] == ["b"]
    assert either.run(second.next_page) is None


def test_a_cursor_that_comes_twice_is_an_error(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, page("a", cursor="1"))
    client = either.client()
    with pytest.raises(PaginationError, match="'1'"):
        either.items(client.jobs.list)
    assert len(platform.requests) == 2


def test_no_data_at_all_is_an_empty_page(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, {"data": None, "has_more": False})
    client = either.client()
    found = either.run(lambda: client.jobs.list_dependencies("job_1"))
    assert found.data == []
    assert not found


def test_offsets_are_followed_where_there_is_no_cursor(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, {"data": [{"id": "a"}, {"id": "b"}], "offset": 0, "has_more": True})
    platform.answers_with(200, {"data": [{"id": "c"}], "offset": 2, "has_more": False})
    client = either.client()
    workers = either.items(lambda: client.workers.list(limit=2))
    assert [worker.id for worker in workers] == ["a", "b", "c"]
    assert dict(platform.last.url.params) == {"limit": "2", "offset": "2"}


def test_entries_are_found_where_another_envelope_has_them(
    either: Harness, platform: Platform
) -> None:
    platform.answers_with(200, {"entries": [{"id": "a"}], "next_cursor": "x"})
    platform.answers_with(200, {"entries": [{"id": "b"}]})
    client = either.client()
    found = either.items(client.audit_admin.list_deadletter)
    assert [entry.id for entry in found] == ["a", "b"]


@pytest.mark.parametrize(
    "envelope",
    [
        {"data": {}},
        {"data": "abc"},
        {"data": [], "next_cursor": {"at": 1}, "has_more": True},
        {"data": [], "next_cursor": True},
    ],
)
def test_an_envelope_that_gives_no_way_through_the_pages_is_a_decode_error(
    either: Harness, platform: Platform, envelope: dict[str, Any]
) -> None:
    platform.answers_with(200, envelope)
    client = either.client()
    with pytest.raises(DecodeError, match=r"`data`|`next_cursor`"):
        either.run(client.jobs.list)


def test_no_page_is_asked_for_beyond_what_is_taken(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, page("a", "b", cursor="1"))
    platform.answers_with(200, page("c", "d", cursor="2"))
    client = either.client()
    assert [job.id for job in either.items(lambda: client.jobs.list(limit=2).take(2))] == ["a", "b"]
    assert len(platform.requests) == 1
    assert [job.id for job in either.items(lambda: client.jobs.list(limit=2).take(0))] == []


def test_what_is_taken_may_span_pages_and_end_early(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, page("a", "b", cursor="1"))
    platform.answers_with(200, page("c"))
    client = either.client()
    assert [job.id for job in either.items(lambda: client.jobs.list(limit=2).take(9))] == [
        "a",
        "b",
        "c",
    ]


@pytest.mark.parametrize("count", [-1, 1.5, True])
def test_what_cannot_be_taken_is_refused_at_once(
    either: Harness, platform: Platform, count: Any
) -> None:
    platform.answers_with(200, page("a"))
    client = either.client()
    found = either.run(client.jobs.list)
    with pytest.raises(ValidationError, match="not negative"):
        found.take(count)
    with pytest.raises(ValidationError, match="not negative"):
        client.jobs.list().take(count)


def test_pages_can_be_begun_at_a_cursor(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, page("a", cursor="1"))
    client = either.client()
    first = either.run(client.jobs.list)
    platform.answers[:] = []
    platform.answers_with(200, page("x", cursor="8"))
    platform.answers_with(200, page("y"))
    found = either.items(lambda: first.by_page("7"))
    assert [[job.id for job in one.data] for one in found] == [["x"], ["y"]]
    assert [request.url.params.get("cursor") for request in platform.requests] == [None, "7", "8"]
    platform.answers[:] = []
    platform.answers_with(200, page("z"))
    (only,) = either.items(lambda: client.jobs.list().by_page())
    assert only[0].id == "z"
