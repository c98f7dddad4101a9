"""The files of the page, read once, under addresses that change whenever one of them does."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from html import escape
from pathlib import Path

from strait.server.http import Reply

STATIC = Path(__file__).parent / "static"
PREFIX = "/dashboard/static/"
_INDEX = "index.html"
_TYPES = {
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
# Nothing inline, nothing from elsewhere: what a page does not allow, no payload can do in it.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    b"img-src 'self' data:; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)
_SAFE = (
    (b"content-security-policy", _POLICY),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)
_FOR_EVER = b"public, max-age=31536000, immutable"
_ASK_AGAIN = b"no-cache"


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is sent."""

    body: bytes
    packed: bytes
    content_type: bytes
    etag: bytes


class Files:
    """All files of the page; `version` stands for the content of all of them."""

    def __init__(self, directory: Path = STATIC) -> None:
        self._directory = directory

    @cached_property
    def _bodies(self) -> dict[str, bytes]:
        paths = sorted(path for path in self._directory.rglob("*") if path.is_file())
        return {path.relative_to(self._directory).as_posix(): path.read_bytes() for path in paths}

    @cached_property
    def version(self) -> str:
        """A digest of everything, which is a part of all addresses."""
        digest = sha256()
        for name, body in self._bodies.items():
            digest.update(f"{name}\0{len(body)}\0".encode() + body)
        return digest.hexdigest()[:16]

    @cached_property
    def _files(self) -> dict[str, File]:
        return {
            name: _file(name, body)
            for name, body in self._bodies.items()
            if Path(name).suffix in _TYPES
        }

    def asset(self, name: str, headers: dict[bytes, bytes]) -> Reply | None:
        """Return the answer to `<version>/<file>`, or None where there is no such file.

        Another version than ours is one of an older server: it gets the file of now, unkept.
        """
        version, _, name = name.partition("/")
        file = self._files.get(name)
        if file is None:
            return None
        kept = _FOR_EVER if version == self.version else _ASK_AGAIN
        return _sent(file, kept, headers)

    def index(self, root: str, headers: dict[bytes, bytes]) -> Reply:
        """Return the page itself, whose addresses are below `root` (a prefix, or "")."""
        text = self._bodies[_INDEX].decode()
        text = text.replace("{{root}}", escape(root)).replace("{{version}}", self.version)
        body = text.encode()
        etag = b'"' + sha256(body).hexdigest()[:16].encode() + b'"'
        file = File(body, gzip.compress(body, mtime=0), b"text/html; charset=utf-8", etag)
        return _sent(file, _ASK_AGAIN, headers)


def _file(name: str, body: bytes) -> File:
    etag = b'"' + sha256(body).hexdigest()[:16].encode() + b'"'
    return File(body, gzip.compress(body, 9, mtime=0), _TYPES[Path(name).suffix], etag)


def _sent(file: File, kept: bytes, headers: dict[bytes, bytes]) -> Reply:
    told = [
        *_SAFE,
        (b"cache-control", kept),
        (b"etag", file.etag),
        (b"vary", b"accept-encoding, x-forwarded-prefix"),
    ]
    known = headers.get(b"if-none-match", b"")
    if file.etag in [each.strip().removeprefix(b"W/") for each in known.split(b",")]:
        return Reply(304, b"", tuple(told), file.content_type)
    if b"gzip" in headers.get(b"accept-encoding", b""):
        told.append((b"content-encoding", b"gzip"))
        return Reply(200, file.packed, tuple(told), file.content_type)
    return Reply(200, file.body, tuple(told), file.content_type)
