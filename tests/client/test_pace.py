"""Waits of a client go through one place, so that a test can do without them."""

from __future__ import annotations

import pytest

from strait import RetryOptions
from strait.client import pace

from .conftest import JOB, Harness, Platform


def test_a_wait_before_another_attempt_is_the_pace_of_the_client(
    either: Harness, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def sleep_async(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(pace, "sleep", waits.append)
    monkeypatch.setattr(pace, "sleep_async", sleep_async)
    platform.answers_with(503, headers={"Retry-After": "30"})
    platform.answers_with(200, JOB)
    client = either.client(retry=RetryOptions(attempts=2))
    assert either.run(lambda: client.jobs.get("job_1")).id == "job_1"
    assert waits == [30.0]
