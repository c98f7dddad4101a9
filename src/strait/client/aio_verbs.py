"""Requests that no operation describes: the verbs of an `AsyncClient`."""

from __future__ import annotations

from typing import Any, TypeVar, Unpack, overload

from strait.client.aio_calls import AsyncCaller, AsyncEventStream
from strait.client.operation import StreamOptions
from strait.client.raw import AskOptions, Query, SendOptions, cast, raw, raw_stream, split
from strait.errors import Json

T = TypeVar("T")


class AsyncVerbs:
    """`client.request("GET", "/v1/x", cast_to=Job)`, `client.post("/v1/x", body={})`, and so on.

    `path` stands below `base_url` and is escaped already. Without `cast_to` the result is the JSON
    of the answer, and `{}` where that is empty. With it, it is what the type says: a model of the
    SDK or of your own, a TypedDict, a dataclass, `list[…]` of them; `str` and `bytes` are the body
    as it came. All verbs take `query` and `RequestOptions`, and those that send something a `body`.
    """

    _caller: AsyncCaller

    @overload
    async def request(self, method: str, path: str, **options: Unpack[SendOptions]) -> Json: ...
    @overload
    async def request(
        self, method: str, path: str, *, cast_to: type[T], **options: Unpack[SendOptions]
    ) -> T: ...
    async def request(
        self, method: str, path: str, *, cast_to: Any = None, **options: Unpack[SendOptions]
    ) -> Any:
        """Send any request and return its answer.

        Args:
            method: the HTTP method.
            path: the path below `base_url`, escaped already.
            cast_to: the type of the result; by default plain JSON.
            **options: `query`, `body`, and see `RequestOptions`.

        Raises:
            DecodeError: the answer is nothing that `cast_to` can be made of.
            ValidationError: the method, the path or an option is wrong.
        """
        query, body, rest = split(options)
        operation = raw(method, path)
        if cast_to is None:
            return await self._caller.call(operation, rest, query=query, body=body)
        whole = AsyncCaller(self._caller.settings.with_models(), self._caller.exchange)
        casting = operation.with_decode(cast(cast_to))
        return await whole.call(casting, rest, query=query, body=body)

    @overload
    async def get(self, path: str, **options: Unpack[AskOptions]) -> Json: ...
    @overload
    async def get(self, path: str, *, cast_to: type[T], **options: Unpack[AskOptions]) -> T: ...
    async def get(self, path: str, *, cast_to: Any = None, **options: Unpack[AskOptions]) -> Any:
        """Send a `GET` and return its answer; see `request`."""
        return await self.request("GET", path, cast_to=cast_to, **options)

    @overload
    async def post(self, path: str, **options: Unpack[SendOptions]) -> Json: ...
    @overload
    async def post(self, path: str, *, cast_to: type[T], **options: Unpack[SendOptions]) -> T: ...
    async def post(self, path: str, *, cast_to: Any = None, **options: Unpack[SendOptions]) -> Any:
        """Send a `POST` and return its answer; see `request`."""
        return await self.request("POST", path, cast_to=cast_to, **options)

    @overload
    async def put(self, path: str, **options: Unpack[SendOptions]) -> Json: ...
    @overload
    async def put(self, path: str, *, cast_to: type[T], **options: Unpack[SendOptions]) -> T: ...
    async def put(self, path: str, *, cast_to: Any = None, **options: Unpack[SendOptions]) -> Any:
        """Send a `PUT` and return its answer; see `request`."""
        return await self.request("PUT", path, cast_to=cast_to, **options)

    @overload
    async def patch(self, path: str, **options: Unpack[SendOptions]) -> Json: ...
    @overload
    async def patch(self, path: str, *, cast_to: type[T], **options: Unpack[SendOptions]) -> T: ...
    async def patch(self, path: str, *, cast_to: Any = None, **options: Unpack[SendOptions]) -> Any:
        """Send a `PATCH` and return its answer; see `request`."""
        return await self.request("PATCH", path, cast_to=cast_to, **options)

    @overload
    async def delete(self, path: str, **options: Unpack[AskOptions]) -> Json: ...
    @overload
    async def delete(self, path: str, *, cast_to: type[T], **options: Unpack[AskOptions]) -> T: ...
    async def delete(self, path: str, *, cast_to: Any = None, **options: Unpack[AskOptions]) -> Any:
        """Send a `DELETE` and return its answer; see `request`."""
        return await self.request("DELETE", path, cast_to=cast_to, **options)

    async def do_request(self, method: str, path: str, **options: Unpack[SendOptions]) -> Json:
        """Send any request and return the JSON of its answer; an empty answer is `{}`.

        It is `request` without `cast_to`, by its published name.
        """
        return await self.request(method, path, **options)

    def do_stream(
        self,
        method: str,
        path: str,
        *,
        query: Query = None,
        **options: Unpack[StreamOptions],
    ) -> AsyncEventStream[Json]:
        """Follow any event stream; its items are the JSON of the events.

        Args:
            method: `GET`; event streams have no other.
            path: the path below `base_url`, escaped already.
            query: parameters; None values are left out.
            **options: see `StreamOptions`.
        """
        return self._caller.stream(raw_stream(method, path), options, query=query)
