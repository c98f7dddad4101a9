"""The types of decorated functions are what their users' checker needs."""

from __future__ import annotations

from pathlib import Path

from mypy import api

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).parent / "typing" / "decorators.py"


def test_decorated_functions_keep_their_signatures():
    out, err, _ = api.run(["--config-file", str(ROOT / "pyproject.toml"), str(FILE)])
    assert err == ""
    refused = {int(line.split(":")[1]) for line in out.splitlines() if ": error: " in line}
    lines = FILE.read_text("utf-8").splitlines()
    assert refused == {number for number, line in enumerate(lines, 1) if line.endswith("# no")}, out
