"""Hosting in a Django project.

from django.urls import include, path
from strait.serve.django import urls

urlpatterns = [path("strait/", include(urls([job])))]
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt

from strait.serve.blocking import BlockingHost, headers_of, text_headers

if TYPE_CHECKING:
    from typing import Unpack

    from django.urls import URLPattern

    from strait.serve.core import HostOptions, Source


def urls(source: Source, **options: Unpack[HostOptions]) -> list[URLPattern]:
    """Return the patterns of a host, at `jobs/{slug}` below where they are included.

    The view is `async` and works under ASGI and WSGI alike. It is exempt from the check of CSRF
    tokens, which only browsers have: the platform signs what it sends instead. Its limit is
    `max_body_bytes`, not `DATA_UPLOAD_MAX_MEMORY_SIZE`.

    Args:
        source: definitions, one definition, or a module that has some.
        **options: those of `strait.serve.asgi`.

    Raises:
        DefinitionError: two jobs have the same slug, one is no job, or an option is wrong.
    """
    host = BlockingHost(source, **options)

    async def view(request: HttpRequest, path: str) -> HttpResponse:
        body: bytes = request.read(host.max_body_bytes + 1)
        gone = asyncio.Event()
        begun = host.begin(
            request.method or "GET", f"/{path}", headers_of(request.META), body, gone
        )
        answering = asyncio.wrap_future(begun)
        try:
            answer = await asyncio.shield(answering)
        except asyncio.CancelledError:
            # Django ends the view when its client has left; the handler is told, and may tidy up.
            host.loop().call_soon_threadsafe(gone.set)
            raise
        response = HttpResponse(answer.body, status=answer.status)
        for name, value in text_headers(answer):
            response[name] = value
        return response

    return [re_path(r"^(?P<path>.*)$", csrf_exempt(view), name="strait")]
