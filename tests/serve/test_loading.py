"""Which files are the project's own, and which bytecode of them is believed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from strait.serve.loading import ProjectFiles, is_foreign, stamp

ROOT = Path(__file__).parents[2]
# Imports `it`, saves it anew at once and with the same size, and imports it in another process.
TWICE = """\
import sys
from pathlib import Path
from strait.serve.loading import ProjectFiles

files = ProjectFiles([Path(sys.argv[1])])
files.install()
sys.path.insert(0, sys.argv[1])
import it
print(it.VERSION, sorted(Path(name).name for name in files.look()))
"""


def imported(folder: Path) -> str:
    own = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    done = subprocess.run(
        [sys.executable, "-c", TWICE, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        env={**environment, "PYTHONPATH": str(ROOT / "src")},
    )
    return done.stdout.strip()


def test_a_file_that_is_saved_twice_within_a_second_is_imported_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "it.py"
    saved = 1_700_000_000
    for version in (1, 2, 3):
        file.write_text(f"VERSION = {version}\n")
        os.utime(file, ns=(0, saved * 10**9 + version))
        assert imported(tmp_path) == f"{version} ['it.py']"
        cached = importlib.util.cache_from_source(str(file))
        # As if the bytecode had been written within the same second.
        os.utime(cached, ns=(0, saved * 10**9 + version))


def test_bytecode_of_an_older_second_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "it.py"
    file.write_text("VERSION = 1\n")
    os.utime(file, ns=(0, 1_700_000_000 * 10**9))
    imported(tmp_path)
    cached = importlib.util.cache_from_source(str(file))
    before = stamp(cached)
    imported(tmp_path)
    assert stamp(cached) == before


def test_what_is_installed_is_none_of_the_projects(tmp_path: Path) -> None:
    files = ProjectFiles([tmp_path])
    assert files.has(tmp_path / "shop" / "jobs.py")
    assert not files.has(tmp_path.parent / "jobs.py")
    for foreign in ("lib/site-packages/x.py", "node_modules/x.py", "dist-packages/x.py"):
        assert not files.has(tmp_path / foreign)
    assert is_foreign(Path(sys.prefix) / "x.py") is (sys.prefix != sys.base_prefix)
    assert stamp(tmp_path / "nothing.py") is None
