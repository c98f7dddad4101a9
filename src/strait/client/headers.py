"""Headers: names without regard to case, values that a request can carry, secrets hidden."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping

from strait.errors import ValidationError

REDACTED = "[redacted]"
_SECRET = frozenset(
    {
        "authorization",
        "cookie",
        "proxy-authorization",
        "set-cookie",
        "x-api-key",
        "x-internal-secret",
        "x-run-token",
    }
)
# What is shorter is found by chance.
_SHORTEST_SECRET = 8
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_VALUE = re.compile(r"[\t\x20-\x7e]*")


def checked(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers with names in lower case.

    Raises:
        ValidationError: a name or a value is nothing that a request can carry.
    """
    if not isinstance(headers, Mapping):
        raise ValidationError(
            f"headers must be a mapping of names to texts, not `{type(headers).__name__}`"
        )
    clean: dict[str, str] = {}
    for name, value in headers.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValidationError(f"{name!r} is no name of a header")
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            # The value is not shown: it may be a secret.
            raise ValidationError(f"header `{name}` must be a text of visible ASCII characters")
        clean[name.lower()] = value.strip()
    return clean


def redacted(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers, names in lower case, in which nothing secret is left."""
    return {name: REDACTED if name in _SECRET else value for name, value in headers.items()}


def without_secrets(content: bytes, headers: Mapping[str, str]) -> bytes:
    """Return an answer in which the secrets of its request are hidden: some proxies echo it."""
    for name in _SECRET & headers.keys():
        token = headers[name].rpartition(" ")[2]
        if len(token) >= _SHORTEST_SECRET:
            content = content.replace(token.encode(), REDACTED.encode())
    return content


class HookHeaders(MutableMapping[str, str]):
    """What hooks see of a request's headers: any case, secrets redacted, changes are sent."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers = headers

    def __getitem__(self, name: str) -> str:
        value = self._headers[name.lower()]
        return REDACTED if name.lower() in _SECRET else value

    def __setitem__(self, name: str, value: str) -> None:
        self._headers.update(checked({name: value}))

    def __delitem__(self, name: str) -> None:
        del self._headers[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)

    def __repr__(self) -> str:
        return repr(dict(self))
