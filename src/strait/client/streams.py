"""The flow of an event stream: open, read, reconnect where it broke off, and end in time."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterable
from typing import TypeVar

from strait.client import logs
from strait.client.effects import (
    Close,
    Emit,
    Opened,
    Read,
    Request,
    Sleep,
    StreamEffect,
    StreamFlow,
)
from strait.client.flows import Hooks, authorized, error_of, summary
from strait.client.logs import path_of
from strait.client.operation import StreamOperation
from strait.client.policy import Policy
from strait.client.sse import MAX_EVENT_CHARS, EventParser, ServerEvent
from strait.errors import HttpError, Json, StreamError, TransportError, TransportTimeoutError

T = TypeVar("T")

# The platform writes a comment every 15 seconds; a stream that is silent for four is broken.
IDLE_SECS = 60.0
_REOPEN_SECS = 1.0
_GONE = 410
# What an embedded server's last event has in `code` when it drops a reader that is too slow.
_RESUME = "resume"
# Go's `\x1b` is no JSON, but chunks of output have it.
_GO_ESCAPE = re.compile(r"((?:^|[^\\])(?:\\\\)*)\\x([0-9a-fA-F]{2})")


def follow(
    operation: StreamOperation[T],
    request: Request,
    policy: Policy,
    hooks: Hooks,
    max_event_size: int = MAX_EVENT_CHARS,
) -> StreamFlow:
    """Emit the items of a stream until it is over.

    It is over when an item tells so, when the platform says that there is nothing (more) to
    follow (410), or, for a stream that has an end of its own, when the server closes it. A stream
    that breaks off is opened again with `Last-Event-ID`, as often as the policy allows in a row; so
    is one that the server cuts off because its reader is too slow.
    """
    parser = EventParser(max_chars=max_event_size)
    failures = 0
    while True:
        try:
            asked = policy.clock()
            response = yield from authorized(request, policy, hooks, streamed=True)
            response.elapsed = policy.clock() - asked
            if response.status == _GONE:
                return
            if response.status >= 300:
                raise error_of(request, response)
            logs.done(request, response)
            yield Opened()
            parser = EventParser(parser.last_id, max_event_size)
            came, goes_on = False, operation.reopens
            while chunk := (yield Read()):
                _check_deadline(request, policy)
                events = parser.feed(chunk)
                if events:
                    came, failures = True, 0
                if (yield from _told(operation, events)):
                    return
                goes_on = goes_on or any(map(_is_cut_off, events))
            yield Close()
            if not goes_on:
                return
            # A server that closes at once, again and again, is not asked more often than this.
            wait = _asked(parser, _REOPEN_SECS) if came else _REOPEN_SECS
        except (TransportError, HttpError) as error:
            yield Close()
            error.request = error.request or summary(request)
            failures += 1
            yield from hooks.failed(request, error)
            delay = policy.delay(error, failures)
            if delay is None:
                raise
            wait = _asked(parser, delay)
        yield Sleep(wait)
        if parser.last_id:
            request.headers["last-event-id"] = parser.last_id


def _told(
    operation: StreamOperation[T], events: Iterable[ServerEvent]
) -> Generator[StreamEffect, None, bool]:
    """Emit the items of some events; return whether one of them was the last of the stream."""
    for event in events:
        if not _is_cut_off(event):
            item = _item(operation, event)
            yield Emit((item, event))
            if _is_last(operation, item):
                return True
    return False


def _asked(parser: EventParser, default: float) -> float:
    return default if parser.retry_secs is None else parser.retry_secs


def _check_deadline(request: Request, policy: Policy) -> None:
    if policy.deadline is not None and policy.clock() >= policy.deadline:
        raise TransportTimeoutError(f"{request.method} {path_of(request.url)}: the deadline passed")


def _item(operation: StreamOperation[T], event: ServerEvent) -> T:
    if event.event == "error":
        raise StreamError(_message(event.data), event.data)
    for text in (event.data, _GO_ESCAPE.sub(r"\1\\u00\2", event.data)):
        try:
            return operation.decode(text.encode())
        except ValueError:
            continue
    raise StreamError(f"an event is no JSON: {event.data[:200]!r}", event.data)


def _is_cut_off(event: ServerEvent) -> bool:
    """Tell whether an error says that the stream was cut off, and goes on behind the last id."""
    if event.event != "error":
        return False
    try:
        told = json.loads(event.data)
    except ValueError:
        return False
    return isinstance(told, dict) and told.get("code") == _RESUME


def _message(data: str) -> str:
    return f"the platform ended the stream with an error: {data[:500]}"


def _is_last(operation: StreamOperation[T], item: object) -> bool:
    if not operation.ends_field:
        return False
    value: Json = getattr(item, operation.ends_field, None)
    return isinstance(value, str) and value in operation.ends_values
