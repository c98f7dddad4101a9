"""Names that the runtime keeps for itself inside what users also write to.

The embedded server and the host of the handlers have to agree on them, so they stand on the
ground floor.
"""

from __future__ import annotations

from hashlib import sha256

STATE_PREFIX = "strait."
"""Keys of a run's state that start so belong to the runtime; handlers are refused them."""

STEP_PREFIX = "strait.step."
VERSION_PREFIX = "strait.version."
SLEEP_PREFIX = "strait.sleep."
HOST_PREFIXES = (STEP_PREFIX, VERSION_PREFIX, SLEEP_PREFIX)
"""Reserved keys that the host of a handler writes itself, through the run's state."""

SUSPENDED_KEY = "strait.suspended"
"""What a run that is suspended waits for; the server's own note."""

UNDO_STEP_PREFIX = "undo:"
"""An undo that has run is recorded as a step of this name, with the name of what it undid."""

UNDO_OF_METADATA = "strait.undo_of"
"""Metadata of a companion run: the run that it undoes."""

UNDO_HEADER = "X-Strait-Undo"
"""A dispatch with this header, `server`, comes from a platform that has undos run by itself."""

UNDO_OF_HEADER = "X-Strait-Undo-Of"
"""A dispatch with this header undoes the run that it names."""


def step_key(name: str, occurrence: int) -> str:
    """Return the state key that holds how the `occurrence`th (from 0) step of a name ended."""
    return f"{STEP_PREFIX}{occurrence}.{_digest(name)}"


def version_key(change_id: str) -> str:
    """Return the state key that holds which version of a change a run follows."""
    return f"{VERSION_PREFIX}{_digest(change_id)}"


def sleep_key(number: int) -> str:
    """Return the state key that holds until when the `number`th (from 0) sleep of a run lasts."""
    return f"{SLEEP_PREFIX}{number}"


def event_state_key(event_key: str, occurrence: int) -> str:
    """Return the state key that holds the `occurrence`th (from 0) payload of an event.

    When a run waits for an event, the server writes what came to this key before it queues the
    run again; the same call of the next dispatch finds it there. The value is an object with
    `event_key`, `payload` and `received_at`; of a wait that was to go on without its event, it has
    `timed_out: true` in place of the payload when none came. Event keys may be longer than state
    keys (512 against 256 characters), hence the digest.
    """
    return f"{STATE_PREFIX}event.{occurrence}.{_digest(event_key)}"


def spawn_key(name: str) -> str:
    """Return the state key that holds the id of a child that was spawned under a name.

    The host names each spawn of an attempt by its place (`<occurrence>:<job slug>`), so that the
    same call of the next dispatch finds the child that is there instead of making another.
    """
    return f"{STATE_PREFIX}spawn.{_digest(name)}"


def child_outcome_key(child_run_id: str) -> str:
    """Return the state key of a parent that holds how a child ended.

    The value is an object with `run_id`, `status`, and `result` or `error` where there is one.
    """
    return f"{STATE_PREFIX}child.{child_run_id}"


def _digest(name: str) -> str:
    return sha256(name.encode()).hexdigest()[:32]
