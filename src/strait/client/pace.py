"""How a client waits before it tries again; nowhere else does it, so that tests need not wait."""

from __future__ import annotations

import asyncio
import time


def sleep(seconds: float) -> None:
    """Wait, and block the thread."""
    time.sleep(seconds)


async def sleep_async(seconds: float) -> None:
    """Wait, and let the loop go on."""
    await asyncio.sleep(seconds)
