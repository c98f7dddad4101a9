"""What `strait dev` serves: what was named, what `strait.json` names, or what lies here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from strait.config import FILE_NAME
from strait.config_file import read_json
from strait.errors import ConfigurationError

# They hold Python, and no jobs that somebody would want to serve.
_NOT_CODE = frozenset(
    {"tests", "test", "docs", "examples", "scripts", "benchmarks", "build", "dist"}
)


@dataclass(frozen=True, slots=True)
class Target:
    """What is served.

    Attributes:
        shown: how it is called.
        names: what is imported: modules, files, directories.
        roots: the folders whose files are the project's.
        where: why these, for a person; "" for what was named.
    """

    shown: str
    names: tuple[str, ...]
    roots: tuple[Path, ...]
    where: str = ""


def find(name: str, here: Path) -> Target | None:
    """Return what is to be served; None if nothing was named and nothing lies here.

    Raises:
        ConfigurationError: `strait.json` is wrong, or several packages lie here.
    """
    if name:
        return _target((name,), here)
    return _of_file(here) or _of_folder(here)


def _target(names: tuple[str, ...], here: Path, where: str = "") -> Target:
    roots = {here.resolve()}
    for name in names:
        path = here / name.partition(":")[0]
        if path.is_file():
            roots.add(path.resolve().parent)
        elif path.is_dir():
            found = path.resolve()
            roots.add(found.parent if (found / "__init__.py").is_file() else found)
    return Target(", ".join(names), names, tuple(sorted(roots)), where)


def _of_file(here: Path) -> Target | None:
    file = here / FILE_NAME
    if not file.is_file():
        return None
    dirs = read_json(file).get("dirs")
    if dirs is None:
        return None
    if not isinstance(dirs, list) or not dirs or not all(isinstance(d, str) and d for d in dirs):
        raise ConfigurationError(f"`{file.name}`: `dirs` must be a list of directories")
    missing = [name for name in dirs if not (here / name).exists()]
    if missing:
        raise ConfigurationError(f"`{file.name}`: `dirs` names `{missing[0]}`, which is not there")
    return _target(tuple(dirs), here, f"`dirs` of {file.name}")


def _of_folder(here: Path) -> Target | None:
    if (here / "main.py").is_file():
        return _target(("main.py",), here, "main.py is here")
    found = [
        path
        for folder in (here, here / "src")
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if (path / "__init__.py").is_file() and path.name not in _NOT_CODE
    ]
    if not found:
        return None
    if len(found) > 1:
        names = ", ".join(f"`{path.relative_to(here)}`" for path in found)
        raise ConfigurationError(
            f"several packages are here ({names}); name one, or put `dirs` into {FILE_NAME}"
        )
    return _target((str(found[0].relative_to(here)),), here, "the package that is here")


def remote_settings(environment: dict[str, str], here: Path) -> list[str]:
    """Return what would lead a client to another platform from here, for a person to read."""
    found = []
    if url := environment.get("STRAIT_BASE_URL", "").strip():
        found.append(f"STRAIT_BASE_URL={_without_credentials(url)}")
    found += [name for name in ("STRAIT_API_KEY", "STRAIT_PROFILE") if environment.get(name)]
    file = here / FILE_NAME
    if file.is_file():
        sdk = read_json(file).get("sdk")
        address = sdk.get("base_url") if isinstance(sdk, dict) else None
        if isinstance(address, str):
            found.append(f"{FILE_NAME}: sdk.base_url={_without_credentials(address)}")
    return found


def _without_credentials(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    return scheme + mark + rest.rpartition("@")[2]
