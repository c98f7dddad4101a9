"""The tests on the oldest dependencies that pyproject.toml allows: `python -m tests.lowest`.

Every bound of the core and of its extras becomes a pin; what only tests need stays as new as it
is. The environment is made again when the pins change.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / ".venv-lowest"
SUITES = ("tests/client", "tests/composition", "tests/authoring", "tests/fsm")


def lowest(requirement: Requirement) -> str:
    """Return the pin of a requirement's lower bound.

    Raises:
        ValueError: it has none, so that nobody knows what it was tried with.
    """
    bounds = [part.version for part in requirement.specifier if part.operator in {">=", "=="}]
    if len(bounds) != 1:
        raise ValueError(f"`{requirement}` in pyproject.toml needs one lower bound")
    return f"{requirement.name}=={bounds[0]}"


def split(project: dict[str, object]) -> tuple[list[str], list[str]]:
    """Return the pins of core and extras, and what tests need beside them."""
    own = str(project["name"])
    extras = project["optional-dependencies"]
    core = project["dependencies"]
    assert isinstance(extras, dict)
    assert isinstance(core, list)
    used = [*core, *(line for name, lines in extras.items() if name != "dev" for line in lines)]
    found = [Requirement(line) for line in used]
    pins = [lowest(one) for one in found if one.name != own and _holds(one)]
    tools = [line for line in extras["dev"] if Requirement(line).name != own]
    return sorted(set(pins)), tools


def _holds(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate()


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins, tools = split(project)
    python, stamp = ENVIRONMENT / "bin" / "python", ENVIRONMENT / ".installed"
    if not stamp.exists() or stamp.read_text().split() != pins:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
        constraints = ENVIRONMENT / "constraints.txt"
        constraints.write_text("\n".join(pins) + "\n")
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        editable = ["-c", str(constraints), "-e", f"{ROOT}[all]", *tools]
        subprocess.run([*install, *editable], check=True)
        stamp.write_text("\n".join(pins))
    sys.stdout.write("\n".join([*pins, ""]))
    sys.stdout.flush()
    arguments = sys.argv[1:] or list(SUITES)
    command = [str(python), "-m", "pytest", "-q", *arguments]
    sys.exit(subprocess.run(command, cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main()
