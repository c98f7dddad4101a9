"""Names that the runtime keeps for itself inside what users also write to.

The embedded server and the host of the handlers have to agree on them, so they stand on the
ground floor.
"""

from __future__ import annotations

from hashlib import sha256

STATE_PREFIX = "strait."
"""Keys of a run's state that start so belong to the runtime; handlers are refused them."""


def event_state_key(event_key: str, occurrence: int) -> str:
    """Return the state key that holds the `occurrence`th (from 0) payload of an event.

    When a run waits for an event, the server writes what came to this key before it queues the
    run again; the same call of the next dispatch finds it there. The value is an object with
    `event_key`, `payload` and `received_at`. Event keys may be longer than state keys (512
    against 256 characters), hence the digest.
    """
    digest = sha256(event_key.encode()).hexdigest()[:32]
    return f"{STATE_PREFIX}event.{occurrence}.{digest}"


def spawn_key(name: str) -> str:
    """Return the state key that holds the id of a child that was spawned under a name.

    The host names each spawn of an attempt by its place (`<occurrence>:<job slug>`), so that the
    same call of the next dispatch finds the child that is there instead of making another.
    """
    digest = sha256(name.encode()).hexdigest()[:32]
    return f"{STATE_PREFIX}spawn.{digest}"


def child_outcome_key(child_run_id: str) -> str:
    """Return the state key of a parent that holds how a child ended.

    The value is an object with `run_id`, `status`, and `result` or `error` where there is one.
    """
    return f"{STATE_PREFIX}child.{child_run_id}"
