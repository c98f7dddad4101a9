"""Who may open a stream, and whose a worker's id is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from strait.server import auth
from strait.server.errors import ApiError
from strait.server.unit import Unit
from strait.server.workers.fleet import Refusal
from strait.store import meta

if TYPE_CHECKING:
    from strait.server.platform import Platform


class Caller(NamedTuple):
    """Whose key a stream was opened with."""

    project_id: str
    environment_id: str
    key_id: str
    key_hash: str


def identify(platform: Platform, authorization: str | None) -> Caller:
    """Return whose key a stream comes with.

    Raises:
        Refusal: it has none, or one that is not for workers.
    """
    if not authorization:
        raise Refusal("UNAUTHENTICATED", "missing authorization header")
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() != "bearer" or not key.strip().startswith(auth.KEY_PREFIX):
        raise Refusal("UNAUTHENTICATED", "invalid authorization format")
    key_hash, record = platform.keys.find(platform.reader, key.strip())
    return _checked(platform, key_hash, record)


def check(platform: Platform, key_hash: str) -> None:
    """Check the key of a stream again.

    Raises:
        Refusal: it was revoked or has expired since.
    """
    _checked(platform, key_hash, platform.keys.by_hash(platform.reader, key_hash))


def _checked(platform: Platform, key_hash: str, record: meta.ApiKey | None) -> Caller:
    try:
        auth.authenticate_key(record, platform.clock.now())
    except ApiError as error:
        raise Refusal("UNAUTHENTICATED", error.message) from error
    assert record is not None  # it was authenticated
    # A key without scopes may do everything else; this must be said.
    if not {"workers:connect", "*"}.intersection(record.scopes):
        raise Refusal("PERMISSION_DENIED", "api key does not allow worker connections")
    return Caller(record.project_id, record.environment_id, record.id, key_hash)


def may_take_over(unit: Unit, key_id: str, caller: Caller) -> bool:
    """Return whether a worker's id is the caller's: its own, its old key's, or of no key."""
    if key_id == caller.key_id:
        return True
    key = meta.key_by_id(unit.db, key_id)
    if key is None or key.replaced_by_key_id == caller.key_id:
        return True
    try:
        auth.authenticate_key(key, unit.now)
    except ApiError:
        return True
    return False
