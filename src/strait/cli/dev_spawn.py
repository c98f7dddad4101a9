"""Starting a process that gets ready to host handlers; it needs nothing else of ours."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process

# They say where another platform is; handlers speak to this one.
LEFT_OUT = (
    "STRAIT_BASE_URL",
    "STRAIT_API_KEY",
    "STRAIT_AUTH_TYPE",
    "STRAIT_PROFILE",
    "STRAIT_PROJECT",
)
# Manifests are long lines.
_LONGEST_LINE = 64 * 1024 * 1024


async def spawn() -> Process:
    """Start `strait.serve.standby`, with pipes to it, without what speaks of other platforms."""
    environment = {name: text for name, text in os.environ.items() if name not in LEFT_OUT}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "strait.serve.standby"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
        env=environment,
        # A Ctrl-C at the terminal is for the platform, which then ends its children in order.
        start_new_session=True,
    )
