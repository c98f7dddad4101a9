"""Finding the definitions of a target: a module, an attribute of one, a file, or a directory.

    discover("shop.jobs")              every definition in a module and its submodules
    discover("shop.jobs:pipeline")     one, or a list of them
    discover("examples/order_pipeline")  a directory with `main.py` or `__init__.py`
    discover("jobs.py")                a file
    discover("flows")                  a directory with neither: every module and package in it

Importing runs the code of the target, so this belongs into the process that runs the handlers.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from strait.authoring.definitions import Definition
from strait.authoring.jobs import JobDefinition
from strait.authoring.sources import Place
from strait.authoring.steps import held_by
from strait.authoring.workflows import WorkflowDefinition
from strait.errors import StraitError
from strait.serve.blame import culprit


class DiscoveryError(StraitError):
    """A target cannot be imported, or has no definitions; the text says which and why.

    Attributes:
        place: the line of the user's own files that it is about; None where there is none.
    """

    def __init__(self, text: str, place: Place | None = None) -> None:
        super().__init__(text)
        self.place = place


@dataclass(frozen=True, slots=True)
class Found:
    """What a target defines, each kind in the order of its definition."""

    jobs: tuple[JobDefinition[Any], ...]
    workflows: tuple[WorkflowDefinition[Any], ...]

    def all(self) -> list[Definition]:
        """Return jobs and workflows."""
        return [*self.jobs, *self.workflows]


def discover(target: str) -> Found:
    """Import a target and return every job and workflow that it defines.

    Definitions that a step of a workflow holds are found with it.

    Raises:
        DiscoveryError: there is no such target, its import fails, it defines nothing, or it
            defines two different things of one kind with the same slug.
    """
    found = _sorted_out(_definitions(target))
    if not found.all():
        raise _nothing(f"`{target}`")
    return found


def discover_all(targets: Sequence[str]) -> Found:
    """Import several targets and return what they define together.

    Raises:
        DiscoveryError: as `discover`, where all of them together must define something.
    """
    found = _sorted_out([one for target in targets for one in _definitions(target)])
    if not found.all():
        raise _nothing(" and ".join(f"`{target}`" for target in targets))
    return found


def folders_of(targets: Sequence[str]) -> list[Path]:
    """Return the folders in which a new file would belong to a target: those of its packages.

    Targets that were not imported have none.
    """
    folders: list[Path] = []
    for target in targets:
        name = target.partition(":")[0]
        path = Path(name)
        if path.is_dir():
            folders.append(path.resolve())
        elif not path.is_file():
            module = sys.modules.get(name)
            folders += [Path(folder).resolve() for folder in getattr(module, "__path__", ())]
    return folders


def address_of(definition: Definition) -> str:
    """Return the target that names a definition alone, `shop.orders:fulfil`; "" if none does.

    It is a name of the module that defines it; one inside of a list has none of its own.
    """
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) != definition.place.path:
            continue
        for name, value in list(vars(module).items()):
            if value is definition:
                return f"{module.__name__}:{name}"
    return ""


def _definitions(target: str) -> list[Definition]:
    module, _, attribute = target.partition(":") if ":" in target else (target, "", "")
    modules = _imported(module, whole=not attribute)
    if attribute:
        return _of_attribute(modules[0], attribute, target)
    return [found for module in modules for found in definitions_in(module)]


def _nothing(where: str) -> DiscoveryError:
    return DiscoveryError(
        f"{where} defines no jobs and no workflows at the level of its modules; "
        "assign what `define_job` and `define_workflow` return to names there"
    )


def definitions_in(module: ModuleType) -> list[Definition]:
    """Return the definitions among the names of a module; lists and tuples are looked into."""
    found: list[Definition] = []
    for value in vars(module).values():
        if isinstance(value, Definition):
            found.append(value)
        elif isinstance(value, list | tuple):
            found.extend(item for item in value if isinstance(item, Definition))
    return found


def _imported(name: str, *, whole: bool) -> list[ModuleType]:
    """Import a target; `whole` imports the submodules of a package, or a directory's files, too."""
    path = Path(name)
    if path.is_file() or path.is_dir():
        return _from_path(path.resolve(), whole=whole)
    if path.suffix == ".py" or "/" in name or "\\" in name:
        raise DiscoveryError(f"there is no file or directory `{name}`")
    return _from_name(name, whole=whole)


