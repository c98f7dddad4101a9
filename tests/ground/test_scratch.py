"""Where the files of the tests go."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests import scratch

USUAL = Path(tempfile.gettempdir())


def test_files_go_into_memory_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "ENOUGH_BYTES", 1)
    assert scratch.place(tmp_path) == tmp_path
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(scratch, "ENOUGH_BYTES", 2**80)
    assert scratch.place(tmp_path) == USUAL


def test_files_go_where_they_always_went_if_there_is_no_memory_for_them(tmp_path: Path) -> None:
    assert scratch.place(tmp_path / "nowhere") == USUAL
