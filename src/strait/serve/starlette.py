"""Hosting in a Starlette application, or in one of FastAPI, which is one.

from strait.serve.starlette import mount

mount(app, [job])
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from strait.serve.application import Host
from strait.serve.core import HostOptions, Settings, Source

if TYPE_CHECKING:
    from typing import Unpack

    from starlette.applications import Starlette


def mount(
    app: Starlette, source: Source, path: str = "/strait", **options: Unpack[HostOptions]
) -> Host:
    """Host the handlers of jobs in an application, at `jobs/{slug}` below a path.

    The host is closed with the application's lifespan. (What is mounted with `app.mount` alone
    never hears of that, and leaves its connections open.)

    Args:
        app: the application; its own lifespan stays as it is.
        source: definitions, one definition, or a module that has some.
        path: where it is mounted.
        **options: those of `strait.serve.asgi`.

    Raises:
        DefinitionError: two jobs have the same slug, one is no job, or an option is wrong.
    """
    host = Settings(source, **options).core(Host)
    app.mount(path, host, name="strait")
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(of: Any) -> AsyncIterator[Any]:
        async with inner(of) as state:
            try:
                yield state
            finally:
                await host.close()

    app.router.lifespan_context = lifespan
    return host
