"""Taking a run away from its platform: as a document, as a report, as a fixture of a test.

    collect.py    a run and all that is known of it, by the public API of any platform
    fixture.py    what a unit test needs to replay it

What the document has and how it becomes a page is in `strait.report`; how a fixture is replayed
is in `strait.testing`.
"""

from __future__ import annotations

from strait.takeaway.collect import collect

__all__ = ["collect"]
