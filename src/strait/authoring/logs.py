"""`ctx.logger`: an ordinary `logging.Logger` whose records also go to the run's events.

Each context has a logger of its own, which no global table keeps, so contexts neither see each
other's records nor outlive their run. Records of all levels and from any thread are queued and
sent one after the other, in the order in which they were logged.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from strait.errors import Json

LogBody: TypeAlias = "dict[str, Json]"

PARENT = logging.getLogger("strait.run")
"""Where every context's records go besides the platform: configure it like any other logger."""
_OWN = logging.getLogger("strait.authoring")
# A handler that logs faster than the platform takes must not fill the memory.
_MOST_PENDING = 10_000
_MOST_CHARACTERS = 64_000


def make_logger(run_id: str, handler: logging.Handler) -> logging.Logger:
    """Return a logger for one run, with `handler`; it is registered nowhere."""
    logger = logging.Logger(f"{PARENT.name}.{run_id}", logging.DEBUG)
    logger.parent = PARENT
    logger.addHandler(handler)
    return logger


def log_body(record: logging.LogRecord) -> LogBody:
    """Return a record as the platform's log event takes it."""
    body: LogBody = {
        "type": "log",
        "level": _level(record.levelno),
        # The platform refuses an empty message.
        "message": record.getMessage()[:_MOST_CHARACTERS] or "(empty)",
    }
    if record.exc_info and record.exc_info[1] is not None:
        body["data"] = error_data(record.exc_info[1])
    return body


def error_data(error: BaseException) -> dict[str, Json]:
    """Return what an event tells of an exception: its type and its traceback."""
    text = "".join(traceback.format_exception(error)).encode("utf-8", "replace").decode()
    # The end of a traceback says more than its beginning.
    return {"type": type(error).__name__, "traceback": text[-_MOST_CHARACTERS:]}


def error_text(failure: BaseException) -> str:
    """Return the text of an exception of somebody else's, whatever comes of asking for it.

    What no JSON can carry, such as the bytes of an odd file name, is replaced by question marks.
    """
    try:
        text = str(failure)
    except Exception:  # noqa: BLE001 - an exception's own text may fail in any way
        return "its text cannot be had"
    return text.encode("utf-8", "replace").decode()


def _level(number: int) -> str:
    if number >= logging.CRITICAL:
        return "critical"
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warn"
    return "info" if number >= logging.INFO else "debug"


class RecordingHandler(logging.Handler):
    """Puts every record into a list at once; for the test harness."""

    def __init__(self, bodies: list[LogBody]) -> None:
        super().__init__()
        self._bodies = bodies

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self._bodies.append(log_body(record))


class LogForwarder(logging.Handler):
    """Queues records and sends them in order; `drain` waits until all are sent.

    Args:
        send: sends one log body; its errors are told once and never reach the one who logs.
        loop: the loop to send on. By default the one that is running at the first record; what
            is logged before any runs is sent by `drain`.
    """

    def __init__(
        self,
        send: Callable[[LogBody], Awaitable[None]],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__()
        self._send = send
        self._loop = loop
        self._pending: deque[LogBody] = deque()
        self._guard = threading.Lock()
        self._task: asyncio.Task[None] | None = None
        self._dropped = 0
        self._warned = False

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record; this never blocks and never raises."""
        try:
            body = log_body(record)
        except Exception:  # noqa: BLE001 - a bad format string, as in every logging handler
            self.handleError(record)
            return
        with self._guard:
            if len(self._pending) >= _MOST_PENDING:
                self._dropped += 1
                return
            self._pending.append(body)
        self._wake()

    def _wake(self) -> None:
        if self._loop is None or self._loop.is_closed():
            try:
                self._loop = asyncio.get_running_loop()
            except RuntimeError:
                return
        self._loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._send_pending())

    async def drain(self) -> None:
        """Return once every record that was logged so far is sent, or could not be."""
        while self._pending or (self._task is not None and not self._task.done()):
            self._start()
            if self._task is not None:
                await asyncio.shield(self._task)

    async def _send_pending(self) -> None:
        while self._pending:
            body = self._pending.popleft()
            try:
                await self._send(body)
            except Exception as error:  # noqa: BLE001 - telemetry never fails a run
                self._warn(f"a log line could not be sent to the platform: {error}")
        if self._dropped:
            self._warn(f"{self._dropped} log lines were dropped; the platform was too slow")

    def _warn(self, text: str) -> None:
        if not self._warned:
            self._warned = True
            _OWN.warning("%s", text)
