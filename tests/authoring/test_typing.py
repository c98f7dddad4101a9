"""The types of authored things are what their users' checker needs."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).parents[2]
FILES = sorted((Path(__file__).parent / "typing").glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_correct_code_is_accepted_and_wrong_code_is_refused(file):
    out, err, _ = api.run(["--config-file", str(ROOT / "pyproject.toml"), str(file)])
    assert err == ""
    refused = {int(line.split(":")[1]) for line in out.splitlines() if ": error: " in line}
    lines = file.read_text("utf-8").splitlines()
    assert refused == {number for number, line in enumerate(lines, 1) if line.endswith("# no")}, out
