"""A time axis on which long waits are short, so that what was done can be seen beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from strait.report.spans import Span

# What a wait is drawn as wide as at most, as a share of all that was active.
_WAIT_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the axis: from these seconds to those, drawn between these places of 0 to 1."""

    start: float
    end: float
    left: float
    right: float
    is_folded: bool


class Axis:
    """Places instants between 0 and 1.

    Where nothing was done for longer than all that was done took together, the axis is folded.

    Args:
        spans: everything that is to be placed; at least one.
    """

    def __init__(self, spans: Sequence[Span]) -> None:
        self.start = min(span.start for span in spans)
        self.end = max(span.end for span in spans)
        self.stretches = self._stretches(_merged([span for span in spans if span.is_active]))

    def place(self, instant: float) -> float:
        """Return where an instant is."""
        for stretch in self.stretches:
            if instant <= stretch.end:
                length = stretch.end - stretch.start
                share = (instant - stretch.start) / length if length > 0 else 0.0
                return stretch.left + max(0.0, share) * (stretch.right - stretch.left)
        return 1.0

    def ticks(self, count: int) -> list[tuple[float, float]]:
        """Return places, and the seconds since the start there, outside of what is folded."""
        found = []
        for index in range(count + 1):
            place = index / count
            stretch = next(
                (one for one in self.stretches if place <= one.right), self.stretches[-1]
            )
            if stretch.is_folded and stretch.left < place < stretch.right:
                continue
            width = stretch.right - stretch.left
            share = (place - stretch.left) / width if width > 0 else 0.0
            at = stretch.start + share * (stretch.end - stretch.start)
            found.append((place, at - self.start))
        return found

    def _stretches(self, busy: list[tuple[float, float]]) -> list[Stretch]:
        active = sum(end - start for start, end in busy)
        edges = [self.start, *(edge for pair in busy for edge in pair), self.end]
        parts = []
        for index in range(len(edges) - 1):
            start, end = edges[index], edges[index + 1]
            length = end - start
            # Between the edges of what was active lie, in turn, gaps and activity.
            folded = index % 2 == 0 and active > 0 and length > active
            parts.append((start, end, active * _WAIT_SHARE if folded else length, folded))
        whole = sum(weight for _, _, weight, _ in parts) or 1.0
        stretches, left = [], 0.0
        for start, end, weight, folded in parts:
            right = left + weight / whole
            stretches.append(Stretch(start, end, left, right, folded))
            left = right
        return stretches


def _merged(spans: Sequence[Span]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for start, end in sorted((span.start, span.end) for span in spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
