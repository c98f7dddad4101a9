"""How the result of a step is kept: as it is, sealed by a codec, or in a blob store."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from strait.authoring.recorded.arguments import opened
from strait.authoring.recorded.errors import MAX_VALUE_BYTES, StepValueTooLarge
from strait.errors import NonRetryable

if TYPE_CHECKING:
    from strait.errors import Json

SEALED = "$sealed"
BLOB = "$blob"
# What a record holds beside its value.
_ROOM_BYTES = 4_096


class Codec(Protocol):
    """Seals what steps return, so that the platform keeps what it cannot read.

    Attributes:
        name: told in each record; a codec opens what was sealed under its name.
    """

    name: str

    def seal(self, plain: bytes, /) -> bytes:
        """Return the bytes as the platform may see them."""
        ...

    def open(self, sealed: bytes, /) -> bytes:
        """Return the bytes as they were; raise if they were tampered with."""
        ...


class BlobStore(Protocol):
    """Keeps values that are too large for a platform."""

    def put(self, key: str, value: bytes, /) -> str:
        """Keep a value under a key, for good before it returns; return where it is."""
        ...

    def get(self, ref: str, /) -> bytes:
        """Return the value that is at a place."""
        ...


class DirectoryBlobs:
    """A blob store in a directory that all hosts of a job see.

    Args:
        directory: where the files are; it is made if it is not there.
    """

    def __init__(self, directory: Path | str) -> None:
        self._directory = Path(directory)

    def put(self, key: str, value: bytes, /) -> str:
        """Write a file and sync it."""
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / key
        fresh = path.with_name(f"{key}.{os.getpid()}.new")
        with fresh.open("wb") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        return key

    def get(self, ref: str, /) -> bytes:
        """Read a file.

        Raises:
            ValueError: the reference leads out of the directory.
        """
        if Path(ref).name != ref:
            raise ValueError(f"`{ref}` is no blob of this store")
        return (self._directory / ref).read_bytes()


def kept(
    step: str, key: str, value: object, codec: Codec | None, blobs: BlobStore | None
) -> tuple[Json, Json]:
    """Return the value of a step as it is recorded, and as every attempt gets it.

    Raises:
        NonRetryable: it is no JSON, or it is too large and there is no blob store.
    """
    text, raw = _encode(step, value)
    given = json.loads(text)
    stored: Json = given
    size = len(raw)
    if codec is not None:
        raw = codec.seal(raw)
        stored = {SEALED: base64.b64encode(raw).decode()}
        size = len(raw) * 4 // 3
    if size + _ROOM_BYTES > MAX_VALUE_BYTES:
        if blobs is None:
            raise StepValueTooLarge(step, size + _ROOM_BYTES)
        stored = {BLOB: blobs.put(key, raw)}
    return stored, given


def given_back(
    step: str, stored: Json, codec_name: str, codec: Codec | None, blobs: BlobStore | None
) -> Json:
    """Return what a step returned from how it is recorded.

    Raises:
        NonRetryable: the codec or the blob store that it needs is not there.
    """
    raw: bytes | None = None
    if isinstance(stored, dict) and stored.keys() == {BLOB}:
        if blobs is None:
            raise NonRetryable(f"the result of step `{step}` is in a blob store; give `blobs=`")
        raw = blobs.get(stored[BLOB])
    if codec_name:
        if codec is None or codec.name != codec_name:
            raise NonRetryable(
                f"the result of step `{step}` is sealed by codec `{codec_name}`; give that one"
            )
        sealed = raw if raw is not None else base64.b64decode(stored[SEALED])
        raw = codec.open(sealed)
    return stored if raw is None else json.loads(raw)


def _encode(step: str, value: object) -> tuple[str, bytes]:
    """Return a value as JSON, as text and as bytes.

    Raises:
        NonRetryable: it is none.
    """

    def known(item: object) -> Any:
        inside = opened(item)
        if inside is item:
            raise TypeError(
                f"a value of type `{type(item).__name__}` is no JSON; return JSON, or annotate the "
                "function with the type that it returns"
            )
        return inside

    try:
        # Not in ASCII: half of a surrogate pair, which no platform takes, is refused here.
        text = json.dumps(
            value, separators=(",", ":"), allow_nan=False, ensure_ascii=False, default=known
        )
        return text, text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise NonRetryable(f"the result of step `{step}` cannot be recorded: {error}") from None
