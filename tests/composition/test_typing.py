"""The types of the helpers are what a user's checker needs."""

from __future__ import annotations

from pathlib import Path

from mypy import api

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "typing"


def checked(name: str) -> list[str]:
    out, err, _ = api.run(["--config-file", str(ROOT / "pyproject.toml"), str(FOLDER / name)])
    assert err == ""
    return [line for line in out.splitlines() if ": error: " in line]


def test_correct_code_is_accepted() -> None:
    assert checked("accepted.py") == []


def test_wrong_code_is_refused_and_only_that() -> None:
    lines = (FOLDER / "refused.py").read_text("utf-8").splitlines()
    expected = [number for number, line in enumerate(lines, 1) if line.endswith("# no")]
    found = {int(line.split(":")[1]) for line in checked("refused.py")}
    assert sorted(found) == expected
