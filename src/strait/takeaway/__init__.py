"""Taking a run away from its platform: `collect` reads all that is known of it as a document.

What the document has and how it becomes a page is in `strait.report`.
"""

from __future__ import annotations

from strait.takeaway.collect import collect

__all__ = ["collect"]
