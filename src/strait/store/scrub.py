"""What is left of a run whose payloads are purged; works on the runs in `temp.reached`."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from strait.clock import Timestamp

# Free texts of a user go too: an error or a tag may repeat what was in the payload. A message that
# waits to be sent is given up, since nothing is left of it.
_SCRIPT = """
DELETE FROM run_tags WHERE run_id IN temp.reached;
UPDATE runs
   SET revision = revision + 1,
       payload = iif(payload IS NULL, NULL, :tombstone),
       result = iif(result IS NULL, NULL, :tombstone),
       doc = json_remove(doc, '$.error', '$.tags', '$.metadata', '$.concurrency_key')
 WHERE id IN temp.reached;
UPDATE runs SET idempotency_key = NULL, doc = json_remove(doc, '$.idempotency_key')
 WHERE id IN temp.reached AND finished_at < :keys_before;
UPDATE ledger SET message = 'purged', data = NULL
 WHERE subject IN temp.reached AND (type <> 'state_change' OR data ->> '$.to' IS NULL);
UPDATE ledger
   SET message = coalesce(data ->> '$.from' || ' -> ', '') || (data ->> '$.to'),
       data = json_patch('{}', json_object(
         'from', data ->> '$.from', 'to', data ->> '$.to', 'attempt', data ->> '$.attempt',
         'step_ref', data ->> '$.step_ref', 'step_run_id', data ->> '$.step_run_id'))
 WHERE subject IN temp.reached AND type = 'state_change' AND data IS NOT NULL;
UPDATE checkpoints SET doc = json_set(doc, '$.state', json(:tombstone))
 WHERE run_id IN temp.reached;
UPDATE run_state SET value = :tombstone WHERE run_id IN temp.reached;
UPDATE run_outputs
   SET doc = json_set(json_remove(doc, '$.schema'), '$.value', json(:tombstone))
 WHERE run_id IN temp.reached;
UPDATE run_samples SET doc = json_remove(doc, '$.input', '$.output', '$.description')
 WHERE run_id IN temp.reached;
UPDATE worker_tasks SET error = NULL WHERE run_id IN temp.reached;
UPDATE event_triggers
   SET event_key = 'purged:' || id,
       doc = json_set(
         json_remove(doc, '$.request_payload', '$.response_payload', '$.error'),
         '$.event_key', 'purged:' || id)
 WHERE job_run_id IN temp.reached OR workflow_run_id IN temp.reached OR step_run_id IN
       (SELECT id FROM step_runs WHERE workflow_run_id IN temp.reached);
UPDATE workflow_runs
   SET labels = '{}', doc = json_remove(doc, '$.error', '$.tags') WHERE id IN temp.reached;
UPDATE workflow_runs SET doc = json_set(doc, '$.payload', json(:tombstone))
 WHERE id IN temp.reached AND doc -> '$.payload' IS NOT NULL;
UPDATE step_runs SET doc = json_remove(doc, '$.error') WHERE workflow_run_id IN temp.reached;
UPDATE step_runs SET doc = json_set(doc, '$.output', json(:tombstone))
 WHERE workflow_run_id IN temp.reached AND doc -> '$.output' IS NOT NULL;
UPDATE approvals SET doc = json_remove(doc, '$.error') WHERE workflow_run_id IN temp.reached;
UPDATE deliveries
   SET body = :tombstone, last_error = '', status = iif(status = 'pending', 'dead', status)
 WHERE run_id IN temp.reached OR subject_id IN temp.reached;
INSERT INTO ledger (subject, seq, project_id, at, type, level, message, data)
  SELECT subject, max(seq) + 1, project_id, :now, 'purged', 'info', 'payloads purged', :tombstone
    FROM ledger WHERE subject IN temp.reached GROUP BY subject
"""
_REPLACED = frozenset({"payload", "result", "output"})
_REMOVED = frozenset({"error", "tags", "metadata"})


def everything(db: sqlite3.Connection, now: Timestamp, *, forget_keys_before: Timestamp) -> None:
    """Put tombstones in the place of all payloads, and note in each history that it was done."""
    values = {
        "tombstone": json.dumps({"purged_at": now}, separators=(",", ":")),
        "now": now,
        "keys_before": forget_keys_before,
    }
    for statement in _SCRIPT.split(";"):
        db.execute(statement, values)
    _answers(db, now)


def _answers(db: sqlite3.Connection, now: Timestamp) -> None:
    """Scrub the answers that are kept for repeated requests; the repetition still makes nothing."""
    reached = {run_id for (run_id,) in db.execute("SELECT id FROM temp.reached")}
    for scope, key, answer in db.execute("SELECT scope, key, answer FROM idempotency").fetchall():
        document = json.loads(answer or b"null")
        if not _names(document, reached):
            continue
        scrubbed = json.dumps(_scrubbed(document, now), separators=(",", ":")).encode()
        db.execute(
            "UPDATE idempotency SET answer = ? WHERE scope = ? AND key = ?", (scrubbed, scope, key)
        )


def _names(document: Any, reached: set[str]) -> bool:
    """Tell whether one of the runs is named anywhere in JSON."""
    match document:
        case str():
            return document in reached
        case dict():
            return any(_names(value, reached) for value in document.values())
        case list():
            return any(_names(value, reached) for value in document)
    return False


def _scrubbed(document: Any, now: Timestamp) -> Any:
    match document:
        case dict():
            return {
                name: {"purged_at": now} if name in _REPLACED else _scrubbed(value, now)
                for name, value in document.items()
                if name not in _REMOVED
            }
        case list():
            return [_scrubbed(value, now) for value in document]
    return document
