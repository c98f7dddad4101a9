"""Waking log drains: by the clock, and when a server starts."""

from __future__ import annotations

from functools import partial

from strait.server.audience import DRAIN
from strait.server.unit import Unit
from strait.store import records


def due(unit: Unit, drain_id: str) -> None:
    """Send what there is for a drain."""
    unit.after(partial(unit.platform.log_drains.look, drain_id))


def after_restart(unit: Unit) -> None:
    """Send what the last server has not brought to its end."""
    for drain in records.everything(unit.db, DRAIN):
        due(unit, drain.id)
