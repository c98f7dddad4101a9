"""However many calls find a token stale at once, its source is asked for one new token."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from strait.client.credentials import Credential
from strait.config import AuthType


def test_many_threads_that_find_a_token_stale_ask_for_one() -> None:
    asked: list[int] = []
    all_here = threading.Barrier(16)

    def source() -> str:
        asked.append(1)
        return f"token-{len(asked)}"

    credential = Credential(AuthType.BEARER, source)
    stale = credential.token(None)

    def renewed() -> str:
        all_here.wait(5)
        return credential.token(stale)

    with ThreadPoolExecutor(16) as pool:
        found = {future.result(5) for future in [pool.submit(renewed) for _ in range(16)]}
    assert found == {"token-2"}
    assert len(asked) == 2
    assert "token" not in repr(credential)


def test_many_tasks_ask_for_one_in_each_of_two_loops() -> None:
    asked: list[int] = []

    async def source() -> str:
        asked.append(1)
        await asyncio.sleep(0)
        return f"token-{len(asked)}"

    credential = Credential(AuthType.BEARER, source)

    async def all_of(stale: str | None) -> set[str]:
        return set(await asyncio.gather(*(credential.token_async(stale) for _ in range(50))))

    assert asyncio.run(all_of(None)) == {"token-1"}
    assert asyncio.run(all_of("token-1")) == {"token-2"}
    assert len(asked) == 2
