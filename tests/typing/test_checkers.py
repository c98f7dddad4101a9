"""The types that users see, as two strict checkers read them: `mypy` and `basedpyright`.

`accepted/` is written as users write, and none of it may be refused. In `refused/` each line that
ends in `# no` must be refused, and no other.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mypy import api

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = {
    folder: sorted((HERE / folder).glob("*.py"), key=lambda file: file.name)
    for folder in ("accepted", "refused", "mypy_only")
}
Found = set[tuple[str, int]]


def mypy(folder: str) -> Found:
    out, err, _ = api.run(["--config-file", str(ROOT / "pyproject.toml"), *map(str, FILES[folder])])
    assert err == ""
    lines = [line.split(":") for line in out.splitlines() if ": error: " in line]
    return {(Path(file).name, int(number)) for file, number, *_ in lines}


def basedpyright(folder: str) -> Found:
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(
        [*command, "--project", str(ROOT / "pyproject.toml")],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == len(FILES["accepted"] + FILES["refused"])
    return {
        (file.name, entry["range"]["start"]["line"] + 1)
        for entry in report["generalDiagnostics"]
        if entry["severity"] == "error" and (file := Path(entry["file"])).parent.name == folder
    }


CHECKERS = pytest.mark.parametrize("checker", [mypy, basedpyright])


@CHECKERS
def test_what_users_write_is_accepted(checker: Callable[[str], Found]) -> None:
    assert FILES["accepted"]
    assert checker("accepted") == set()


def test_what_one_checker_alone_narrows_is_accepted_by_it() -> None:
    assert FILES["mypy_only"]
    assert mypy("mypy_only") == set()


@CHECKERS
def test_wrong_code_is_refused_and_only_that(checker: Callable[[str], Found]) -> None:
    wanted = {
        (file.name, number)
        for file in FILES["refused"]
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if line.endswith("# no")
    }
    assert wanted
    assert checker("refused") == wanted
