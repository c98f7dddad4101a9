"""What every answer must be, whatever was asked."""

from __future__ import annotations

from collections.abc import Iterator

from fuzz.requests import Request
from fuzz.values import Place
from fuzz.wire import Answer
from strait.server.routes import registry
from support.description import problems

_HEADERS = ("x-request-id", "x-content-type-options", "content-security-policy")

# Usage is exported as CSV only.
_WHOLLY_SERVED = registry.operations() - {"export-usage"}


def faults(request: Request, answer: Answer, place: Place, secrets: tuple[str, ...]) -> list[str]:
    """Return what is wrong with an answer, each line beginning with the operation."""
    return [f"{request.route.id}: {line}" for line in _faults(request, answer, place, secrets)]


def _faults(
    request: Request, answer: Answer, place: Place, secrets: tuple[str, ...]
) -> Iterator[str]:
    status, body = answer.status, answer.body
    kind = answer.headers.get("content-type", "")
    if status >= 500 and not (status == 501 and request.route.id not in _WHOLLY_SERVED):
        yield f"answered {status}"
    if status < 400 and request.unauthorized:
        yield f"answered {status} without credentials"
    # What is repeated under its key is answered from memory, whatever the body is now.
    if status < 300 and request.refused and "idempotency-replayed" not in answer.headers:
        yield f"answered {status} although {request.refused}"
    for name in _HEADERS:
        if name not in answer.headers:
            yield f"{status} has no header {name}"
    if b"Traceback" in body or b'File "' in body:
        yield f"{status} shows a traceback"
    text = body.decode(errors="replace")
    # What was sent last is what an answer would show first.
    for secret in (*place.hushed[-200:], *secrets):
        if secret in text:
            yield f"{status} shows a secret that was sent"
            break
    if kind.startswith("application/json") and not _is_text(body):
        yield f"{status} is no UTF-8"
        return
    try:
        yield from problems(request.route.method, request.path, status, body, kind)
    except ValueError:
        yield f"{status} is no JSON: {body[:80]!r}"


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