def _from_path(path: Path, *, whole: bool) -> list[ModuleType]:
    if path.is_file():
        if path.suffix != ".py":
            raise DiscoveryError(f"`{path}` is no Python file")
        return [_load(path.parent, path.stem)]
    if (path / "__init__.py").is_file():
        _on_path(path.parent)
        return _from_name(path.name, whole=whole)
    if not (path / "main.py").is_file():
        return _every_module(path)
    modules = [_load(path, "main")]
    if whole:
        # What `main.py` imports from beside itself may define jobs that it does not name.
        modules += [module for module in list(sys.modules.values()) if _lies_in(module, path)]
    return list(dict.fromkeys(modules))


def _every_module(path: Path) -> list[ModuleType]:
    """Import the files and packages of a directory that is no package and has no `main.py`."""
    names = sorted(child.name for child in pkgutil.iter_modules([str(path)]))
    if not names:
        raise DiscoveryError(
            f"`{path}` has neither a `main.py` nor an `__init__.py`, nor any other Python file"
        )
    modules = []
    for name in names:
        modules += [_load(path, name)]
        modules += _from_name(name, whole=True)[1:]
    return list(dict.fromkeys(modules))


def _load(directory: Path, name: str) -> ModuleType:
    """Import a file by its name; its directory comes first on the path, as if it were run."""
    _on_path(directory)
    loaded = sys.modules.get(name)
    if loaded is not None and not _lies_in(loaded, directory):
        raise DiscoveryError(
            f"`{directory / name}.py` cannot be imported: a module called `{name}` is there already"
        )
    return _import(name)


def _from_name(name: str, *, whole: bool) -> list[ModuleType]:
    module = _import(name)
    modules = [module]
    if whole and hasattr(module, "__path__"):
        children = [child.name for child in pkgutil.walk_packages(module.__path__, f"{name}.")]
        # Importing a `__main__` would start a program.
        modules += [_import(child) for child in children if not child.endswith(".__main__")]
    return modules


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        # A person has had enough of waiting; where nobody can, the caller knows.
        raise
    except BaseException as error:
        raise refused(name, error) from error


def refused(name: str, error: BaseException) -> DiscoveryError:
    """Return why a module cannot be imported, and which line of the user's says so."""
    place = culprit(error)
    if isinstance(error, ModuleNotFoundError):
        missing = error.name or ""
        if missing and (name == missing or name.startswith(f"{missing}.")):
            return DiscoveryError(f"there is no module `{name}`", place)
        return DiscoveryError(f"`{name}` cannot be imported: {error}", place)
    if isinstance(error, SystemExit):
        # Else whoever looks at the code would end with it, and say nothing.
        return DiscoveryError(
            f"`{name}` cannot be imported: it ends the program ({error!r}); "
            "what a program does belongs under `if __name__ == '__main__':`",
            place,
        )
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return DiscoveryError(f"`{name}` cannot be imported: {text}", place)


def _of_attribute(module: ModuleType, attribute: str, target: str) -> list[Definition]:
    value: Any = module
    for name in attribute.split("."):
        try:
            value = getattr(value, name)
        except AttributeError as error:
            raise DiscoveryError(f"`{target}`: `{module.__name__}` has no `{attribute}`") from error
    if isinstance(value, Definition):
        return [value]
    if isinstance(value, Iterable) and not isinstance(value, str):
        items = list(value)
        if items and all(isinstance(item, Definition) for item in items):
            return items
    raise DiscoveryError(f"`{target}` must be a job, a workflow or a list of them, not {value!r}")


def _sorted_out(definitions: Iterable[Definition]) -> Found:
    jobs: dict[str, JobDefinition[Any]] = {}
    workflows: dict[str, WorkflowDefinition[Any]] = {}

    def take(definition: Definition) -> None:
        match definition:
            case JobDefinition():
                if jobs.setdefault(definition.slug, definition) is not definition:
                    raise _twice(definition)
            case WorkflowDefinition():
                for inner in held_by(definition.steps):
                    take(inner)
                if workflows.setdefault(definition.slug, definition) is not definition:
                    raise _twice(definition)

    for definition in definitions:
        take(definition)
    return Found(tuple(jobs.values()), tuple(workflows.values()))


def _twice(second: Definition) -> DiscoveryError:
    text = f"two {second.kind}s have the slug `{second.slug}`; each needs its own"
    return DiscoveryError(text, second.place)


def _on_path(directory: Path) -> None:
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))


def _lies_in(module: ModuleType, directory: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve().is_relative_to(directory)
