"""`run_context`: the context of a handler that works in memory, with its record in it."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from strait.authoring.context import RunContext
from strait.authoring.harness import TestRunRecord, recording_session, run_now
from strait.authoring.sync_context import SyncRunContext

if TYPE_CHECKING:
    from typing import Unpack

    from strait.authoring.harness import TestRunOptions


class TestContext(SyncRunContext):
    """A context for plain handlers that works in memory.

    Attributes:
        record: everything that was done with it.
    """

    # Its name starts with `Test`; pytest must not look for tests in it.
    __test__ = False

    record: TestRunRecord


class AsyncTestContext(RunContext):
    """A context for `async` handlers that works in memory.

    Attributes:
        record: everything that was done with it.
    """

    record: TestRunRecord


class run_context:  # noqa: N801 - it is called like the function that it stands for
    """A context for one handler: `with` for plain ones, `async with` for those that await.

        with run_context(payload={"user": "ada"}) as ctx:
            remind(ctx.payload, ctx)
            assert ctx.record.completed

    Args:
        **options: those of `create_test_context`, without `sync`.
    """

    def __init__(self, **options: Unpack[TestRunOptions]) -> None:
        self._options = options

    def __enter__(self) -> TestContext:
        session, record = recording_session(**self._options)
        context = TestContext(session, run_now)
        context.record = record
        return context

    async def __aenter__(self) -> AsyncTestContext:
        session, record = recording_session(**self._options)
        context = AsyncTestContext(session)
        context.record = record
        return context

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the block; the record can be read on."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the block; the record can be read on."""
