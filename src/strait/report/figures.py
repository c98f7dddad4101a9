"""The two pictures of the page with what explains them."""

from __future__ import annotations

from strait.report.gantt import gantt
from strait.report.gather import Document
from strait.report.graph import graph, left_out, nodes
from strait.report.markup import Markup, tag
from strait.report.spans import timeline

_KEYS = (
    ("executing", "executing"),
    ("queued", "queued"),
    ("waiting", "waiting"),
    ("step", "step"),
    ("child", "child run"),
    ("failed", "failed"),
)


def graph_figure(document: Document) -> Markup | None:
    """Return the graph; None where there is but one box."""
    found = nodes(document)
    if len(found) < 2 and document["kind"] == "run":
        return None
    more = left_out(document)
    note = tag("p", f"{more} more are not drawn.", class_="note") if more else None
    return tag("div", tag("div", graph(found), class_="wide"), note)


def timeline_figure(document: Document) -> Markup | None:
    """Return the timeline; None where nothing has a time."""
    found = timeline(document)
    picture = gantt(found)
    if not picture:
        return None
    of_workflow = document["kind"] == "workflow_run"
    keys = [
        tag("li", tag("i", class_=kind), said)
        for kind, said in _KEYS
        if not (of_workflow and kind in ("queued", "child", "executing"))
    ]
    more = f"{found.left_out} more rows are not drawn." if found.left_out else ""
    note = tag("p", more, class_="note") if more else None
    return tag("div", tag("div", picture, class_="wide"), tag("ul", *keys, class_="keys"), note)
