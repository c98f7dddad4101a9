"""The key-value store of a run, as its handler sees it: without what the runtime keeps in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strait.authoring.flow import Flow, as_json, items_of
from strait.authoring.validation import Checks
from strait.errors import NotFoundError
from strait.reserved import STATE_PREFIX

if TYPE_CHECKING:
    from strait.authoring.run_api import RunContextClient
    from strait.errors import Json


class RunState:
    """What a session can do with its run's state; `RunSession` is one.

    Attributes:
        run_id: the run.
    """

    run_id: str

    @property
    def api(self) -> RunContextClient:
        """The service that the calls go to."""
        raise NotImplementedError

    def get_state(self, key: str) -> Flow[Json]:
        """Return the value of a key, or None."""
        _own_key(key)
        return (yield from self._read(key))

    def set_state(self, key: str, value: Json) -> Flow[None]:
        """Write the value of a key."""
        _own_key(key)
        yield lambda: self.api.set_state(self.run_id, {"key": key, "value": value})

    def delete_state(self, key: str) -> Flow[None]:
        """Delete a key; one that is not there is fine."""
        _own_key(key)
        try:
            yield lambda: self.api.delete_state(self.run_id, key)
        except NotFoundError:
            return

    def list_state(self) -> Flow[list[dict[str, Json]]]:
        """Return the entries of the run's own keys."""
        rows = yield lambda: self.api.list_state(self.run_id)
        entries = [entry_of(as_json(row)) for row in items_of(rows)]
        return [entry for entry in entries if not entry["key"].startswith(STATE_PREFIX)]

    def _read(self, key: str) -> Flow[Json]:
        try:
            row = yield lambda: self.api.get_state(self.run_id, key)
        except NotFoundError:
            return None
        return as_json(row)["value"]


def entry_of(row: dict[str, Json]) -> dict[str, Json]:
    """Return a row of the platform's as `{"key", "value", "updated_at"}`."""
    return {"key": row["state_key"], "value": row["value"], "updated_at": row.get("updated_at")}


def _own_key(key: str) -> None:
    checks = Checks("state")
    checks.text("key", key, longest=256)
    if key.startswith(STATE_PREFIX):
        raise checks.refuse(f"`key` must not start with `{STATE_PREFIX}`: {key!r} is reserved")
