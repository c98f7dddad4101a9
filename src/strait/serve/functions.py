"""Hosting in a function that is called with an event for each request, as AWS Lambda does.

Three shapes of events are told apart: those of API Gateway's REST APIs (version 1), of its HTTP
APIs and of function URLs (version 2), and of an application load balancer.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from urllib.parse import unquote

from strait.serve import answers
from strait.serve.blocking import BlockingHost, text_headers

if TYPE_CHECKING:
    from typing import Unpack

    from strait.serve.answers import Answer
    from strait.serve.core import HostOptions, Source

Event: TypeAlias = Mapping[str, Any]
Reply: TypeAlias = dict[str, Any]

# What a function needs after its handler, to tell how that ended.
_LAST_WORDS_SECS = 1.0


class FunctionContext(Protocol):
    """What is used of the context that a function is called with."""

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the function may still take."""
        ...


def aws_lambda(
    source: Source, *, base_path: str = "", **options: Unpack[HostOptions]
) -> Callable[[Event, FunctionContext | None], Reply]:
    """Return a function for AWS Lambda that hosts the handlers of jobs.

        handler = aws_lambda([job], signing_secret=secret)

    Events of API Gateway (both versions), of function URLs and of a load balancer are taken. An
    attempt times out a second before the function would be ended, so that the platform hears of it.

    Args:
        source: definitions, one definition, or a module that has some.
        base_path: what stands before `/jobs/{slug}` in the paths of events, such as `/strait`.
        **options: those of `strait.serve.asgi`.

    Raises:
        DefinitionError: two jobs have the same slug, one is no job, or an option is wrong.
    """
    host = BlockingHost(source, **options)
    base = base_path.rstrip("/")

    def handler(event: Event, context: FunctionContext | None = None) -> Reply:
        method, path = _method(event), _path(event, base)
        try:
            body = _body(event)
        except (ValueError, binascii.Error):
            answer = answers.error(400, "BadDispatch", "the body of the event is no base64")
            return _reply(event, answer)
        answer = host.answer(method, path, _headers(event), body, _limit_secs(context))
        return _reply(event, answer)

    return handler


def _method(event: Event) -> str:
    """Return the method of the request.

    Raises:
        ValueError: the event is of no HTTP request.
    """
    if "httpMethod" in event:
        return str(event["httpMethod"])
    http = (event.get("requestContext") or {}).get("http")
    if not http:
        raise ValueError(
            "this function takes HTTP requests of API Gateway, a function URL or a load balancer, "
            f"not an event with {', '.join(map(repr, sorted(event))) or 'nothing in it'}"
        )
    return str(http["method"])


def _path(event: Event, base: str) -> str:
    path = unquote(event["path"] if "httpMethod" in event else event.get("rawPath", "/"))
    if "httpMethod" not in event:
        # Only the default stage has no name in the path.
        path = _below(path, f"/{event['requestContext'].get('stage', '$default')}")
    return _below(path, base)


def _below(path: str, prefix: str) -> str:
    return path[len(prefix) :] if path.startswith(f"{prefix}/") else path


def _headers(event: Event) -> dict[bytes, bytes]:
    found = {name: values[-1] for name, values in (event.get("multiValueHeaders") or {}).items()}
    found |= event.get("headers") or {}
    return {name.lower().encode(): str(value).encode() for name, value in found.items()}


def _body(event: Event) -> bytes:
    """Return the body.

    Raises:
        ValueError: it should be base64 and is not.
    """
    body = event.get("body") or ""
    return base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()


def _limit_secs(context: FunctionContext | None) -> float | None:
    if context is None:
        return None
    return max(context.get_remaining_time_in_millis() / 1000 - _LAST_WORDS_SECS, 0.001)


def _reply(event: Event, answer: Answer) -> Reply:
    said: Reply = {
        "statusCode": answer.status,
        "body": answer.body.decode(),
        "isBase64Encoded": False,
    }
    headers = dict(text_headers(answer))
    # A load balancer that is set to many values for a header reads only those.
    if "multiValueHeaders" in event and "headers" not in event:
        return {**said, "multiValueHeaders": {name: [value] for name, value in headers.items()}}
    return {**said, "headers": headers}
