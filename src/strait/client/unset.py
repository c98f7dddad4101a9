"""`UNSET`: an argument that was not given, where None would mean JSON's null."""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal, TypeAlias


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> Literal[False]:
        return False


UNSET: Final = Unset.UNSET
UnsetType: TypeAlias = Literal[Unset.UNSET]
