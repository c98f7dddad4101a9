"""Headers that make a platform do a thing once only, however often it is asked."""

from __future__ import annotations

from collections.abc import Mapping

from strait.client.headers import checked
from strait.errors import ValidationError

_HEADER = "Idempotency-Key"
# The platform refuses longer ones.
_LONGEST_KEY = 256


def with_idempotency(headers: Mapping[str, str] | None, key: str) -> dict[str, str]:
    """Return a copy of headers with `Idempotency-Key`; one that is there is replaced.

    With our clients `idempotency_key=` at the call does the same.

    Args:
        headers: headers to add to; names count without regard to case.
        key: at most 256 visible ASCII characters; the same for every try of one thing.

    Raises:
        ValidationError: the key is empty, too long, or nothing that a header can carry.
    """
    return with_idempotency_header(headers, key, _HEADER)


def with_idempotency_header(
    headers: Mapping[str, str] | None, key: str, header_name: str
) -> dict[str, str]:
    """Return a copy of headers with an idempotency key under a name of one's own.

    Args:
        headers: headers to add to; names count without regard to case.
        key: at most 256 visible ASCII characters.
        header_name: the name of the header.

    Raises:
        ValidationError: the key or the name is nothing that a header can carry.
    """
    checked({header_name: key})
    if not 1 <= len(key.strip()) <= _LONGEST_KEY:
        raise ValidationError(f"`key` must have 1 to {_LONGEST_KEY} characters, not {len(key)}")
    others = {
        name: value
        for name, value in (headers or {}).items()
        if name.lower() != header_name.lower()
    }
    return {**others, header_name: key}
