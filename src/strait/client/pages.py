"""Pages: what list operations return. A page is a list, and the way to the pages after it.

for job in client.jobs.list():                  # every job of every page
page = client.jobs.list(limit=10)               # one page
async for job in async_client.jobs.list():      # the same with an `AsyncClient`
page = await async_client.jobs.list(limit=10)
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterator,
    Sequence,
)
from itertools import islice
from typing import Any, Generic, TypeVar, overload

from strait.client.results import PageData
from strait.errors import Json, PaginationError, ValidationError

T = TypeVar("T")
Cursor = str | int


class _Items(Generic[T]):
    """One page: its items as a sequence, and its envelope as a mapping.

    Attributes:
        data: the items of this page.
        next_cursor: where the next page starts; None on the last one.
    """

    def __init__(self, data: PageData[T]) -> None:
        self._page = data
        self._response = data.response
        self.data: list[T] = data.items
        self.next_cursor: Cursor | None = data.cursor

    @property
    def has_more(self) -> bool:
        """Whether there is another page."""
        return self.next_cursor is not None

    @overload
    def __getitem__(self, key: int) -> T: ...
    @overload
    def __getitem__(self, key: slice) -> Sequence[T]: ...
    @overload
    def __getitem__(self, key: str) -> Json: ...
    def __getitem__(self, key: int | slice | str) -> Json:
        """Return an item by its place in this page, or a field of the answer by its name."""
        if not isinstance(key, str):
            return self.data[key]
        if self._page.envelope is not None:
            return self._page.envelope[key]
        return self._bare()[key]

    def get(self, key: str, default: Json = None) -> Json:
        """Return a field of the answer, or `default`."""
        fields = self._bare() if self._page.envelope is None else self._page.envelope
        return fields.get(key, default)

    def __len__(self) -> int:
        return len(self.data)

    def __bool__(self) -> bool:
        return bool(self.data)

    def __contains__(self, item: object) -> bool:
        fields = self._bare() if self._page.envelope is None else self._page.envelope
        return item in self.data or (isinstance(item, str) and item in fields)

    def to_dict(self) -> dict[str, Json]:
        """Return this page as it stands in JSON."""
        items = [item.to_dict() if hasattr(item, "to_dict") else item for item in self.data]
        envelope = {} if self._page.envelope is None else self._page.envelope.to_dict()
        return {**self._bare(), **envelope, "data": items}

    def _bare(self) -> dict[str, Json]:
        return {"data": self.data, "next_cursor": self.next_cursor, "has_more": self.has_more}

    def __repr__(self) -> str:
        more = ", and more" if self.has_more else ""
        return f"<{type(self).__name__} of {len(self.data)} items{more}>"


def _followed(seen: set[Cursor], cursor: Cursor) -> Cursor:
    if cursor in seen:
        raise PaginationError(f"the platform gave the cursor {cursor!r} twice")
    seen.add(cursor)
    return cursor


def _count(count: int) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise ValidationError(f"`count` must be a whole number that is not negative, not {count!r}")
    return count


async def _taken(items: AsyncIterable[T], count: int) -> AsyncIterator[T]:
    if count == 0:
        return
    async for item in items:
        yield item
        count -= 1
        if count == 0:
            return


class Page(_Items[T]):
    """A page; to iterate over it goes on through all the pages after it, one request each."""

    def __init__(self, data: PageData[T], fetch: Callable[[Cursor], PageData[T]]) -> None:
        super().__init__(data)
        self._fetch = fetch

    def __iter__(self) -> Iterator[T]:
        for page in self.iter_pages():
            yield from page.data

    def iter_pages(self) -> Iterator[Page[T]]:
        """Return this page and all after it, each asked for when it is wanted.

        Raises:
            PaginationError: the platform gave the same cursor twice.
        """
        page: Page[T] | None = self
        seen: set[Cursor] = set()
        while page is not None:
            yield page
            if page.next_cursor is not None:
                _followed(seen, page.next_cursor)
            page = page.next_page()

    def by_page(self, cursor: Cursor | None = None) -> Iterator[Page[T]]:
        """Return all pages from `cursor` on; without one, this page and all after it."""
        if cursor is None:
            return self.iter_pages()
        return Page(self._fetch(cursor), self._fetch).iter_pages()

    def take(self, count: int) -> Iterator[T]:
        """Return at most `count` items of this page and those after it, and ask for no page more.

        Raises:
            ValidationError: `count` is negative.
        """
        return islice(self, _count(count))

    def next_page(self) -> Page[T] | None:
        """Return the next page, or None on the last one."""
        if self.next_cursor is None:
            return None
        return Page(self._fetch(self.next_cursor), self._fetch)


class AsyncPage(_Items[T]):
    """A page; to iterate over it goes on through all the pages after it, one request each."""

    def __init__(
        self, data: PageData[T], fetch: Callable[[Cursor], Awaitable[PageData[T]]]
    ) -> None:
        super().__init__(data)
        self._fetch = fetch

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.iter_pages():
            for item in page.data:
                yield item

    async def iter_pages(self) -> AsyncIterator[AsyncPage[T]]:
        """Return this page and all after it, each asked for when it is wanted.

        Raises:
            PaginationError: the platform gave the same cursor twice.
        """
        page: AsyncPage[T] | None = self
        seen: set[Cursor] = set()
        while page is not None:
            yield page
            if page.next_cursor is not None:
                _followed(seen, page.next_cursor)
            page = await page.next_page()

    async def by_page(self, cursor: Cursor | None = None) -> AsyncIterator[AsyncPage[T]]:
        """Return all pages from `cursor` on; without one, this page and all after it."""
        start = self if cursor is None else AsyncPage(await self._fetch(cursor), self._fetch)
        async for page in start.iter_pages():
            yield page

    def take(self, count: int) -> AsyncIterator[T]:
        """Return at most `count` items of this page and those after it, and ask for no page more.

        Raises:
            ValidationError: `count` is negative.
        """
        return _taken(self, _count(count))

    async def next_page(self) -> AsyncPage[T] | None:
        """Return the next page, or None on the last one."""
        if self.next_cursor is None:
            return None
        return AsyncPage(await self._fetch(self.next_cursor), self._fetch)


class AsyncPager(Generic[T]):
    """A list call that is not made yet: awaited it is a page, iterated all items of all pages."""

    def __init__(
        self,
        first: Callable[[], Awaitable[AsyncPage[T]]],
        fetch: Callable[[Cursor], Awaitable[PageData[T]]],
    ) -> None:
        self._first = first
        self._fetch = fetch

    def __await__(self) -> Generator[Any, Any, AsyncPage[T]]:
        return self._first().__await__()

    async def __aiter__(self) -> AsyncIterator[T]:
        async for item in await self._first():
            yield item

    async def iter_pages(self) -> AsyncIterator[AsyncPage[T]]:
        """Return all pages, each asked for when it is wanted."""
        page = await self._first()
        async for following in page.iter_pages():
            yield following

    async def by_page(self, cursor: Cursor | None = None) -> AsyncIterator[AsyncPage[T]]:
        """Return all pages, from `cursor` on if one is given."""
        if cursor is None:
            pages = self.iter_pages()
        else:
            pages = AsyncPage(await self._fetch(cursor), self._fetch).iter_pages()
        async for page in pages:
            yield page

    def take(self, count: int) -> AsyncIterator[T]:
        """Return at most `count` items of all pages, and ask for no page more than they need.

        Raises:
            ValidationError: `count` is negative.
        """
        return _taken(self, _count(count))
