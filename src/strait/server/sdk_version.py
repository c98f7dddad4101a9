"""What a handler's SDK is told of the plane that it speaks to (`contract/runs.md` §5)."""

from __future__ import annotations

import re
from functools import lru_cache

_VERSION = re.compile(rb"(\d{1,6})[\w.+-]{0,58}", re.ASCII)
# From this major version on an SDK is told what it may rely on.
_TOLD_FROM = 2


@lru_cache(maxsize=64)
def headers(version: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of an answer to an SDK that has said its version, or has said none."""
    match = _VERSION.fullmatch(version)
    knows = match is not None and int(match[1]) >= _TOLD_FROM
    return (
        (b"x-sdk-version-accepted", version if match else b"legacy"),
        (b"x-sdk-capabilities", b"progress,checkpoint" if knows else b"none"),
    )
