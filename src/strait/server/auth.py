"""Who asks: API keys, the internal secret, and what they may do (`contract/runs.md` §7)."""

from __future__ import annotations

import hmac
import secrets
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar

from strait.clock import SECOND, to_timestamp
from strait.server import tokens
from strait.server.errors import ApiError
from strait.store import meta

KEY_PREFIX = "strait_"
KEY_ACTOR = "apikey:"
"""How the actor of an API key begins; its id follows."""

INTERNAL_ACTOR = "internal"
SCOPES = frozenset(
    {
        "*", "jobs:read", "jobs:write", "jobs:trigger", "runs:read", "runs:write",
        "workflows:read", "workflows:write", "workflows:trigger", "secrets:read", "secrets:write",
        "webhooks:read", "webhooks:write", "api-keys:manage", "rbac:manage", "stats:read",
        "projects:read", "projects:write", "projects:manage", "workers:connect", "dlq:read",
        "dlq:replay", "dlq:purge", "outbox:read", "outbox:retry", "outbox:purge",
    }
)  # fmt: skip
# `last_used_at` is for people; writing it on every request would be a write per read.
LAST_USED_STEP_SECS = 60


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of a request.

    Attributes:
        actor: `apikey:<id>`, or what an internal caller says it acts for.
        project_id: the only project that it sees; "" for a bare internal secret.
        scopes: what it may do; None is everything.
        internal: it has the internal secret.
        org_id: the organization that a key was made for, or "".
        environment_id: the only environment that a key is for, or "".
    """

    NOBODY: ClassVar[Principal]

    actor: str
    project_id: str
    scopes: frozenset[str] | None
    internal: bool = False
    org_id: str = ""
    environment_id: str = ""

    @property
    def actor_type(self) -> str:
        """`api_key`, `user` for whom an internal caller acts, or `system`."""
        if not self.internal:
            return "api_key"
        return "system" if self.actor == INTERNAL_ACTOR else "user"

    def require(self, permission: str | None) -> None:
        """Check one scope, alternatives (`a|b`), or several (`a&b`).

        Raises:
            ApiError: 403 naming what is missing.
        """
        if permission is None or self.scopes is None or "*" in self.scopes:
            return
        for needed in permission.split("&"):
            if not self.scopes.intersection(needed.split("|")):
                raise ApiError(403, f"insufficient permissions: requires {needed}")

    def grants(self, scope: str) -> bool:
        """Return whether the caller has a scope, and so may hand it on."""
        return self.scopes is None or "*" in self.scopes or scope in self.scopes


Principal.NOBODY = Principal("", "", frozenset())


def check_grants(principal: Principal, scopes: Iterable[str]) -> None:
    """Check that a caller hands on only what it has itself.

    Raises:
        ApiError: 403 naming the first scope that it lacks.
    """
    for scope in sorted(scopes):
        if not principal.grants(scope):
            raise ApiError(403, f"cannot grant permission {scope}: caller does not have it")


def check_reach(principal: Principal, scopes: Iterable[str], what: str) -> None:
    """Check that a caller changes or removes nothing that allows more than the caller may do.

    Raises:
        ApiError: 403 naming the first scope that it lacks.
    """
    for scope in sorted(scopes):
        if not principal.grants(scope):
            raise ApiError(
                403,
                f"cannot change or remove {what} with permission {scope}: caller does not have it",
            )


def new_key() -> str:
    """Return a fresh API key: `strait_` and 32 random bytes in hexadecimal."""
    return KEY_PREFIX + secrets.token_hex(32)


def hash_key(key: str) -> str:
    """Return what is stored of a key. It is random, so a plain digest cannot be guessed back."""
    return sha256(key.encode()).hexdigest()


class Keys:
    """API keys by hash, in memory once they were used."""

    def __init__(self) -> None:
        self._known: dict[str, meta.ApiKey] = {}
        self._by_id: dict[str, meta.ApiKey | None] = {}

    def forget(self) -> None:
        """Read all keys anew; called whenever one changed."""
        self._known.clear()
        self._by_id.clear()

    def find(self, reader: sqlite3.Connection, key: str) -> tuple[str, meta.ApiKey | None]:
        """Return the hash of a key and its record, if there is one."""
        key_hash = hash_key(key)
        return key_hash, self.by_hash(reader, key_hash)

    def by_hash(self, reader: sqlite3.Connection, key_hash: str) -> meta.ApiKey | None:
        """Return the record of the key that has a hash, if there is one."""
        record = self._known.get(key_hash)
        if record is None:
            record = meta.key_by_hash(reader, key_hash)
            if record is not None:
                self._known[key_hash] = record
        return record

    def problem_of(self, reader: sqlite3.Connection, principal: Principal, now: int) -> str:
        """Return why who was let in with a key would be refused by now, or ""."""
        if principal.internal or not principal.actor.startswith(KEY_ACTOR):
            return ""
        key_id = principal.actor.removeprefix(KEY_ACTOR)
        if key_id not in self._by_id:
            self._by_id[key_id] = meta.key_by_id(reader, key_id)
        return key_problem(self._by_id[key_id], now)

    def touch(self, key_hash: str, record: meta.ApiKey) -> None:
        """Remember a record that was just written."""
        self._known[key_hash] = record


def authenticate_key(record: meta.ApiKey | None, now: int) -> Principal:
    """Return the caller that a key stands for.

    Raises:
        ApiError: 401 with the contract's text for keys that are unknown or over.
    """
    why = key_problem(record, now)
    if record is None or why:
        raise ApiError(401, why)
    return Principal(
        actor=f"{KEY_ACTOR}{record.id}",
        project_id=record.project_id,
        scopes=frozenset(record.scopes) or None,
        org_id=record.org_id,
        environment_id=record.environment_id,
    )


def key_problem(record: meta.ApiKey | None, now: int) -> str:
    """Return why a key opens nothing, in the contract's words, or "" while it does."""
    if record is None:
        return "invalid api key"
    if record.revoked_at:
        if not record.grace_expires_at:
            return "api key has been revoked"
        if record.grace_expires_at <= to_timestamp(now):
            return "api key rotation grace period has ended"
    if record.expires_at and record.expires_at <= to_timestamp(now):
        return "api key has expired"
    return ""


def authenticate_internal(configured: str, given: str, *, project_id: str, actor: str) -> Principal:
    """Return the internal caller, who may do everything in the project that it names.

    Raises:
        ApiError: 401 when there is no such secret or it is another.
    """
    if not configured or not hmac.compare_digest(configured.encode(), given.encode()):
        raise ApiError(401, "invalid or missing api key")
    return Principal(
        actor=actor or INTERNAL_ACTOR, project_id=project_id, scopes=None, internal=True
    )


def authenticate_sse(key: str, given: str, now: int) -> Principal:
    """Return the caller that a token for event streams stands for.

    Raises:
        ApiError: 401, it is none of this server, or too old.
    """
    try:
        token = tokens.read_sse(key, given, now=now)
    except tokens.TokenError as error:
        raise ApiError(401, str(error)) from error
    return Principal(
        actor=token.actor,
        project_id=token.project_id,
        scopes=token.scopes,
        environment_id=token.environment_id,
    )


def is_stale(last_used_at: str, now: int) -> bool:
    """Return whether `last_used_at` is worth writing anew."""
    return last_used_at < to_timestamp(now - LAST_USED_STEP_SECS * SECOND)
