"""A run as a document, and the document as one HTML page: what a run can be taken away as.

    gather.py      which reads of the API make the document of a run; yields them, does none
    spans.py       what happened when: attempts, waits, steps, children
    gantt.py       those as a picture
    graph.py       steps and children as a picture
    page.py        the document as a page without scripts

It is pure and imports neither wing, so that a client and the embedded server, each by its own
reads, make the same page. A document is JSON with the keys that `gather` lists; what must not
leave is hidden in it by `strait.redaction`.
"""

from __future__ import annotations

from strait.report.gather import FORMAT, Ask, Document, gather
from strait.report.page import render

__all__ = ["FORMAT", "Ask", "Document", "gather", "render"]
