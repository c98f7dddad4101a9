"""The timeline of a run as a picture in the page."""

from __future__ import annotations

from strait.report.axis import Axis
from strait.report.markup import Markup, join, shortened, tag
from strait.report.spans import Lane, Span, Timeline, duration

_WIDTH, _LABELS, _RIGHT = 960, 190, 16
_TOP, _ROW, _BAR = 34, 26, 14
_LEAST_BAR = 3.0
_TICKS = 6
_LABEL_CHARS = 26


def gantt(found: Timeline) -> Markup:
    """Return the picture; nothing where nothing has a time."""
    spans = [span for lane in found.lanes for span in lane.spans]
    if not spans:
        return Markup("")
    axis = Axis(spans)
    height = _TOP + _ROW * len(found.lanes) + 8
    rows = join(_row(lane, index, axis) for index, lane in enumerate(found.lanes))
    lasted = duration(axis.end - axis.start)
    label = f"timeline of {len(found.lanes)} rows over {lasted}"
    return tag(
        "svg",
        tag("title", label),
        _folds(axis, height),
        _ticks(axis, height),
        rows,
        class_="gantt",
        viewBox=f"0 0 {_WIDTH} {height}",
        role="img",
        aria_label=label,
    )


def _x(place: float) -> float:
    return _LABELS + place * (_WIDTH - _LABELS - _RIGHT)


def _ticks(axis: Axis, height: int) -> Markup:
    pieces = []
    for place, since in axis.ticks(_TICKS):
        x = f"{_x(place):.1f}"
        pieces.append(tag("line", x1=x, x2=x, y1=_TOP - 8, y2=height - 6, class_="grid"))
        said = "0" if since <= 0 else f"+{duration(since)}"
        anchor = "start" if place == 0 else "end" if place == 1 else "middle"
        pieces.append(tag("text", said, x=x, y=_TOP - 14, class_="tick", text_anchor=anchor))
    return join(pieces)


def _folds(axis: Axis, height: int) -> Markup:
    """Mark where the axis is folded, with what lies in it."""
    pieces = []
    for stretch in axis.stretches:
        if not stretch.is_folded:
            continue
        left, right = _x(stretch.left), _x(stretch.right)
        said = duration(stretch.end - stretch.start)
        pieces.append(
            tag(
                "rect",
                tag("title", f"{said} without activity, drawn shorter"),
                x=f"{left:.1f}",
                y=_TOP - 8,
                width=f"{right - left:.1f}",
                height=height - _TOP + 2,
                class_="fold",
            )
        )
        middle = f"{(left + right) / 2:.1f}"
        label = f"⋯ {said} ⋯"
        pieces.append(
            tag("text", label, x=middle, y=_TOP - 14, class_="tick", text_anchor="middle")
        )
    return join(pieces)


def _row(lane: Lane, index: int, axis: Axis) -> Markup:
    y = _TOP + index * _ROW
    label = tag(
        "text",
        tag("title", lane.label),
        shortened(lane.label, _LABEL_CHARS),
        x=_LABELS - 12,
        y=y + 15,
        class_="lane",
        text_anchor="end",
    )
    stripe = tag(
        "rect", x=0, y=y, width=_WIDTH, height=_ROW, class_="stripe" if index % 2 else "stripe odd"
    )
    return join([stripe, label, *(_bar(span, y, axis) for span in lane.spans)])


def _bar(span: Span, y: int, axis: Axis) -> Markup:
    left, right = _x(axis.place(span.start)), _x(axis.place(span.end))
    thin = span.kind in ("queued", "waiting", "paused")
    height = 4 if thin else _BAR
    said = f"{span.about} ({duration(span.end - span.start)})"
    return tag(
        "rect",
        tag("title", said),
        x=f"{left:.1f}",
        y=y + (_ROW - height) // 2,
        width=f"{max(_LEAST_BAR, right - left):.1f}",
        height=height,
        rx=2 if thin else 4,
        class_=f"bar {span.kind} s-{_word(span.status)}",
    )


def _word(status: str) -> str:
    return "".join(char if char.isalnum() else "-" for char in status.lower())[:24]
