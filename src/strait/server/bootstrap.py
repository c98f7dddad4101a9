"""The project and the key that a development platform comes with, found again at the next start."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from strait.server.auth import hash_key
from strait.server.errors import ApiError
from strait.server.platform import Platform
from strait.server.unit import Unit
from strait.server.vault import signing_place
from strait.server.work import api_keys, rbac
from strait.store import jobs, meta

DEFAULT_PROJECT = "proj_local"
_ORGANIZATION = "org_local"
_SECRET = "handler_secret"  # noqa: S105 - the name of a fact


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client of the platform needs beside its address.

    Attributes:
        project_id: the project.
        api_key: a key with every scope in it.
    """

    project_id: str
    api_key: str = field(repr=False)


async def ensure(
    platform: Platform, *, project_id: str = "", api_key: str = "", remember: Path | None = None
) -> Credentials:
    """Make sure that there is a project and a key, and return both.

    Args:
        platform: a platform that has started.
        project_id: the project; by default the one that was remembered, or `proj_local`.
        api_key: the key to make valid; by default the one that was remembered, or a new one.
        remember: the file in which key and project are kept, for the owner's eyes only.

    Raises:
        ApiError: the key belongs to another project.
    """
    kept = _read(remember)
    if kept is not None and project_id in {"", kept.project_id}:
        project_id = project_id or kept.project_id
        api_key = api_key or kept.api_key
    project_id = project_id or DEFAULT_PROJECT
    found = await platform.write(lambda unit: _ensure(unit, project_id, api_key))
    if remember is not None and found != kept:
        _write(remember, found)
    platform.opening_key = hash_key(found.api_key)
    return found


def _ensure(unit: Unit, project_id: str, api_key: str) -> Credentials:
    if meta.get_project(unit.db, project_id) is None:
        project = meta.Project(
            id=project_id,
            org_id=_ORGANIZATION,
            name=project_id,
            created_at=unit.stamp,
            updated_at=unit.stamp,
        )
        meta.put_project(unit.db, project)
        rbac.seed(unit, project_id)
    if api_key:
        present = meta.key_by_hash(unit.db, hash_key(api_key))
        if present is not None and present.project_id != project_id:
            raise ApiError(409, f"the API key belongs to project `{present.project_id}`")
        if present is not None and not present.revoked_at:
            return Credentials(project_id, api_key)
    _, key = api_keys.make(
        unit,
        project_id=project_id,
        name="local development",
        scopes=["*"],
        lifetime_days=None,
        key=api_key,
    )
    return Credentials(project_id, key)


def _read(path: Path | None) -> Credentials | None:
    if path is None:
        return None
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Credentials(str(kept["project_id"]), str(kept["api_key"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, credentials: Credentials) -> None:
    text = json.dumps({"project_id": credentials.project_id, "api_key": credentials.api_key})
    # Made with its final mode, so that at no moment anybody else can read it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text + "\n")


# ------------------------------------------------------------------------- the handlers' process


@dataclass(frozen=True, slots=True)
class HandlerPlace:
    """Where the process with the handlers is reached, start after start.

    Attributes:
        port: the loopback port that it had last, 0 before the first time. Runs that wait over a
            restart hold an address, so the same one is taken again where that is possible.
        signing_secret: what dispatches to it are signed with.
    """

    port: int
    signing_secret: str = field(repr=False)


async def handler_place(platform: Platform) -> HandlerPlace:
    """Return where handlers were last reached."""

    def work(unit: Unit) -> HandlerPlace:
        vault = platform.vault
        secret = vault.open(meta.get_meta(unit.db, _SECRET) or "", _SECRET)
        if not secret:
            secret = f"esec_{secrets.token_hex(32)}"
            meta.set_meta(unit.db, _SECRET, vault.seal(secret, _SECRET))
        return HandlerPlace(int(meta.get_meta(unit.db, "handler_port") or "0"), secret)

    return await platform.write(work)


async def handlers_are_at(platform: Platform, place: HandlerPlace, job_ids: Iterable[str]) -> None:
    """Remember where handlers are reached, and sign what is sent to these jobs."""
    ids = list(job_ids)

    def work(unit: Unit) -> None:
        meta.set_meta(unit.db, "handler_port", str(place.port))
        for job_id in ids:
            sealed = platform.vault.seal(place.signing_secret, signing_place(job_id))
            jobs.set_signing_secret(unit.db, job_id, sealed)
            platform.jobs.forget(job_id)
            unit.after(partial(platform.jobs.forget, job_id))

    await platform.write(work)
