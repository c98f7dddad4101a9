"""The wheel: what is in it, and what an environment with nothing else can do with it."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).parents[2]
EXTRAS = {"worker", "server", "cli"}
CODE = {".md", ".py", ".pyi", ".sql", ".typed"}
# The files of the dashboard.
PAGE = {".css", ".html", ".js", ".svg"}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the tool that users would build it with."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


class Environment:
    """A virtual environment with nothing but what a test installs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        venv.create(path, with_pip=True, symlinks=True)

    def install(self, *requirements: str) -> None:
        done = self._run("-m", "pip", "install", "--quiet", *requirements)
        assert done.returncode == 0, done.stderr

    def python(self, code: str) -> subprocess.CompletedProcess[str]:
        return self._run("-W", "error", "-c", code)

    def strait(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._start(str(self._path / "bin" / "strait"), *arguments)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._start(str(self._path / "bin" / "python"), *arguments)

    def _start(self, *command: str) -> subprocess.CompletedProcess[str]:
        hidden = ("PYTHONPATH", "VIRTUAL_ENV")
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=self._path,
            env=environment | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        )


@pytest.fixture(scope="session")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel and its core dependencies."""
    made = Environment(tmp_path_factory.mktemp("bare") / "venv")
    made.install(str(wheel))
    return made


@pytest.fixture(scope="session")
def full(bare: Environment, wheel: Path) -> Environment:
    """The same environment with all extras; asked for after everything that needs it bare."""
    bare.install(f"strait-python[all] @ {wheel.as_uri()}")
    return bare


# ---------------------------------------------------------------------------------------- contents


def test_the_wheel_has_every_module_of_the_source(contents: set[str]) -> None:
    source = ROOT / "src"
    there = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.suffix in CODE | PAGE
    }
    assert there <= contents
    assert {"strait/py.typed", "strait/store/migrations/0001_initial.sql"} <= contents
    assert {"strait/models/jobs.py", "strait/services/jobs.py"} <= contents
    assert "strait/server/_generated/routes.py" in contents
    assert "strait/.agents/skills/strait/SKILL.md" in contents


def test_the_wheel_has_nothing_else(contents: set[str]) -> None:
    others = {name for name in contents if not name.startswith("strait/")}
    assert {name.partition("/")[0].endswith(".dist-info") for name in others} == {True}
    # The description of what a platform serves, and the table of what works where.
    data = {".json", ".toml"}
    assert {Path(name).suffix for name in contents - others} == CODE | PAGE | data


def test_the_core_needs_httpx_with_sniffio_and_pydantic_only(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    required = metadata.get_all("Requires-Dist", [])
    core = {line for line in required if "extra ==" not in line}
    names = {line.split("<")[0].split(">")[0].strip() for line in core}
    assert names == {"httpx", "sniffio", "pydantic"}
    assert all("<" in line for line in core), "bounded by the next major version"
    assert set(metadata.get_all("Provides-Extra", [])) >= EXTRAS | {"all", "dev"}
    assert (metadata["Name"], metadata["Requires-Python"]) == ("strait-python", ">=3.11")


# --------------------------------------------------------------------------------- core environment


def test_importing_loads_neither_httpx_nor_pydantic(bare: Environment) -> None:
    done = bare.python("import sys, strait; print({'httpx', 'pydantic'} & set(sys.modules))")
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_a_client_can_be_made_and_jobs_be_authored(bare: Environment) -> None:
    done = bare.python(
        "import strait, strait.authoring as a\n"
        "with strait.Client(api_key='strait_0') as client: print(client.jobs.list.__name__)\n"
        "job = a.define_job(a.JobOptions(name='J', slug='j', run=lambda payload, ctx: payload))\n"
        "print(job.slug, a.create_test_context()[1].completed)"
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["list", "j False"]


def test_the_embedded_platform_says_which_extra_is_missing(bare: Environment) -> None:
    done = bare.python(
        "import strait\n"
        "try: strait.Client.local()\n"
        "except strait.ConfigurationError as error: print(error)"
    )
    assert done.stderr == ""
    assert "`pip install 'strait-python[server]'`" in done.stdout
    assert done.stdout.count("\n") == 1


def test_the_command_says_in_one_line_what_is_missing(bare: Environment) -> None:
    done = bare.strait("dev")
    assert done.returncode == 1
    assert done.stderr == (
        "strait: `click` is not installed — "
        "the command line needs `pip install 'strait-python[cli,server]'`\n"
    )


def test_the_command_without_a_platform_says_in_one_line_what_is_missing(
    bare: Environment, wheel: Path
) -> None:
    bare.install(f"strait-python[cli] @ {wheel.as_uri()}")
    assert bare.strait("--version").returncode == 0
    done = bare.strait("dev")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "`pip install 'strait-python[cli,server]'`" in done.stderr


# ---------------------------------------------------------------------------------- all the extras


def test_with_all_extras_the_command_explains_itself(full: Environment) -> None:
    version = full.strait("--version")
    assert (version.returncode, version.stdout[:7]) == (0, "strait,")
    shown = full.strait("dev", "--help")
    assert shown.returncode == 0
    for option in ("--host", "--port", "--db", "--ephemeral", "--project", "--api-key", "--json"):
        assert option in shown.stdout


def test_with_all_extras_a_platform_runs(full: Environment) -> None:
    done = full.python(
        "import strait\nwith strait.Client.local() as client: print(list(client.jobs.list()))"
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
