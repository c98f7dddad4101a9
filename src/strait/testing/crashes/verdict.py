"""What a life with a crash must have in common with the life without one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strait.errors import Json
    from strait.testing.crashes.lives import Life
    from strait.testing.crashes.platform import MemoryRun


class DoubledEffect(AssertionError):  # noqa: N818 - what it says, a test fails with
    """A handler does not stand a crash.

    Attributes:
        faults: one line each: where it was crashed, and what was wrong then.
    """

    def __init__(self, faults: Sequence[str], crashes: int) -> None:
        self.faults = tuple(faults)
        lines = "".join(f"\n  {fault}" for fault in faults)
        super().__init__(f"{len(faults)} faults in {crashes} crashes:{lines}")


@dataclass(frozen=True, slots=True)
class CrashReport:
    """What a handler has stood.

    Attributes:
        crashes: where it was crashed, one word each.
        calls: how often the function of each step was called in the life without a crash.
        status: how the run ended, each time: `completed` or `failed`.
        result: what it completed with, each time.
        error: what it failed with, each time.
    """

    crashes: tuple[str, ...]
    calls: Mapping[str, int]
    status: str
    result: Json
    error: str


def faults_of(life: Life, without: Life, *, same_result: bool) -> Iterator[str]:
    """Yield what is wrong with a life, beside the one without a crash."""
    yield from _doubled(life.run, without.run)
    if life.status != without.status:
        told = f"{life.status} ({life.error})" if life.error else life.status
        yield f"the run {told}, and {without.status} without the crash"
    elif life.error != without.error:
        yield f"the run failed with `{life.error}`, and with `{without.error}` without the crash"
    elif same_result and life.result != without.result:
        yield (
            f"the result is {life.result!r}, and {without.result!r} without the crash; what "
            "differs was made outside of a step"
        )


def _doubled(run: MemoryRun, without: MemoryRun) -> Iterator[str]:
    for name in run.again:
        yield f"{name} was carried out again although it is on record"
    for name in sorted(run.calls.keys() | without.calls.keys()):
        calls, expected = run.calls[name], without.calls[name]
        # What was begun and is not on record may be done once more.
        if not expected <= calls <= expected + (name in run.under_way):
            yield (
                f"{name} was carried out {_times(calls)}, not {_times(expected)}; are its name and "
                "its place the same in every attempt?"
            )
    for what, count in _counted(run).items():
        if count != (expected := _counted(without)[what]):
            yield f"{what}: {count}, not {expected}; outside of a step it is done again"


def _counted(run: MemoryRun) -> Counter[str]:
    """Count what adds up when it is done again."""
    record = run.record
    started = Counter(f"children of `{child['job_slug']}`" for child in record.spawns)
    return started + Counter(
        {
            "usage reports": len(record.usage_reports),
            "tool calls": len(record.tool_calls),
            "runs that continue this one": len(record.continuations),
        }
    )


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")
