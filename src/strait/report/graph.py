"""The steps and children of a run as a picture: from left to right, each behind what it needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from strait.report.gather import Document
from strait.report.markup import Markup, join, shortened, tag
from strait.report.spans import duration, lasted, seconds, step_label

_BOX_WIDTH, _BOX_HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 164, 46, 36, 14, 12
_PER_ROW = 5
_BETWEEN_ROWS = 30
_MOST_NODES = 80
_LABEL_CHARS = 21
_ROOT = ("run",)


@dataclass(frozen=True, slots=True)
class Node:
    """A box: what it is called, how it stands, and what it stands behind.

    Attributes:
        id: its key.
        label: its name.
        kind: what it is, in a word.
        status: how it stands.
        took: how long it took.
        needs: the ids that it stands behind.
        is_loose: whether its edge only says that it was started there.
    """

    id: tuple[str, ...]
    label: str
    kind: str
    status: str
    took: str
    needs: tuple[tuple[str, ...], ...] = ()
    is_loose: bool = False


def nodes(document: Document) -> list[Node]:
    """Return the boxes of a document; for a run without steps and children only itself."""
    if document["kind"] == "workflow_run":
        return _of_workflow(document)
    run = document["run"]
    took = duration(lasted(run.get("started_at"), run.get("finished_at")))
    label = (document.get("job") or {}).get("slug") or "run"
    root = Node(_ROOT, label, "job", str(run["status"]), took)
    return [root, *_of_steps(document["steps"]), *_of_children(document["children"])]


def graph(found: Sequence[Node]) -> Markup:
    """Return the picture of boxes."""
    shown = list(found[:_MOST_NODES])
    if not shown:
        return Markup("")
    places, width, height = _placed(shown)
    known = {node.id for node in shown}
    edges = join(
        _edge(places[need], places[node.id], is_loose=node.is_loose)
        for node in shown
        for need in node.needs
        if need in known
    )
    label = f"graph of {len(shown)} boxes"
    marker = tag(
        "marker",
        tag("path", d="M0 0L8 4L0 8z", class_="tip"),
        id="tip",
        viewBox="0 0 8 8",
        refX=7,
        refY=4,
        markerWidth=7,
        markerHeight=7,
        orient="auto",
    )
    return tag(
        "svg",
        tag("title", label),
        tag("defs", marker),
        edges,
        join(_box(node, *places[node.id]) for node in shown),
        class_="graph",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        aria_label=label,
    )


def left_out(document: Document) -> int:
    """Say how many boxes there was no room for."""
    return max(0, len(document["steps"]) + len(document["children"]) + 1 - _MOST_NODES)


def _of_workflow(document: Document) -> list[Node]:
    rows = {step["step_ref"]: step for step in document["steps"]}
    drawn = (document.get("graph") or {}).get("nodes") or [
        {"step_ref": name, "type": "step", **row} for name, row in rows.items()
    ]
    found = []
    for node in drawn:
        row = rows.get(node["step_ref"], node)
        needs = tuple((str(name),) for name in node.get("depends_on") or ())
        took = duration(lasted(row.get("started_at"), row.get("finished_at")))
        status = str(row.get("status") or node.get("status") or "pending")
        kind = str(node.get("type") or "step")
        found.append(Node((node["step_ref"],), node["step_ref"], kind, status, took, needs))
    return found


def _of_steps(steps: Sequence[Mapping[str, Any]]) -> list[Node]:
    """Return recorded steps, each behind those that had ended last when it began."""
    shown = steps[:_MOST_NODES]
    times = [_times(step) for step in shown]
    ids = [("step", str(step["name"]), str(step.get("occurrence") or 0)) for step in shown]
    found = []
    for index, step in enumerate(shown):
        # They are listed as they ended, so only earlier ones can lie before.
        before = [other for other in range(index) if times[other][1] <= times[index][0]]
        last = [
            other for other in before
            if not any(times[later][0] >= times[other][1] for later in before if later > other)
        ]  # fmt: skip
        needs = tuple(ids[other] for other in last) or (_ROOT,)
        took = duration(lasted(step.get("started_at"), step.get("finished_at")))
        status = "undone" if step.get("undone") else str(step.get("status") or "")
        found.append(Node(ids[index], step_label(step), "step", status, took, needs))
    return found


def _of_children(children: Sequence[Mapping[str, Any]]) -> list[Node]:
    return [
        Node(
            ("child", str(child["id"])),
            str(child.get("job_slug") or "child"),
            "child run",
            str(child["status"]),
            duration(lasted(child.get("started_at"), child.get("finished_at"))),
            (_ROOT,),
            is_loose=True,
        )
        for child in children
    ]


def _times(step: Mapping[str, Any]) -> tuple[float, float]:
    start = seconds(step.get("started_at")) or 0.0
    return start, seconds(step.get("finished_at")) or start


_Place = tuple[float, float]


def _placed(shown: list[Node]) -> tuple[dict[tuple[str, ...], _Place], int, int]:
    """Return the upper left corners of boxes, and the size of the picture.

    Boxes stand in layers from left to right; more layers than fit go on in the next row.
    """
    layers = _layers(shown)
    places: dict[tuple[str, ...], _Place] = {}
    top, widest = float(_MARGIN), 0
    for first in range(0, len(layers), _PER_ROW):
        row = layers[first : first + _PER_ROW]
        tallest = max(len(layer) for layer in row)
        full = tallest * (_BOX_HEIGHT + _GAP_Y) - _GAP_Y
        for column, layer in enumerate(row):
            used = len(layer) * (_BOX_HEIGHT + _GAP_Y) - _GAP_Y
            for index, node in enumerate(layer):
                x = _MARGIN + column * (_BOX_WIDTH + _GAP_X)
                y = top + (full - used) / 2 + index * (_BOX_HEIGHT + _GAP_Y)
                places[node.id] = (x, y)
        widest = max(widest, len(row))
        top += full + _BETWEEN_ROWS
    width = 2 * _MARGIN + widest * (_BOX_WIDTH + _GAP_X) - _GAP_X
    return places, width, round(top - _BETWEEN_ROWS + _MARGIN)


def _layers(shown: list[Node]) -> list[list[Node]]:
    known = {node.id for node in shown}
    depth = dict.fromkeys(known, 0)
    # What needs each other would go on for ever; no graph is deeper than it has boxes.
    for _ in shown:
        changed = False
        for node in shown:
            needed = max((depth[one] + 1 for one in node.needs if one in known), default=0)
            if depth[node.id] < needed < len(shown):
                depth[node.id] = needed
                changed = True
        if not changed:
            break
    layers: list[list[Node]] = [[] for _ in range(max(depth.values()) + 1)]
    for node in shown:
        layers[depth[node.id]].append(node)
    return [layer for layer in layers if layer]


def _box(node: Node, x: float, y: float) -> Markup:
    said = f"{node.label}: {node.status}, {node.kind}, {node.took}"
    return tag(
        "g",
        tag("title", said),
        tag("rect", x=x, y=f"{y:.0f}", width=_BOX_WIDTH, height=_BOX_HEIGHT, rx=9, class_="box"),
        tag("rect", x=x, y=f"{y:.0f}", width=5, height=_BOX_HEIGHT, rx=2.5, class_="edge"),
        tag(
            "text", shortened(node.label, _LABEL_CHARS), x=x + 15, y=f"{y + 19:.0f}", class_="name"
        ),
        tag(
            "text",
            shortened(f"{node.status.replace('_', ' ')} · {node.took}", _LABEL_CHARS + 4),
            x=x + 15,
            y=f"{y + 35:.0f}",
            class_="sub",
        ),
        class_=f"node s-{node.status.replace('_', '-')}",
    )


def _edge(source: _Place, target: _Place, *, is_loose: bool) -> Markup:
    x1, y1 = source[0] + _BOX_WIDTH, source[1] + _BOX_HEIGHT / 2
    x2, y2 = target[0] - 2, target[1] + _BOX_HEIGHT / 2
    if x2 >= x1:
        middle = (x1 + x2) / 2
        path = f"M{x1:.0f} {y1:.0f}C{middle:.0f} {y1:.0f} {middle:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"
    else:
        # To the next row: down from the box, and into the top of the other.
        x1, y1 = source[0] + _BOX_WIDTH / 2, source[1] + _BOX_HEIGHT
        x2, y2 = target[0] + _BOX_WIDTH / 2, target[1] - 2
        middle = y2 - _BETWEEN_ROWS / 2
        path = f"M{x1:.0f} {y1:.0f}V{middle:.0f}H{x2:.0f}V{y2:.0f}"
    return tag("path", d=path, class_="link loose" if is_loose else "link", marker_end="url(#tip)")
