"""A plugin of pytest that notes which test saw which operation succeed, for `behaviours`.

It listens where httpx sends, so that it hears the clients of a `World` and the typed ones alike.
"""

from __future__ import annotations

import os

import httpx
import pytest

# The file that is appended to, a line for each answer: an operation and a test.
VARIABLE = "STRAIT_TEST_RECORD"


def pytest_configure() -> None:
    """Listen from now on."""
    patch = pytest.MonkeyPatch()
    answer, answer_async = (
        httpx.HTTPTransport.handle_request,
        httpx.AsyncHTTPTransport.handle_async_request,
    )

    def heard(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        return _noted(request, answer(self, request))

    async def heard_async(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        return _noted(request, await answer_async(self, request))

    patch.setattr(httpx.HTTPTransport, "handle_request", heard)
    patch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", heard_async)


def _noted(request: httpx.Request, response: httpx.Response) -> httpx.Response:
    # pytest loads plugins before it knows where `support` is.
    from support.description import operation_of

    test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" (")[0].partition("[")[0]
    path = request.url.raw_path.decode().partition("?")[0]
    if test and response.is_success and (operation := operation_of(request.method, path)):
        with open(os.environ[VARIABLE], "a", encoding="utf-8") as out:
            out.write(f"{operation} {test}\n")
    return response
