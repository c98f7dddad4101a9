"""The chain of audit events: each is signed together with the hash of the one before it.

Who changes an event breaks its signature, who takes one out breaks the hash of the next, and who
cuts off an end breaks the seal, which says where the chain begins and ends.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any, NamedTuple

from msgspec import DecodeError, Raw, Struct, ValidationError, json

from strait.clock import Timestamp

SCHEMA_VERSION = 1

Keys = Callable[[int], bytes]


class AuditEvent(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What was done, by whom, to what (`AuditEvent` without its signature).

    Attributes:
        rotation_epoch: which key it is signed with.
        is_anchor: it is the first one that is signed with its key.
        previous_hash: the hash of the event before it; "" for the first one.
    """

    id: str
    project_id: str
    actor_id: str
    actor_type: str
    action: str
    resource_type: str
    resource_id: str
    created_at: Timestamp
    details: Raw = Raw(b"{}")
    remote_ip: str = ""
    user_agent: str = ""
    request_id: str = ""
    trace_id: str = ""
    schema_version: int = 0
    rotation_epoch: int = 0
    is_anchor: bool = False
    previous_hash: str = ""


class Signed(NamedTuple):
    """An event as it is kept: its number in the chain, its text, and the signature of both."""

    seq: int
    doc: bytes
    signature: str


class Seal(Struct, frozen=True, kw_only=True):
    """Where a chain begins and ends, and up to where it was found whole.

    Attributes:
        epoch: the key that the next event is signed with.
        first_seq: the number of the oldest event that is kept.
        base_hash: what that event names as the hash of its predecessor.
        last_seq: the number of the newest event; `first_seq - 1` in an empty chain.
        last_hash: the hash of the newest event.
        verified_seq: the newest event that a verification has reached.
        verified_hash: the hash of that event.
    """

    project_id: str
    epoch: int = 1
    first_seq: int = 1
    base_hash: str = ""
    last_seq: int = 0
    last_hash: str = ""
    verified_seq: int = 0
    verified_hash: str = ""


class Verdict(NamedTuple):
    """What a verification has found.

    Attributes:
        checked: how many events were looked at.
        first: the oldest one, if there is one.
        last: the newest one that is right.
        broken_id: the event at which the chain is broken, where that is known.
        error: what is wrong; "" when nothing is.
    """

    checked: int
    first: AuditEvent | None
    last: AuditEvent | None
    broken_id: str
    error: str


def sign(key: bytes, seq: int, doc: bytes) -> str:
    """Return the signature of an event, which holds for its place in the chain only."""
    return hmac.new(key, b"%d\n" % seq + doc, sha256).hexdigest()


def is_signed(key: bytes, signed: Signed) -> bool:
    """Tell whether an event is what was signed with a key; without a key nothing is."""
    return bool(key) and _same(sign(key, signed.seq, signed.doc), signed.signature)


def is_sealed(key: bytes, seal: bytes, signature: str) -> bool:
    """Tell whether a seal is what was signed with a key; without a key none is."""
    return bool(key) and _same(sign_seal(key, seal), signature)


def _same(expected: str, found: str) -> bool:
    # As bytes: of texts only ASCII can be compared, and what was tampered with can be anything.
    return hmac.compare_digest(expected.encode(), found.encode())


def hash_of(signed: Signed) -> str:
    """Return what the next event names as its predecessor."""
    return sha256(signed.doc + b"\n" + signed.signature.encode()).hexdigest()


def sign_seal(key: bytes, seal: bytes) -> str:
    """Return the signature of a seal."""
    return hmac.new(key, b"seal\n" + seal, sha256).hexdigest()


def shown(project_id: str, at: Timestamp, signed: Signed) -> dict[str, Any]:
    """Return an event as the API shows it.

    Args:
        project_id: whose it is.
        at: the instant that it is filed under.
        signed: the event. Is its text none any more, then the number and the instant are shown:
            one that was tampered with must not hide the others.
    """
    try:
        json.decode(signed.doc, type=AuditEvent)
        found: dict[str, Any] = json.decode(signed.doc)
    except (DecodeError, ValidationError):
        found = dict.fromkeys(("id", "actor_id", "actor_type", "action"), "")
        found |= {"resource_type": "", "resource_id": "", "details": _no_event(signed)}
        found |= {"project_id": project_id, "created_at": at}
    return {**found, "signature": signed.signature}


def _no_event(signed: Signed) -> str:
    return f"event number {signed.seq} is no event"


def check(seal: Seal, events: Iterable[Signed], keys: Keys, *, behind: bool = False) -> Verdict:
    """Check a chain against its seal.

    Args:
        seal: where it begins and ends; its own signature was checked.
        events: the events in their order.
        keys: returns the key of an epoch, or b"" when there is none.
        behind: whether the events are those behind what was verified last.
    """
    expected = seal.verified_seq + 1 if behind else seal.first_seq
    previous = seal.verified_hash if behind else seal.base_hash
    first: AuditEvent | None = None
    last: AuditEvent | None = None
    checked = 0
    for signed in events:
        checked += 1
        try:
            event = json.decode(signed.doc, type=AuditEvent)
        except (DecodeError, ValidationError):
            return Verdict(checked, first, last, "", _no_event(signed))
        problem = _problem(seal, signed, event, expected, previous, keys)
        if problem:
            return Verdict(checked, first, last, event.id, problem)
        first = first or event
        last = event
        expected += 1
        previous = hash_of(signed)
    if expected != seal.last_seq + 1 or previous != seal.last_hash:
        missing = seal.last_seq + 1 - expected
        return Verdict(checked, first, last, "", f"{missing} events are missing at the end")
    return Verdict(checked, first, last, "", "")


def _problem(
    seal: Seal, signed: Signed, event: AuditEvent, expected: int, previous: str, keys: Keys
) -> str:
    if signed.seq != expected:
        return f"event number {expected} is missing"
    key = keys(event.rotation_epoch)
    if not is_signed(key, signed):
        return "the signature does not fit: the event was changed"
    if event.project_id != seal.project_id:
        return "the event belongs to another project"
    if event.previous_hash != previous:
        return "the hash of the event before it does not fit"
    return ""


def export_signing(key: bytes) -> hmac.HMAC:
    """Begin to sign a download, which `update` is given piece by piece."""
    return hmac.new(key, b"export\n", sha256)


def export_signature(signing: hmac.HMAC) -> str:
    """Return the signature of what of a download was given so far."""
    return f"sha256={signing.hexdigest()}"
