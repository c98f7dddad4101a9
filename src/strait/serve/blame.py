"""Which line of the user's own files an exception comes from; nothing is imported or run here."""

from __future__ import annotations

import traceback
from pathlib import Path

from strait.authoring.sources import Place
from strait.serve.loading import is_foreign

_OWN = Path(__file__).parents[1]


def culprit(error: BaseException) -> Place | None:
    """Return where the user's code was when an exception was raised; None if it was nowhere.

    It is the last frame that is neither ours nor of anything installed. Of a file that is no
    Python it is the line that says so.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return Place(error.filename, error.lineno or 0)
    frames = [
        Place(frame.filename, frame.lineno or 0)
        for frame in traceback.extract_tb(error.__traceback__)
        if _is_users(frame.filename)
    ]
    return frames[-1] if frames else None


def _is_users(name: str) -> bool:
    if name.startswith("<"):
        return False
    path = Path(name)
    return not path.is_relative_to(_OWN) and not is_foreign(path) and not _is_standard(path)


def _is_standard(path: Path) -> bool:
    return path.is_relative_to(Path(traceback.__file__).parent)
