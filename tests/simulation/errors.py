"""What the platform logs as an error is a fault, unless it is a part of the story."""

from __future__ import annotations

import logging

from simulation.machine import Machine
from strait.store.writer import StoreUnavailable, is_about_the_disk


class Errors(logging.Handler):
    """Whatever the server logs as an error is a fault, while it lives."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(logging.ERROR)
        self._machine = machine

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "strait.serve":
            return  # what handlers fail of is a part of the story
        if self._machine.was_full and _is_of_the_disk(record):
            return
        if self._machine.platform is not None:
            error = record.exc_info[1] if record.exc_info else None
            self._machine.faults.append(f"logged: {record.getMessage()}: {error!r}")


def _is_of_the_disk(record: logging.LogRecord) -> bool:
    named = record.args if isinstance(record.args, tuple) else ()
    errors = [error for error in named if isinstance(error, Exception)]
    return any(isinstance(error, StoreUnavailable) or is_about_the_disk(error) for error in errors)
