"""What a decision writes into the append-only ledger of its subject."""

from __future__ import annotations

from msgspec import Struct

from strait.engine.model import Json

STATE_CHANGE = "state_change"
"""The type of the entries that tell what a subject has become."""


class Entry(Struct, frozen=True):
    """One line of a run's or a workflow run's history.

    Attributes:
        type: `state_change`, `log`, `error`, `progress`, or a free name.
        message: one sentence for people.
        level: `debug`, `info`, `warn` or `error`.
        data: what programs read; a JSON object, or nothing.
    """

    type: str
    message: str
    level: str = "info"
    data: dict[str, Json] | None = None


def moved(
    before: str, after: str, message: str = "", *, level: str = "info", **data: Json
) -> Entry:
    """Return the entry of a change of status; `data` has `from`, `to` and what else is given."""
    return Entry(
        STATE_CHANGE,
        message or f"{before} -> {after}",
        level,
        {"from": before, "to": after, **data},
    )
