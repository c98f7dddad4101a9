"""`crash_everywhere`: a handler is crashed behind everything it records, and must double nothing.

`platform` keeps a run in memory over the deaths of its handler, `lives` lives a run to its end, and
`verdict` compares a life with crashes to the one without.
"""

from __future__ import annotations

from strait.testing.crashes.harness import crash_everywhere, crash_everywhere_async
from strait.testing.crashes.verdict import CrashReport, DoubledEffect

__all__ = ["CrashReport", "DoubledEffect", "crash_everywhere", "crash_everywhere_async"]
