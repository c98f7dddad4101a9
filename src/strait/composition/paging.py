"""`paginate`: all items of all pages, whatever form the pages come in.

Lists of our own clients iterate by themselves (`for job in client.jobs.list()`); this is for
pages from anywhere else, and for code that was written for the published client.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from strait.composition import pace
from strait.errors import Json, PaginationError, ValidationError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(slots=True)
class PaginatedQuery:
    """What a list function is asked for.

    Attributes:
        cursor: where the page starts; empty for the first.
        limit: how many items a page should have; 0 leaves that to the platform.
    """

    cursor: str = ""
    limit: int = 0


@dataclass(slots=True)
class PaginatedResponse(Generic[T]):
    """One page.

    Attributes:
        data: its items.
        items: its items under their other name, for platforms that call them so.
        next_cursor: where the next page starts; empty on the last.
        has_more: whether there is another page; None where only the cursor says it.
    """

    data: list[T] = field(default_factory=list)
    items: list[T] = field(default_factory=list)
    next_cursor: str = ""
    has_more: bool | None = None


class PageLike(Protocol[T_co]):
    """A page of our clients, or an object like it."""

    @property
    def data(self) -> Iterable[T_co]:
        """Its items."""
        ...

    @property
    def next_cursor(self) -> str | int | None:
        """Where the next page starts."""
        ...


AnyPage: TypeAlias = PaginatedResponse[T] | PageLike[T] | Mapping[str, Any] | list[T]
"""What a list function may return: a page in one of its forms, or a list that is all there is."""


def paginate(list_fn: Callable[[PaginatedQuery], AnyPage[T]], *, limit: int = 0) -> Iterator[T]:
    """Return all items of all pages; each page is asked for when it is wanted.

        for job in paginate(lambda q: client.jobs.list(cursor=q.cursor or None)):
            print(job.id)

    The next page is asked for as long as a page gives a cursor and does not say that there is no
    more. An empty page ends nothing by itself.

    Args:
        list_fn: returns the page of a query: what our clients return, a `PaginatedResponse`, a
            decoded JSON object with `data` or `items`, or a bare list, which is the only page.
        limit: how many items to ask for in a page; 0 leaves that to the platform.

    Raises:
        PaginationError: a cursor came twice, or there is more and no cursor says where.
        ValidationError: `limit` is negative, or `list_fn` returned no page.
    """
    walk: _Walk[T] = _Walk(limit)
    return _pages(list_fn, walk)


def _pages(list_fn: Callable[[PaginatedQuery], AnyPage[T]], walk: _Walk[T]) -> Iterator[T]:
    while walk.goes_on:
        answer = pace.refuse_awaitable(list_fn(walk.query()), "paginate", "paginate_async")
        yield from _items(answer)
        walk.follow(answer)


def paginate_async(
    list_fn: Callable[[PaginatedQuery], Awaitable[AnyPage[T]] | AnyPage[T]], *, limit: int = 0
) -> AsyncIterator[T]:
    """Return all items of all pages, like `paginate`, for `async for`.

        async for job in paginate_async(lambda q: client.jobs.list(cursor=q.cursor or None)):
            print(job.id)

    Args:
        list_fn: returns the page of a query, or anything that can be awaited for it.
        limit: how many items to ask for in a page; 0 leaves that to the platform.
    """
    walk: _Walk[T] = _Walk(limit)
    return _pages_async(list_fn, walk)


async def _pages_async(
    list_fn: Callable[[PaginatedQuery], Awaitable[AnyPage[T]] | AnyPage[T]], walk: _Walk[T]
) -> AsyncIterator[T]:
    while walk.goes_on:
        answer = list_fn(walk.query())
        page = await answer if inspect.isawaitable(answer) else answer
        for item in _items(page):
            yield item
        walk.follow(page)


def collect_all(iterator: Iterable[T]) -> list[T]:
    """Return everything that an iterator gives, such as `paginate`."""
    return list(iterator)


async def collect_all_async(iterator: AsyncIterator[T]) -> list[T]:
    """Return everything that an asynchronous iterator gives, such as `paginate_async`."""
    return [item async for item in iterator]


class _Walk(Generic[T]):
    """The way through the pages: where it stands, and where it was already."""

    def __init__(self, limit: int) -> None:
        if limit < 0:
            raise ValidationError(f"`limit` must be 0 or more, not {limit!r}")
        self.goes_on = True
        self._limit = limit
        self._cursor = ""
        self._seen: set[str] = set()

    def query(self) -> PaginatedQuery:
        """Return what to ask for next."""
        return PaginatedQuery(self._cursor, self._limit)

    def follow(self, page: object) -> None:
        """Go on to the page after this one, if there is one.

        Raises:
            PaginationError: the cursor came before, or there is none although there is more.
        """
        has_more = _field(page, "has_more")
        # 0 is an offset, and would be the first page again.
        self._cursor = str(_field(page, "next_cursor") or "")
        self.goes_on = bool(self._cursor) and has_more is not False
        if has_more and not self._cursor:
            raise PaginationError("a page says that there is more, and gives no `next_cursor`")
        if self.goes_on and self._cursor in self._seen:
            raise PaginationError(f"the platform gave the cursor {self._cursor!r} twice")
        self._seen.add(self._cursor)


def _items(page: AnyPage[T]) -> list[T]:
    """Return the items of a page in any of its forms.

    Raises:
        ValidationError: it has none.
    """
    if isinstance(page, list):
        return page
    found = [_field(page, name, _MISSING) for name in ("data", "items")]
    # `items` of a mapping-like object may be its method.
    lists = [items for items in found if items is not _MISSING and not callable(items)]
    if not lists:
        raise ValidationError(
            f"`list_fn` must return a page with `data` or `items`, not {type(page).__name__}"
        )
    # A page of a Go server has null for no items.
    return next((list(items) for items in lists if items), [])


_MISSING = object()


def _field(page: object, name: str, default: Json = None) -> Json:
    if isinstance(page, Mapping):
        return page.get(name, default)
    return getattr(page, name, default)
