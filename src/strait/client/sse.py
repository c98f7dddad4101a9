"""Server-sent events as the HTML standard has them (§9.2.6), from bytes in any pieces."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from strait.errors import StreamError

# No event of the platform comes near; without a bound a broken server could fill the memory.
MAX_EVENT_CHARS = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event of a stream.

    Attributes:
        event: its name; `message` when it has none.
        data: its data, the lines joined by a line feed.
        id: the last id that the stream gave, for `Last-Event-ID`.
    """

    event: str
    data: str
    id: str


class EventParser:
    """Turns the bytes of a stream into events.

    Attributes:
        last_id: the id to resume from.
        retry_secs: what the server asks to wait before a reconnect; None when it did not.
    """

    def __init__(self, last_id: str = "", max_chars: int = MAX_EVENT_CHARS) -> None:
        self.last_id = last_id
        self._max_chars = max_chars
        self.retry_secs: float | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._first = True
        self._skip_feed = False
        self._event = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Take the next bytes and return the events that are complete with them.

        Raises:
            StreamError: one event is larger than `max_chars`.
        """
        text = self._decoder.decode(chunk)
        if self._first and text:
            self._first = False
            text = text.removeprefix("\ufeff")
        events = []
        for line in self._lines(text):
            event = self._line(line)
            if event is not None:
                events.append(event)
        self._check_size(len(self._rest))
        return events

    def _lines(self, text: str) -> list[str]:
        """Split at CR, LF and CRLF alone; a CR at the end may be half of a CRLF."""
        if self._skip_feed and text:
            text = text.removeprefix("\n")
            self._skip_feed = False
        if text.endswith("\r"):
            self._skip_feed = True
        parts = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        parts[0] = self._rest + parts[0]
        self._rest = parts.pop()
        return parts

    def _line(self, line: str) -> ServerEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
                self._size += len(value)
                self._check_size()
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self.last_id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry_secs = int(value) / 1000
            case _:
                pass  # comments, such as keepalives, and fields of later standards
        return None

    def _check_size(self, unfinished: int = 0) -> None:
        if self._size + unfinished > self._max_chars:
            raise StreamError(f"an event is larger than {self._max_chars} characters")

    def _dispatch(self) -> ServerEvent | None:
        data, name = self._data, self._event
        self._data, self._event, self._size = [], "", 0
        if not data:
            return None
        return ServerEvent(name or "message", "\n".join(data), self.last_id)
