"""Transports over an HTTP client of the user, of `httpx` or `httpx2`; its owner closes it."""

from __future__ import annotations

import asyncio
import sys
import time
from types import ModuleType
from typing import Any

from strait.client.effects import Request, Response
from strait.client.transports.failures import HttpxFailures, closed, late
from strait.client.transports.streams import AsyncHttpxBody, HttpxBody
from strait.errors import ValidationError

FAMILIES = ("httpx", "httpx2")


def family_of(thing: object, kind: str) -> ModuleType | None:
    """Return the library that has the class `kind` which a thing is of; None for neither."""
    for parent in type(thing).__mro__:
        package = parent.__module__.partition(".")[0]
        if package in FAMILIES and parent.__name__ == kind:
            return sys.modules[package]
    return None


class _Given:
    """What both share: the request of a user's HTTP client, with what that adds to each."""

    def __init__(self, client: Any, kind: str) -> None:
        library = family_of(client, kind)
        if library is None:
            hint = " (it is for an `AsyncClient`)" if family_of(client, "AsyncClient") else ""
            raise ValidationError(
                f"`http_client` must be an `httpx.{kind}` or `httpx2.{kind}`, "
                f"not `{type(client).__name__}`{hint}"
            )
        self.http = client
        self._library = library
        self._failures = HttpxFailures(library)
        self._closed = False

    def _built(self, request: Request) -> Any:
        timeout: Any = self._library.USE_CLIENT_DEFAULT
        if request.idle is not None:
            timeout = self._library.Timeout(request.timeout or request.idle, read=request.idle)
        elif request.timeout is not None:
            timeout = request.timeout
        return self.http.build_request(
            request.method,
            request.url,
            headers=request.headers,
            content=request.content,
            timeout=timeout,
        )


class GivenTransport(_Given):
    """Sends requests with a `Client` of the user."""

    def __init__(self, client: object, *, owned: bool = False) -> None:
        super().__init__(client, "Client")
        self._owned = owned

    def send(self, request: Request, deadline: float | None = None) -> Response:
        """Send a request and return its whole answer."""
        if self._closed:
            raise closed(request)
        built = None
        try:
            built = self._built(request)
            answer = self.http.send(built, stream=deadline is not None)
            if deadline is None:
                return Response(answer.status_code, answer.headers, answer.content)
        except self._failures.caught as error:
            raise self._failures.mapped(error, request, built) from error
        return HttpxBody(answer, request, self._failures).whole(deadline)

    def open(self, request: Request) -> tuple[Response, HttpxBody]:
        """Send a request and return the head of its answer, and what reads the rest."""
        if self._closed:
            raise closed(request)
        built = None
        try:
            built = self._built(request)
            answer = self.http.send(built, stream=True)
        except self._failures.caught as error:
            raise self._failures.mapped(error, request, built) from error
        body = HttpxBody(answer, request, self._failures)
        return Response(answer.status_code, answer.headers), body

    def close(self) -> None:
        """Send no more; the user's client is the user's."""
        self._closed = True
        if self._owned:
            self.http.close()


class AsyncGivenTransport(_Given):
    """Sends requests with an `AsyncClient` of the user."""

    def __init__(self, client: object, *, owned: bool = False) -> None:
        super().__init__(client, "AsyncClient")
        self._owned = owned

    async def send(self, request: Request, deadline: float | None = None) -> Response:
        """Send a request and return its whole answer."""
        if self._closed:
            raise closed(request)
        built = None
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        scope = asyncio.timeout(left)
        try:
            built = self._built(request)
            async with scope:
                answer = await self.http.send(built)
        except self._failures.caught as error:
            if scope.expired():
                raise late(request) from error
            raise self._failures.mapped(error, request, built) from error
        return Response(answer.status_code, answer.headers, answer.content)

    async def open(self, request: Request) -> tuple[Response, AsyncHttpxBody]:
        """Send a request and return the head of its answer, and what reads the rest."""
        if self._closed:
            raise closed(request)
        built = None
        try:
            built = self._built(request)
            answer = await self.http.send(built, stream=True)
        except self._failures.caught as error:
            raise self._failures.mapped(error, request, built) from error
        body = AsyncHttpxBody(answer, request, self._failures)
        return Response(answer.status_code, answer.headers), body

    async def close(self) -> None:
        """Send no more; the user's client is the user's."""
        self._closed = True
        if self._owned:
            await self.http.aclose()
