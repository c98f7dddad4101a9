"""Taking a run away from its platform: as a document, or as a fixture for unit tests.

What the document has and how it becomes a page is in `strait.report`; what is hidden in either,
in `strait.redaction`.
"""

from __future__ import annotations

from strait.takeaway.collect import collect
from strait.takeaway.fixture import NoFixtureError, collect_fixture, fixture

__all__ = ["NoFixtureError", "collect", "collect_fixture", "fixture"]
