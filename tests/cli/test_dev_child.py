"""What `strait dev` makes of a process of handlers that does not go on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from strait.cli.dev_child import Child, Order
from strait.serve.manifest import Manifest

pytestmark = pytest.mark.e2e

ORDER = Order(
    targets=("shop",),
    roots=(),
    base_url="http://127.0.0.1:9",
    project_id="proj",
    signing_secret="secret",
    environment={},
    without=(),
)
LOADED = '{"url": "", "jobs": [], "workflows": [], "places": [], "files": {}, "searched": []}'
ENDS_AT_ONCE = "input(); raise SystemExit(3)"
ENDS_WHEN_IT_REGISTERS = f"input(); print('{LOADED}', flush=True); input(); raise SystemExit(4)"
ENDS_BEFORE_IT_REGISTERS = f"input(); print('{LOADED}', flush=True); raise SystemExit(5)"


@asynccontextmanager
async def child(program: str) -> AsyncIterator[Child]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    made = Child(process, lambda _, said: pytest.fail(f"nobody said {said}"))
    yield made
    await made.stop()


async def test_a_process_that_ends_while_it_imports_the_code_is_told() -> None:
    async with child(ENDS_AT_ONCE) as made:
        loaded = await made.load(ORDER)
    assert loaded.error is not None
    assert loaded.error.message == "the code ended its process with status 3 while it was imported"


@pytest.mark.parametrize(
    ("program", "status"), [(ENDS_WHEN_IT_REGISTERS, 4), (ENDS_BEFORE_IT_REGISTERS, 5)]
)
async def test_a_process_that_ends_while_it_registers_is_told(program: str, status: int) -> None:
    async with child(program) as made:
        assert (await made.load(ORDER)).error is None
        found = await made.register(Manifest((), ()), "http://127.0.0.1:9")
    assert found.jobs == {}
    assert found.error is not None
    assert found.error.message.endswith(f"with status {status} while it was registered")
