"""Hosting where requests are answered by calling and waiting: WSGI, and what is made of it.

Handlers run on one event loop in a thread that the host owns. It is started by the first request,
so that servers which import an application and then fork (gunicorn with `--preload`, uwsgi) get a
loop in each of their processes.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

from strait.serve.core import Core, HostOptions, Settings, Source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future
    from typing import Unpack

    from strait.serve.answers import Answer
    from strait.serve.inbound import Headers

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., object]

# What a process that ends waits for handlers that hold its loop.
_CLOSE_SECS = 5.0


class BlockingHost:
    """A `Core` on a loop of its own, for callers in other threads.

    Args:
        source: what is hosted.
        **options: those of `strait.serve.asgi`.

    Raises:
        DefinitionError: two jobs have the same slug, one is no job, or an option is wrong.
    """

    def __init__(self, source: Source, **options: Unpack[HostOptions]) -> None:
        self._settings = Settings(source, **options)
        self._core = self._settings.core(Core)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._starting = threading.Lock()
        atexit.register(self.close)

    @property
    def core(self) -> Core:
        """What answers."""
        return self._core

    @property
    def max_body_bytes(self) -> int:
        """The largest payload that is taken."""
        return self._core.max_body_bytes

    def begin(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: bytes,
        gone: asyncio.Event | None = None,
        limit_secs: float | None = None,
    ) -> Future[Answer]:
        """Begin to answer a request.

        Args:
            method: in upper case.
            path: below the host's own address, decoded.
            headers: by lower-case name.
            body: the body, or its first `max_body_bytes` and one more.
            gone: is set, on the loop of the host, when the caller waits no more.
            limit_secs: how long the attempt may take in any case.
        """

        async def read(most_bytes: int) -> bytes:
            return body

        async def answer() -> Answer:
            left = None if gone is None else gone.wait
            said = await self._core.handle(method, path, headers, read, left, limit_secs)
            assert said is not None, "the body was read before"
            return said

        return asyncio.run_coroutine_threadsafe(answer(), self.loop())

    def answer(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: bytes,
        limit_secs: float | None = None,
    ) -> Answer:
        """Answer a request; see `begin`."""
        begun = self.begin(method, path, headers, body, limit_secs=limit_secs)
        try:
            return begun.result()
        except BaseException:
            # A server that is interrupted in the thread of a request lets go of the handler.
            begun.cancel()
            raise

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that handlers run on in this process, started if need be."""
        with self._starting:
            if self._loop is None or self._pid != os.getpid():
                self._start()
            assert self._loop is not None
            return self._loop

    def close(self) -> None:
        """End the loop; the next request would start another."""
        with self._starting:
            loop, thread, self._loop = self._loop, self._thread, None
        # A forked process has no such thread, and its loop is its parent's.
        if loop is None or thread is None or self._pid != os.getpid():
            return
        closing = asyncio.run_coroutine_threadsafe(self._core.close(), loop)
        with suppress(TimeoutError):
            closing.result(_CLOSE_SECS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_CLOSE_SECS)

    def _start(self) -> None:
        if self._pid not in (0, os.getpid()):
            # What the parent had, connections and threads, did not come along.
            self._core = self._settings.core(Core)
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=_run, args=(self._loop,), name="strait-host", daemon=True
        )
        self._thread.start()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def headers_of(environ: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Return the headers of a WSGI environment, by lower-case name."""
    found = {
        name[5:].lower().replace("_", "-").encode("latin-1"): str(value).encode("latin-1")
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            found[name.lower().replace("_", "-").encode()] = str(environ[name]).encode("latin-1")
    return found


def text_headers(answer: Answer) -> list[tuple[str, str]]:
    """Return the headers of an answer as texts."""
    return [(name.decode(), value.decode("latin-1")) for name, value in answer.raw_headers()]


class WsgiHost(BlockingHost):
    """A WSGI application; `wsgi` makes it."""

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        method = environ["REQUEST_METHOD"]
        # WSGI gives the bytes of a path as if they were latin-1 (PEP 3333).
        path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
        answer = self.answer(method, path, headers_of(environ), self._body(environ))
        start_response(f"{answer.status} {_phrase(answer.status)}", text_headers(answer))
        return [] if method == "HEAD" else [answer.body]

    def _body(self, environ: Environ) -> bytes:
        """Read the body, but never more than shows that it is too large."""
        length = environ.get("CONTENT_LENGTH") or ""
        if length.isdigit():
            size = int(length)
            # The core refuses it by its header.
            return b"" if size > self.max_body_bytes else _read(environ, size)
        # Without a length only some servers tell where a body ends.
        return (
            _read(environ, self.max_body_bytes + 1) if "wsgi.input_terminated" in environ else b""
        )


def _read(environ: Environ, size: int) -> bytes:
    body: bytes = environ["wsgi.input"].read(size)
    return body


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def wsgi(source: Source, **options: Unpack[HostOptions]) -> WsgiHost:
    """Return a WSGI application that hosts the handlers of jobs.

    `async` handlers run on one event loop in a thread of the host's own, plain ones in threads
    beside it; the thread of the server waits for the answer, so a server needs one for each run
    that it works on at once.

    Args:
        source: definitions, one definition, or a module that has some.
        **options: those of `strait.serve.asgi`.

    Raises:
        DefinitionError: two jobs have the same slug, one is no job, or an option is wrong.
    """
    return WsgiHost(source, **options)
