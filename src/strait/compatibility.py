"""What works where: the table of features that `compatibility.toml` beside this file holds.

`docs/compatibility.md` is made of it, and `strait check --target` refuses by it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, TypeAlias

__all__ = ["PLATFORM_VERSION", "TARGETS", "Feature", "Status", "Target", "features", "unable"]

Status: TypeAlias = Literal["works", "broken", "missing", "untested"]
Target: TypeAlias = Literal["embedded", "platform"]
TARGETS: tuple[Target, ...] = ("embedded", "platform")
PLATFORM_VERSION = "0.1.6"
"""The version of the hosted platform that the table speaks of."""


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that a program can use.

    Attributes:
        id: its name in `strait check --allow`.
        area: the section of the table.
        title: what it is.
        embedded: whether the embedded platform can do it.
        platform: whether the hosted platform can do it.
        says: what a platform does instead; empty when there is nothing to say.
        instead: what to use there; empty when it works everywhere.
        uses: how programs use it; the table's own comment has the vocabulary.
    """

    id: str
    area: str
    title: str
    embedded: Status
    platform: Status
    uses: tuple[str, ...]
    says: str = ""
    instead: str = ""

    def on(self, target: Target) -> Status:
        """Return whether a target can do it."""
        return self.embedded if target == "embedded" else self.platform


@cache
def features() -> tuple[Feature, ...]:
    """Return every feature, in the order of the table."""
    text = files("strait").joinpath("compatibility.toml").read_text("utf-8")
    return tuple(
        Feature(**{**row, "uses": tuple(row["uses"])}) for row in tomllib.loads(text)["feature"]
    )


def unable(target: Target) -> Iterator[Feature]:
    """Return what a target cannot do: what is missing there, and what is broken."""
    return (one for one in features() if one.on(target) in {"broken", "missing"})
