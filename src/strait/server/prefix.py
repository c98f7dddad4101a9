"""Under which path this server stands where a proxy serves it below one."""

from __future__ import annotations

import re
from collections.abc import Mapping

from strait.server.settings import Settings

# What an answer that names addresses depends on, for whoever keeps it.
VARY = b"x-forwarded-prefix"

# A path in its plainest form: it begins at the root of this very server, and leads nowhere else.
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*){1,8}", re.ASCII)


def root_of(settings: Settings, headers: Mapping[bytes, bytes]) -> str:
    """Return the path prefix of what a request asks for, such as `/strait`; empty for none.

    It is what this server was told (`--root-path`), else what the proxy says, if that is a plain
    path. A wrong one leads whoever sent it to addresses of this server that are not there, and
    nobody else anywhere.
    """
    told = settings.root_path.rstrip("/")
    if told or VARY not in headers:
        return told
    path = headers[VARY].decode("latin-1").rstrip("/")
    return path if _PLAIN_PATH.fullmatch(path) else ""
