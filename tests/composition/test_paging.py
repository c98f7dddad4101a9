"""`paginate` and `paginate_async`: all items of all pages, of any form."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strait import PaginationError
from strait.composition import (
    PaginatedQuery,
    PaginatedResponse,
    collect_all,
    collect_all_async,
    paginate,
    paginate_async,
)
from strait.errors import ValidationError

from .conftest import AWAITABLES, Platform, Script


@pytest.fixture(params=["sync", "async"])
def pages(request: pytest.FixtureRequest) -> Any:
    """Return `paginate` or its twin, collected into a list."""
    if request.param == "sync":
        return lambda fn, **options: collect_all(paginate(fn, **options))
    return lambda fn, **options: asyncio.run(collect_all_async(paginate_async(fn, **options)))


def test_dict_pages_are_followed_by_their_cursor(pages: Any) -> None:
    fetch = Script(
        {"data": [1, 2], "next_cursor": "b", "has_more": True},
        {"data": [3], "next_cursor": None, "has_more": False},
    )
    assert pages(fetch) == [1, 2, 3]
    assert fetch.calls == [(PaginatedQuery(),), (PaginatedQuery(cursor="b"),)]


def test_paginated_responses_are_followed_by_their_cursor(pages: Any) -> None:
    fetch = Script(PaginatedResponse(data=[1], next_cursor="b"), PaginatedResponse(items=[2]))
    assert pages(fetch) == [1, 2]


@pytest.mark.parametrize("page", [[1, 2], {"items": [1, 2]}, {"data": None, "items": [1, 2]}])
def test_a_page_may_be_a_list_or_call_its_items_so(pages: Any, page: Any) -> None:
    assert pages(Script(page)) == [1, 2]


def test_an_empty_page_ends_nothing_while_there_is_more(pages: Any) -> None:
    fetch = Script(
        {"data": [1], "next_cursor": "b", "has_more": True},
        {"data": [], "next_cursor": "c", "has_more": True},
        {"data": None, "next_cursor": "d"},
        {"data": [2], "next_cursor": "", "has_more": False},
    )
    assert pages(fetch) == [1, 2]


def test_a_page_that_says_it_is_the_last_is(pages: Any) -> None:
    fetch = Script({"data": [1], "next_cursor": "b", "has_more": False})
    assert pages(fetch) == [1]


def test_a_cursor_that_comes_twice_is_an_error_after_its_items() -> None:
    found = []
    fetch = Script({"data": [1], "next_cursor": "a"}, {"data": [2], "next_cursor": "a"})
    walk = paginate(fetch)
    with pytest.raises(PaginationError, match="the cursor 'a' twice"):
        found.extend(next(walk) for _ in range(9))
    assert len(fetch.calls) == 2


def test_more_without_a_place_is_an_error_after_the_items(pages: Any) -> None:
    found: list[int] = []
    walk = paginate(Script({"data": [1], "has_more": True}))
    found.append(next(walk))
    with pytest.raises(PaginationError, match="gives no `next_cursor`"):
        next(walk)
    assert found == [1]
    with pytest.raises(PaginationError):
        pages(Script(PaginatedResponse(data=[1], has_more=True)))


def test_no_page_is_asked_for_before_it_is_wanted() -> None:
    fetch = Script({"data": [1, 2], "next_cursor": "b"}, {"data": [3]})
    walk = paginate(fetch)
    assert fetch.calls == []
    assert [next(walk), next(walk)] == [1, 2]
    assert len(fetch.calls) == 1


def test_the_limit_is_passed_on(pages: Any) -> None:
    fetch = Script({"data": [1], "next_cursor": "b"}, {"data": [2]})
    pages(fetch, limit=50)
    assert [query.limit for (query,) in fetch.calls] == [50, 50]


def test_a_negative_limit_is_refused_at_once() -> None:
    with pytest.raises(ValidationError, match="`limit` must be 0 or more"):
        paginate(Script([]), limit=-1)
    with pytest.raises(ValidationError, match="`limit` must be 0 or more"):
        paginate_async(Script([]), limit=-1)


@pytest.mark.parametrize("answer", [None, 5, {"id": "run_1"}])
def test_what_is_no_page_is_refused(pages: Any, answer: Any) -> None:
    with pytest.raises(ValidationError, match="must return a page"):
        pages(Script(answer))


@pytest.mark.parametrize("awaitable", AWAITABLES)
async def test_a_page_may_be_anything_that_can_be_awaited(awaitable: Any) -> None:
    fetch = Script({"data": [1], "next_cursor": "b"}, [2])
    walk = paginate_async(lambda query: awaitable(lambda: fetch(query)))
    assert await collect_all_async(walk) == [1, 2]


def test_an_asynchronous_list_is_refused_where_nothing_awaits_it() -> None:
    async def fetch(query: PaginatedQuery) -> list[int]:
        return [1]

    with pytest.raises(ValidationError, match="use `paginate_async`"):
        next(paginate(fetch))


TWO_PAGES = [
    (200, {"data": [{"id": "job_1"}], "next_cursor": "b", "has_more": True}),
    (200, {"data": [{"id": "job_2"}], "next_cursor": None, "has_more": False}),
]


def test_pages_of_our_client_are_followed_without_asking_twice(platform: Platform) -> None:
    platform.answers = [*TWO_PAGES]
    with platform.client() as client:
        found = [job.id for job in paginate(lambda q: client.jobs.list(cursor=q.cursor or None))]
    assert found == ["job_1", "job_2"]
    assert [request.url.query for request in platform.requests] == [b"", b"cursor=b"]


async def test_pages_of_our_async_client_are_followed(platform: Platform) -> None:
    platform.answers = [*TWO_PAGES]
    async with platform.async_client() as client:
        walk = paginate_async(lambda q: client.jobs.list(cursor=q.cursor or None))
        assert [job.id async for job in walk] == ["job_1", "job_2"]
    assert len(platform.requests) == 2


def test_offsets_are_followed_like_cursors(platform: Platform) -> None:
    class Offset:
        def __init__(self, data: list[int], next_cursor: int | None) -> None:
            self.data = data
            self.next_cursor = next_cursor

    fetch = Script(Offset([1], 1), Offset([2], None))
    assert list(paginate(fetch)) == [1, 2]
    assert fetch.calls[1] == (PaginatedQuery(cursor="1"),)


FORMS = {
    "dict": lambda items, cursor, more: {"data": items, "next_cursor": cursor, "has_more": more},
    "items": lambda items, cursor, more: {"items": items, "next_cursor": cursor or ""},
    "response": lambda items, cursor, more: PaginatedResponse(items, [], cursor or "", more),
}


@given(
    chunks=st.lists(st.lists(st.integers(), max_size=3), min_size=1, max_size=8),
    form=st.sampled_from(sorted(FORMS)),
)
def test_every_item_comes_once_and_in_order(chunks: list[list[int]], form: str) -> None:
    def fetch(query: PaginatedQuery) -> Any:
        place = int(query.cursor or 0)
        more = place + 1 < len(chunks)
        return FORMS[form](chunks[place], str(place + 1) if more else None, more)

    assert list(paginate(fetch)) == [item for chunk in chunks for item in chunk]
