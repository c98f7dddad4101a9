"""`unportable`: what of a program a target cannot do, with file and line.

for refusal in unportable(definitions, "platform"):
    print(refusal)

jobs.py:12: <job 'greet'>: `ctx.wait_for_event`: …
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from strait.authoring.definitions import Definition
from strait.authoring.sources import Place
from strait.authoring.uses import uses
from strait.compatibility import Feature, Target, unable


@dataclass(frozen=True, slots=True)
class Refusal:
    """A use of what a target cannot do.

    Attributes:
        place: the file and the line.
        owner: the definition that uses it; empty for a call of a client.
        use: what is used, as the table of features calls it.
        feature: what it belongs to.
        target: the target.
    """

    place: Place
    owner: str
    use: str
    feature: Feature
    target: Target

    @property
    def text(self) -> str:
        """What is used by what, and what the target does with it."""
        state = self.feature.on(self.target)
        is_shape = self.use.startswith("shape.")
        what = self.feature.title if is_shape else f"`{self.use}`"
        whose = f"{self.owner}: " if self.owner else ""
        target = "embedded platform" if self.target == "embedded" else "platform"
        says = f": {self.feature.says}" if self.feature.says else ""
        return f"{whose}{what} is {state} on the {target}{says}"

    def __str__(self) -> str:
        return f"{self.place}: {self.text}; instead: {self.feature.instead} [{self.feature.id}]"


def unportable(
    definitions: Iterable[Definition], target: Target, *, allow: Collection[str] = ()
) -> list[Refusal]:
    """Return each use of what a target cannot do, in the order of files and lines.

    Args:
        definitions: jobs and workflows; the files that they are in are read, too.
        target: where they are to run.
        allow: ids of features that may be used all the same.
    """
    by_use: dict[str, list[Feature]] = defaultdict(list)
    for feature in unable(target):
        if feature.id not in allow:
            for use in feature.uses:
                by_use[use].append(feature)
    found = {
        Refusal(place, owner, use, feature, target)
        for use, place, owner in uses(definitions)
        for feature in by_use.get(use, ())
    }
    return sorted(found, key=lambda one: (one.place, one.feature.id, one.owner))
