"""Who speaks with a run token, and whether its run may still be written (`contract/runs.md` §5)."""

from __future__ import annotations

import sqlite3

from strait.fsm import is_terminal_run_status
from strait.server import tokens
from strait.server.errors import ApiError, not_found
from strait.server.http import Call
from strait.store import runs as run_rows


def speaking(call: Call, db: sqlite3.Connection, token_key: str) -> run_rows.Stored:
    """Return the run that a token speaks for, if it is the one of the path and not over.

    Raises:
        ApiError: 401, 403, 404 or 410, in the contract's order and words.
    """
    token = _token(call, token_key)
    if token.run_id != call.params["runID"]:
        raise ApiError(403, "token does not match run ID")
    stored = run_rows.load(db, token.run_id)
    if stored is None:
        raise not_found("run")
    if is_terminal_run_status(stored.run.status):
        raise ApiError(410, "run has reached a terminal state")
    if stored.run.attempt != token.attempt:
        raise ApiError(401, "run token attempt is stale")
    if stored.state.assignment != token.assignment:
        raise ApiError(401, "run token assignment mismatch")
    return stored


def writing(call: Call, db: sqlite3.Connection, token_key: str) -> run_rows.Stored:
    """Return the run that a token speaks for, if its handler may write for it now.

    Raises:
        ApiError: as `speaking`, or 409 when the run is neither executing nor waiting.
    """
    stored = speaking(call, db, token_key)
    if stored.run.status not in {"executing", "waiting"}:
        raise ApiError(409, "run is not active for this SDK token")
    return stored


def _token(call: Call, token_key: str) -> tokens.RunToken:
    header = call.header(b"authorization")
    if header[:7].lower() != "bearer " or not header[7:].strip():
        raise ApiError(401, "missing or invalid authorization header")
    try:
        return tokens.read(token_key, header[7:].strip(), now=call.now)
    except tokens.TokenError as error:
        raise ApiError(401, str(error)) from error
