"""Calls through a proxy that breaks a fifth of them: only our errors, and each effect once."""

from __future__ import annotations

from pathlib import Path

from strait import errors

from . import faults
from .load import FAULTED, run

CALLS = 2_000


async def test_faults_raise_only_our_errors_and_do_nothing_twice(tmp_path: Path) -> None:
    found = await run(CALLS, seed=1, directory=tmp_path)
    assert found.wrong == []
    assert found.effects == found.expected
    assert found.faulted > CALLS * FAULTED * 0.8
    assert set(found.faults) == set(faults.KINDS)
    assert all(issubclass(getattr(errors, name), errors.StraitError) for name in found.errors)


async def test_the_same_seed_gives_the_same_faults(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    once = await run(100, seed=2, directory=tmp_path)
    again = await run(100, seed=2, directory=tmp_path / "again")
    assert (once.calls, once.faults) == (again.calls, again.faults)
