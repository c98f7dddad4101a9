"""Answers that are kept under an idempotency key, for a day (`contract/runs.md` §3.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256

from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.server.errors import ApiError
from strait.server.http import Call, Reply, replayed
from strait.server.unit import Unit
from strait.server.work.housekeeping import KEEP_ANSWERS_SECS
from strait.store import meta

MAX_KEY_CHARS = 256
TRIGGER = "trigger-job"


def check_key(key: str) -> None:
    """Check the key of a request.

    Raises:
        ApiError: 400, it is too long.
    """
    if len(key) > MAX_KEY_CHARS:
        raise ApiError(400, f"idempotency key must be {MAX_KEY_CHARS} characters or fewer")


def _succeeded(answer: Reply) -> bool:
    return 200 <= answer.status < 300


def once(
    call: Call,
    unit: Unit,
    act: Callable[[], Reply],
    *,
    keeps: Callable[[Reply], bool] = _succeeded,
) -> Reply:
    """Answer a request under its idempotency key: the first time by doing it, later from memory.

    Args:
        call: the request.
        unit: the transaction.
        act: does it.
        keeps: which answers use the key up.
    """
    scope = _scope(call.project_id, call.principal.actor, call.route.id, call.params)
    key = call.idempotency_key
    digest = sha256(call.body_bytes).hexdigest()
    kept = meta.kept_answer(unit.db, scope, key)
    if kept is not None and from_timestamp(kept.created_at) > unit.now - KEEP_ANSWERS_SECS * SECOND:
        return replayed(Reply(kept.status, kept.body), same_body=kept.body_hash == digest)
    answer = act()
    if keeps(answer):
        meta.keep_answer(
            unit.db, scope, key, meta.Answer(digest, answer.status, answer.body, unit.stamp)
        )
        # Each new answer sweeps out two that are too old, so that there is never much to sweep.
        too_old = to_timestamp(unit.now - KEEP_ANSWERS_SECS * SECOND)
        meta.forget_answers(unit.db, too_old, limit=2)
    return answer


def free(unit: Unit, actor: str, project_id: str, job_id: str, key: str) -> None:
    """Forget what was answered to a trigger of a job, so that its key makes another run."""
    meta.forget_answer(unit.db, _scope(project_id, actor, TRIGGER, {"jobID": job_id}), key)


def _scope(project_id: str, actor: str, operation: str, params: Mapping[str, str]) -> str:
    return f"{project_id}|{actor}|{operation}|{sorted(params.items())}"
