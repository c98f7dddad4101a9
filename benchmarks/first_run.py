"""From nothing to the first completed run, as the README tells: `python -m benchmarks.first_run`.

Builds the wheel, makes a fresh virtual environment, and then does what the tutorial of the README
does, with its own commands and its own file; only the port differs. What pip has to fetch comes
over the network, or from its cache.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
_SECTION = re.compile(r"^### Run jobs on your laptop\n(.*?)^### ", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LIMIT_SECS = 120


def main() -> None:
    """Print how long each part took."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        wheel = _built(directory / "dist")
        spans: list[tuple[str, float]] = []
        for what, secs in _tutorial(directory, wheel):
            spans.append((what, secs))
            print(f"| {what} | {secs:.1f} s |", flush=True)
        print(f"| together | {sum(secs for _, secs in spans):.1f} s |")


def _built(into: Path) -> Path:
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(into), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = into.glob("*.whl")
    return wheel


def _tutorial(directory: Path, wheel: Path) -> Iterator[tuple[str, float]]:
    """Do what the README says, and yield how long each part took."""
    file, (dev, trigger, *_) = _shown()
    began = time.perf_counter()
    venv.create(directory / "venv", with_pip=True)
    yield "a fresh virtual environment", time.perf_counter() - began
    scripts = directory / "venv" / "bin"
    began = time.perf_counter()
    pip = [str(scripts / "pip"), "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, f"strait-python[all] @ {wheel.as_uri()}"], check=True)
    yield "`pip install 'strait-python[all]'`", time.perf_counter() - began
    (directory / "orders.py").write_text(file)
    began = time.perf_counter()
    with _running(scripts, [*dev, "--port", "0", "--json"], directory):
        yield f"`strait {shlex.join(dev)}` until it is ready", time.perf_counter() - began
        began = time.perf_counter()
        subprocess.run([scripts / "strait", *trigger], cwd=directory, check=True, env=_clean())
        yield f"`strait {shlex.join(trigger)}`", time.perf_counter() - began


@contextmanager
def _running(scripts: Path, command: list[str], directory: Path) -> Iterator[None]:
    with subprocess.Popen(
        [scripts / "strait", *command],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=_clean(),
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline(), "strait dev ended before it was ready"
            yield
        finally:
            process.terminate()
            process.wait(_LIMIT_SECS)


def _shown() -> tuple[str, list[list[str]]]:
    """Return the file of the tutorial and its commands, without the word `strait`."""
    section = _SECTION.search((ROOT / "README.md").read_text("utf-8"))
    assert section is not None, "the README has no tutorial any more"
    found = _BLOCK.findall(section[1])
    file = next(text for language, text in found if language == "python")
    lines = [line for language, text in found if language == "bash" for line in text.splitlines()]
    return file, [shlex.split(line, comments=True)[1:] for line in lines]


def _clean() -> dict[str, str]:
    kept = ("STRAIT_", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if not name.startswith(kept)}


if __name__ == "__main__":
    main()
