"""Answers that are kept under an idempotency key, for a day (`contract/runs.md` §3.2)."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.server.errors import ApiError
from strait.server.http import Call, Reply, replayed
from strait.server.unit import Unit
from strait.server.work.housekeeping import KEEP_ANSWERS_SECS
from strait.store import meta

MAX_KEY_CHARS = 256


def check_key(key: str) -> None:
    """Check the key of a request.

    Raises:
        ApiError: 400, it is too long.
    """
    if len(key) > MAX_KEY_CHARS:
        raise ApiError(400, f"idempotency key must be {MAX_KEY_CHARS} characters or fewer")


def once(call: Call, unit: Unit, act: Callable[[], Reply]) -> Reply:
    """Answer a request under its idempotency key: the first time by doing it, later from memory."""
    scope = (
        f"{call.project_id}|{call.principal.actor}|{call.route.id}|{sorted(call.params.items())}"
    )
    key = call.idempotency_key
    digest = sha256(call.body_bytes).hexdigest()
    kept = meta.kept_answer(unit.db, scope, key)
    if kept is not None and from_timestamp(kept.created_at) > unit.now - KEEP_ANSWERS_SECS * SECOND:
        return replayed(Reply(kept.status, kept.body), same_body=kept.body_hash == digest)
    answer = act()
    if 200 <= answer.status < 300:
        meta.keep_answer(
            unit.db, scope, key, meta.Answer(digest, answer.status, answer.body, unit.stamp)
        )
        # Each new answer sweeps out two that are too old, so that there is never much to sweep.
        too_old = to_timestamp(unit.now - KEEP_ANSWERS_SECS * SECOND)
        meta.forget_answers(unit.db, too_old, limit=2)
    return answer
