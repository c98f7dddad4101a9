"""What `mypy` narrows and `pyright` does not: it wants `made.is_ok is True`, or `match`."""

from __future__ import annotations

from typing import assert_type

from strait.composition import Err, Ok


def narrowed(made: Ok[int] | Err) -> int:
    if made.is_ok:
        assert_type(made, Ok[int])
    if made.is_err:
        assert_type(made.error, Exception)
        return 0
    return made.value
