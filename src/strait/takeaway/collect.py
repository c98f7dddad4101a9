"""The document of a run, read through the public API of any platform."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from strait.errors import HttpError, NotFoundError
from strait.redaction import redacted_document
from strait.report import Ask, Document, gather

if TYPE_CHECKING:
    from strait.client import Client

# How a platform says that it has no such operation, or that this key may not use it.
NOT_TOLD = (403, 404, 405, 501)


def collect(client: Client, run_id: str, *, redact: Iterable[str] = ()) -> Document:
    """Return a run, or a workflow run, and all that is known of it.

    What must not leave is hidden already: see `strait.redaction.redacted_document`.

    Args:
        client: a client of its platform.
        run_id: the id of a run or of a workflow run.
        redact: paths whose values are hidden, such as `card.number`.

    Raises:
        NotFoundError: there is neither.
        StraitError: the platform cannot be asked.
    """
    document: Document = redacted_document(read(client, run_id), redact)
    return document


def read(client: Client, run_id: str, *, kept: bool = False) -> Document:
    """Return the document of a run with everything in it; `kept` as for `gather`."""
    try:
        return _driven(client, gather("run", run_id, _now(), kept=kept))
    except NotFoundError as missing:
        try:
            return _driven(client, gather("workflow_run", run_id, _now()))
        except NotFoundError:
            raise NotFoundError(404, f"there is no run and no workflow run `{run_id}`") from missing


def _driven(client: Client, flow: Any) -> Document:
    answer: Any = None
    while True:
        try:
            ask = flow.send(answer)
        except StopIteration as end:
            document: Document = end.value
            return document
        answer = _answer(client, ask)


def _answer(client: Client, ask: Ask) -> Any:
    params = {name: quote(value, safe="") for name, value in ask.params.items()}
    try:
        return client.get(ask.path.format_map(params), query=ask.query)
    except HttpError as error:
        if ask.needed or error.status not in NOT_TOLD:
            raise
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
