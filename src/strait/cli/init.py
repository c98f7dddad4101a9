"""What `strait init` does: copy a template, with the name of the project filled in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from strait._version import __version__
from strait.cli import output
from strait.cli.failures import CommandError, ExitCode

# Here, because a file of this name would be believed by git where the templates are kept.
_IGNORED = ".strait/\n.venv/\n__pycache__/\n.pytest_cache/\n"
_COMMON = "common"


@dataclass(frozen=True, slots=True)
class About:
    """What is said of a template in its README.

    Attributes:
        text: what it is.
        commands: what to type in the second terminal.
        dependencies: what it needs beside `strait-python`.
    """

    text: str
    commands: tuple[str, ...]
    dependencies: tuple[str, ...] = ()


_ABOUT = {
    "minimal": About(
        "One job, on [Strait](https://strait.dev).", ("strait trigger greet name=Ada --wait",)
    ),
    "workflow": About(
        "A workflow that waits for an approval, on [Strait](https://strait.dev).",
        (
            "strait trigger purchase cups:=2      # prints the id of the run",
            "strait workflows approve RUN",
            "strait runs watch RUN",
        ),
    ),
    "agent": About(
        "An agent within a budget, on [Strait](https://strait.dev).",
        ("strait trigger research 'question=what is it?' --wait",),
    ),
    "fastapi": About(
        "A FastAPI application that hosts its jobs, on [Strait](https://strait.dev).",
        (
            "strait trigger welcome name=Ada --wait",
            "uvicorn web:app                      # the application, for where it is deployed",
        ),
        ("fastapi>=0.115", "uvicorn>=0.34"),
    ),
}  # fmt: skip


def create(directory: Path, template: str, *, as_json: bool) -> None:
    """Write a project.

    Raises:
        CommandError: a file of it is there already.
    """
    name = _name(directory)
    about = _ABOUT[template]
    texts = {
        path: _filled(text, name, about)
        for part in (_COMMON, template)
        for path, text in _texts(files("strait.cli") / "templates" / part)
    }
    texts[".gitignore"] = _IGNORED
    there = [path for path in texts if (directory / path).exists()]
    if there:
        raise CommandError(
            f"`{directory / there[0]}` is there already, and nothing was written",
            "choose another DIRECTORY, or move the file away",
            ExitCode.CONFLICT,
        )
    directory.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        (directory / path).write_text(text, "utf-8")
    if as_json:
        output.print_json({"directory": str(directory), "template": template, "files": list(texts)})
        return
    output.say(f"{directory}: {', '.join(texts)}")
    output.say("next:")
    if directory != Path():
        output.say(f"  cd {directory}")
    output.say("  strait dev main.py")
    for command in about.commands:
        output.say(f"  {command}")


def _name(directory: Path) -> str:
    """Return a name for a project that tools of Python accept."""
    name = re.sub(r"[^a-z0-9]+", "-", directory.resolve().name.lower()).strip("-")
    return name or "jobs"


def _texts(folder: Traversable) -> list[tuple[str, str]]:
    return sorted(
        (file.name, file.read_text("utf-8")) for file in folder.iterdir() if file.is_file()
    )


def _filled(text: str, name: str, about: About) -> str:
    needed = [f"strait-python[all]>={__version__}", *about.dependencies]
    for place, value in {
        "name": name,
        "about": about.text,
        "try": "\n".join(about.commands),
        "dependencies": ", ".join(f'"{one}"' for one in needed),
        "install": " ".join(f"'{one}'" for one in needed),
    }.items():
        text = text.replace("{{" + place + "}}", value)
    return text
