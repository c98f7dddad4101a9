"""Secrets at rest: sealed with AES-256-GCM under a key that does not lie in the database.

The key is `STRAIT_ENCRYPTION_KEY`, or a file beside the database that only its owner can read. Each
text is bound to the place that it belongs to, so that a sealed text cannot be moved to another one.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import sqlite3
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from strait.store import jobs, meta
from strait.store.connection import StoreError

PREFIX = "sealed:v1:"
_NONCE_BYTES = 12
_KEY_BYTES = 32
_PROOF = "vault_proof"


class Vault:
    """Seals texts and opens them again.

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def __repr__(self) -> str:
        return "Vault(…)"

    def seal(self, text: str, place: str) -> str:
        """Return a text as it may lie on a disk; an empty one stays empty.

        Args:
            text: the secret.
            place: where it belongs, such as `job:<id>`; it opens nowhere else.
        """
        if not text:
            return ""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode(), place.encode())
        return PREFIX + base64.urlsafe_b64encode(nonce + sealed).decode()

    def open(self, sealed: str, place: str) -> str:
        """Return the text that was sealed for `place`.

        Raises:
            StoreError: it was sealed with another key, or for another place, or was changed.
        """
        if not sealed:
            return ""
        try:
            raw = base64.urlsafe_b64decode(sealed.removeprefix(PREFIX))
            nonce, text = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
            return self._cipher.decrypt(nonce, text, place.encode()).decode()
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise StoreError(f"the secret of `{place}` cannot be opened: wrong key?") from error


def signing_place(job_id: str) -> str:
    """Return the place that the signing secret of a job is sealed for."""
    return f"job:{job_id}:signing_secret"


def field_place(kind: str, record_id: str, name: str) -> str:
    """Return the place that a secret field of a record is sealed for."""
    return f"{kind}:{record_id}:{name}"


def open_vault(db: sqlite3.Connection, key_file: Path | None, given: str) -> Vault:
    """Return the vault of a database, and see to it that its key is the right one.

    Args:
        db: the writer's connection, outside of a transaction.
        key_file: where the key is kept when none is given; None keeps it in memory only, for a
            database that goes with the server.
        given: the value of `STRAIT_ENCRYPTION_KEY`, or "".

    Raises:
        StoreError: the key is not the one that the database was begun with, or is no key.
    """
    vault = Vault(_key(db, key_file, given))
    proof = meta.get_meta(db, _PROOF)
    if proof is None:
        meta.set_meta(db, _PROOF, vault.seal("strait", _PROOF))
        return vault
    try:
        vault.open(proof, _PROOF)
    except StoreError as error:
        place = "`STRAIT_ENCRYPTION_KEY`" if given else f"`{key_file}`"
        raise StoreError(
            f"the key in {place} is not the one that the secrets of this database are sealed with"
        ) from error
    return vault


def seal_clear_texts(db: sqlite3.Connection, vault: Vault) -> None:
    """Seal what releases before this one kept in clear; does nothing the next time."""
    db.execute("BEGIN IMMEDIATE")
    for name in ("token_key", "handler_secret"):
        text = meta.get_meta(db, name)
        if text and not text.startswith(PREFIX):
            meta.set_meta(db, name, vault.seal(text, name))
    rows = db.execute("SELECT id, signing_secret FROM jobs WHERE signing_secret <> ''").fetchall()
    for job_id, text in rows:
        if not text.startswith(PREFIX):
            jobs.set_signing_secret(db, job_id, vault.seal(text, signing_place(job_id)))
    db.execute("COMMIT")


def _key(db: sqlite3.Connection, key_file: Path | None, given: str) -> bytes:
    if given:
        return _parse(given, "STRAIT_ENCRYPTION_KEY")
    if key_file is None:
        return secrets.token_bytes(_KEY_BYTES)
    try:
        return _parse(key_file.read_text(encoding="ascii").strip(), str(key_file))
    except FileNotFoundError:
        if meta.get_meta(db, _PROOF) is not None:
            raise StoreError(
                f"the key file `{key_file}` is gone; without it the secrets of this database "
                "cannot be opened: put it back, or set `STRAIT_ENCRYPTION_KEY`"
            ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"the key file `{key_file}` cannot be read: {error}") from error
    return _new_key_file(key_file)


def _new_key_file(path: Path) -> bytes:
    key = secrets.token_bytes(_KEY_BYTES)
    # Made with its final mode, so that at no moment anybody else can read it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(base64.urlsafe_b64encode(key).decode() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return key


def _parse(text: str, place: str) -> bytes:
    """Return the key of a text: 32 bytes in base64, or any other text of 32 characters or more."""
    try:
        key = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) == _KEY_BYTES:
        return key
    if len(text) >= _KEY_BYTES:
        return sha256(text.encode()).digest()
    raise StoreError(
        f"the encryption key in `{place}` must be 32 bytes in base64, or 32 characters or more"
    )
