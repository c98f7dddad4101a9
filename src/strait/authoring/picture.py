"""Workflows as pictures: Mermaid text, and an SVG of layers for notebooks.

Every step stands one layer below the lowest of those that it depends on, and within its layer
near the middle of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from strait.authoring.steps import (
    ApprovalStep,
    JobStep,
    SleepStep,
    SubWorkflowStep,
    WaitForEventStep,
    target_name,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from strait.authoring.steps import Step

_MARGIN, _GAP_X, _GAP_Y = 16, 24, 40
_BOX_HEIGHT, _CHAR_WIDTH, _LEAST_WIDTH = 44, 7.4, 96
_LONGEST_LABEL = 32
_FONT = 'font-family="system-ui, sans-serif"'
_ARROW = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
    'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#6b7280"/></marker></defs>'
)
# Readable on light and on dark pages.
_FILL = {
    "job": "#dbeafe",
    "approval": "#fef3c7",
    "sub_workflow": "#ede9fe",
    "wait_for_event": "#dcfce7",
    "sleep": "#e5e7eb",
}
# The shapes that Mermaid draws; the brackets stand around the label.
_SHAPES = {
    "job": ("[", "]"),
    "approval": ("{{", "}}"),
    "sub_workflow": ("[[", "]]"),
    "wait_for_event": ("([", "])"),
    "sleep": ("(", ")"),
}


def to_mermaid(steps: Sequence[Step]) -> str:
    """Return a Mermaid flowchart; dotted arrows lead to steps that have a condition."""
    ids = {step.step_ref(): f"s{number}" for number, step in enumerate(steps)}
    lines = ["flowchart TD"]
    for step in steps:
        opening, closing = _SHAPES[step.type()]
        label = "<br/>".join(_mermaid_text(text) for text in _labels(step) if text)
        lines.append(f'    {ids[step.step_ref()]}{opening}"{label}"{closing}')
    for step in steps:
        arrow = "-.->" if step.base_options().condition is not None else "-->"
        lines += [
            f"    {ids[dep]} {arrow} {ids[step.step_ref()]}"
            for dep in dict.fromkeys(step.base_options().depends_on)
        ]
    return "\n".join(lines) + "\n"


def to_svg(steps: Sequence[Step], order: Sequence[str]) -> str:
    """Return an SVG picture.

    Args:
        steps: the steps.
        order: their names, each after all that it depends on.
    """
    boxes = _placed({step.step_ref(): step for step in steps}, order)
    width = max((box.x + box.width for box in boxes.values()), default=0) + _MARGIN
    height = max((box.y + _BOX_HEIGHT for box in boxes.values()), default=0) + _MARGIN
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} {_FONT}>', _ARROW]
    parts += [_edge(boxes[dep], box) for box in boxes.values() for dep in box.depends_on]
    parts += [_node(box) for box in boxes.values()]
    return "".join(parts) + "</svg>"


@dataclass(slots=True)
class _Box:
    """A step and where it stands."""

    step: Step
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0

    @property
    def depends_on(self) -> list[str]:
        return list(dict.fromkeys(self.step.base_options().depends_on))

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


def _placed(steps: Mapping[str, Step], order: Sequence[str]) -> dict[str, _Box]:
    """Place every step in its layer, and the layers around one middle line."""
    boxes: dict[str, _Box] = {}
    layers: list[list[str]] = []
    level: dict[str, int] = {}
    for ref in order:
        box = boxes[ref] = _Box(steps[ref], width=_width(steps[ref]))
        level[ref] = 1 + max((level[dep] for dep in box.depends_on), default=-1)
        if level[ref] == len(layers):
            layers.append([])
        layers[level[ref]].append(ref)
    widest = max((_layer_width(layer, boxes) for layer in layers), default=0.0)
    for number, layer in enumerate(layers):
        _place_layer(layer, boxes, widest, _MARGIN + number * (_BOX_HEIGHT + _GAP_Y))
    return boxes


def _place_layer(layer: list[str], boxes: dict[str, _Box], widest: float, y: float) -> None:
    # The layers above have their places already.
    layer.sort(key=lambda ref: _middle_of_parents(boxes[ref], boxes))
    x = _MARGIN + (widest - _layer_width(layer, boxes)) / 2
    for ref in layer:
        box = boxes[ref]
        box.x, box.y = x, y
        x += box.width + _GAP_X


def _middle_of_parents(box: _Box, boxes: Mapping[str, _Box]) -> float:
    parents = box.depends_on
    return sum(boxes[ref].middle for ref in parents) / len(parents) if parents else 0.0


def _layer_width(layer: Sequence[str], boxes: Mapping[str, _Box]) -> float:
    return sum(boxes[ref].width for ref in layer) + _GAP_X * (len(layer) - 1)


def _width(step: Step) -> float:
    longest = max(len(_short(text)) for text in _labels(step))
    return max(_LEAST_WIDTH, longest * _CHAR_WIDTH + 20)


def _node(box: _Box) -> str:
    name, what = (_short(text) for text in _labels(box.step))
    tooltip = ": ".join(_labels(box.step))
    return (
        f'<g><title>{escape(tooltip)}</title><rect x="{box.x:.1f}" y="{box.y:.1f}" '
        f'width="{box.width:.1f}" height="{_BOX_HEIGHT}" rx="6" '
        f'fill="{_FILL[box.step.type()]}" stroke="#6b7280"/>'
        f'<text x="{box.middle:.1f}" y="{box.y + 19:.1f}" font-size="13" font-weight="600" '
        f'text-anchor="middle" fill="#111827">{escape(name)}</text>'
        f'<text x="{box.middle:.1f}" y="{box.y + 35:.1f}" font-size="11" '
        f'text-anchor="middle" fill="#374151">{escape(what)}</text></g>'
    )


def _edge(parent: _Box, child: _Box) -> str:
    start, end = parent.y + _BOX_HEIGHT, child.y - 2
    bend = (start + end) / 2
    dashes = ' stroke-dasharray="4 3"' if child.step.base_options().condition is not None else ""
    return (
        f'<path d="M{parent.middle:.1f} {start:.1f}C{parent.middle:.1f} {bend:.1f} '
        f'{child.middle:.1f} {bend:.1f} {child.middle:.1f} {end:.1f}" fill="none" '
        f'stroke="#6b7280"{dashes} marker-end="url(#tip)"/>'
    )


def _labels(step: Step) -> tuple[str, str]:
    """Return the name of a step, and what it does."""
    match step:
        case JobStep():
            what = f"job {target_name(step.job_id)}"
            if step.cost_gate_threshold_microusd is not None:
                what += f", asks above ${step.cost_gate_threshold_microusd / 1_000_000:g}"
        case SubWorkflowStep():
            what = f"workflow {target_name(step.sub_workflow_id)}"
        case WaitForEventStep():
            what = f"event {step.event_key}"
        case SleepStep():
            what = f"sleep {_duration(step.sleep_duration_secs)}"
        case ApprovalStep():
            what = "approval"
        case _:
            what = str(step.type())
    return step.step_ref(), what


def _duration(secs: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if secs % size == 0:
            return f"{secs // size} {unit}"
    return f"{secs} s"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"


def _mermaid_text(text: str) -> str:
    """Write a text so that nothing in it means anything to Mermaid."""
    return "".join(c if c.isalnum() or c in " _-.:/" else f"#{ord(c)};" for c in text)
