"""A real socket that answers with the bytes that a test gives it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType


class Wire:
    """A server that hands each connection to the next script; one script serves one request."""

    def __init__(self, *scripts: Callable[[socket.socket, bytes], None]) -> None:
        self.requests: list[bytes] = []
        self.done = threading.Event()
        self._scripts = list(scripts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        for script in self._scripts:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                request = _request(connection)
                self.requests.append(request)
                # A client may leave before all is said.
                with contextlib.suppress(OSError):
                    script(connection, request)
        self.done.set()

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.done.set()
        # Closing alone does not wake a thread that accepts.
        with contextlib.suppress(OSError):  # macOS says that nothing is connected
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        assert not self._thread.is_alive()


def _request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return data
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answers(
    body: bytes, status: str = "200 OK", media: str = "application/json"
) -> Callable[[socket.socket, bytes], None]:
    """Return a script that answers with a whole body."""

    def script(connection: socket.socket, _: bytes) -> None:
        head = (
            f"HTTP/1.1 {status}\r\ncontent-type: {media}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        connection.sendall(head.encode() + body)

    return script


def streams(
    *parts: bytes, media: str = "text/event-stream"
) -> Callable[[socket.socket, bytes], None]:
    """Return a script that sends parts in chunks and ends the stream orderly."""

    def script(connection: socket.socket, _: bytes) -> None:
        connection.sendall(_chunked_head(media))
        for part in parts:
            connection.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        connection.sendall(b"0\r\n\r\n")

    return script


def breaks_off(*parts: bytes) -> Callable[[socket.socket, bytes], None]:
    """Return a script that sends parts of a stream and closes the connection in the middle."""

    def script(connection: socket.socket, _: bytes) -> None:
        connection.sendall(_chunked_head("text/event-stream"))
        for part in parts:
            connection.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")

    return script


def hangs_up(connection: socket.socket, _: bytes) -> None:
    """Read the request and close without an answer."""


def _chunked_head(media: str) -> bytes:
    return (
        f"HTTP/1.1 200 OK\r\ncontent-type: {media}\r\n"
        "transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    ).encode()
