"""Looking at one installed distribution; nothing here knows of jobs."""

from __future__ import annotations

import base64
import hashlib
from importlib import metadata
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

_CHUNK = 1024 * 1024
# Installers write these after the wheel's RECORD was made, or leave them without a hash.
_UNHASHED = (".pyc", "RECORD", "RECORD.jws", "RECORD.p7s")


def distributions() -> list[str]:
    """Return the names of all installed distributions, sorted, each once."""
    names = {dist.metadata["Name"] for dist in metadata.distributions() if dist.metadata["Name"]}
    return sorted(names, key=str.lower)


def inspect(name: str) -> dict[str, Any]:
    """Return what there is to say about one distribution.

    The answer has `name`, `version`, `licence`, `files`, `bytes`, and lists of findings:
    `changed` (files whose hash differs from RECORD), `missing` (files of RECORD that are not on
    the disk) and `unmet` (dependencies that are not installed in a fitting version).
    """
    dist = metadata.distribution(name)
    changed, missing, files, size = _check_files(dist)
    return {
        "name": dist.metadata["Name"],
        "version": dist.version,
        "licence": licence(dist.metadata),
        "files": files,
        "bytes": size,
        "changed": changed,
        "missing": missing,
        "unmet": unmet_requirements(dist.requires or []),
    }


def licence(facts: metadata.PackageMetadata) -> str:
    """Return the licence that a distribution declares, or "" when it declares none."""
    for field in ("License-Expression", "License"):
        text = next(iter(facts.get_all(field) or []), "").strip()
        if text and text.upper() != "UNKNOWN":
            return text.splitlines()[0][:80]
    classifiers = [c for c in facts.get_all("Classifier") or [] if c.startswith("License ::")]
    return classifiers[0].rpartition(" :: ")[2] if classifiers else ""


def unmet_requirements(declared: list[str]) -> list[str]:
    """Return the declared dependencies that apply here and are not met."""
    unmet = []
    for text in declared:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            unmet.append(f"{text} (not a valid requirement)")
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        problem = _problem(requirement)
        if problem:
            unmet.append(f"{requirement.name}{requirement.specifier} ({problem})")
    return unmet


def _problem(requirement: Requirement) -> str:
    try:
        installed = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return "not installed"
    if not requirement.specifier.contains(installed, prereleases=True):
        return f"{installed} is installed"
    return ""


def _check_files(dist: metadata.Distribution) -> tuple[list[str], list[str], int, int]:
    changed, missing, count, size = [], [], 0, 0
    for file in dist.files or []:
        path = file.locate()
        name = str(file)
        try:
            size += path.stat().st_size  # type: ignore[attr-defined]  # a `Path` for what is installed
        except OSError:
            if not name.endswith(".pyc"):
                missing.append(name)
            continue
        count += 1
        if file.hash is None or name.endswith(_UNHASHED):
            continue
        if _digest(str(path), file.hash.mode) != file.hash.value:
            changed.append(name)
    return changed, missing, count, size


def _digest(path: str, algorithm: str) -> str:
    """Return the digest of a file as RECORD writes it: URL-safe base64 without padding."""
    digest = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
