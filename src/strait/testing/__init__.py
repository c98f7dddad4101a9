"""Testing programs that use `strait`: a platform whose time can be moved, and a mock of its API.

    import strait.testing

    with strait.testing.platform(remind) as platform:  # `remind` sleeps for three days
        run = platform.run(remind, {"user": "ada"})  # and has ended when this returns

`platform` runs jobs and workflows on a real embedded platform under a virtual clock.
`MockPlatform` stands in for the API where only the calls of a client matter, and `make_job` and
its like make up what it answers. A single handler needs neither: `run_context` and
`create_test_context` are enough, `crash_everywhere` crashes it behind all that it records, and
`load_run` replays a run that was exported.
`strait.testing.plugin` has the pytest fixtures.

Names are imported when they are first used; the platform needs the extra `server`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from strait.lazily import lazily

if TYPE_CHECKING:
    from strait.authoring.harness import TestRunRecord, create_test_context
    from strait.clock import VirtualClock
    from strait.testing.contexts import AsyncTestContext, TestContext, run_context
    from strait.testing.crashes import (
        CrashReport,
        DoubledEffect,
        crash_everywhere,
        crash_everywhere_async,
    )
    from strait.testing.factories import (
        make,
        make_job,
        make_page,
        make_run,
        make_triggered,
        make_workflow,
        make_workflow_run,
    )
    from strait.testing.mock import MockAnswer, MockPlatform, MockRequestError, RecordedRequest
    from strait.testing.replay import RecordedRun, Replay, ReplayError, load_run
    from strait.testing.world import AsyncTestPlatform, TestPlatform, platform

_SOURCES = {
    "AsyncTestContext": "strait.testing.contexts",
    "AsyncTestPlatform": "strait.testing.world",
    "CrashReport": "strait.testing.crashes",
    "DoubledEffect": "strait.testing.crashes",
    "MockAnswer": "strait.testing.mock",
    "MockPlatform": "strait.testing.mock",
    "MockRequestError": "strait.testing.mock",
    "RecordedRequest": "strait.testing.mock",
    "RecordedRun": "strait.testing.replay",
    "Replay": "strait.testing.replay",
    "ReplayError": "strait.testing.replay",
    "TestContext": "strait.testing.contexts",
    "TestPlatform": "strait.testing.world",
    "TestRunRecord": "strait.authoring.harness",
    "VirtualClock": "strait.clock",
    "crash_everywhere": "strait.testing.crashes",
    "crash_everywhere_async": "strait.testing.crashes",
    "create_test_context": "strait.authoring.harness",
    "load_run": "strait.testing.replay",
    "make": "strait.testing.factories",
    "make_job": "strait.testing.factories",
    "make_page": "strait.testing.factories",
    "make_run": "strait.testing.factories",
    "make_triggered": "strait.testing.factories",
    "make_workflow": "strait.testing.factories",
    "make_workflow_run": "strait.testing.factories",
    "platform": "strait.testing.world",
    "run_context": "strait.testing.contexts",
}

__all__ = [
    "AsyncTestContext",
    "AsyncTestPlatform",
    "CrashReport",
    "DoubledEffect",
    "MockAnswer",
    "MockPlatform",
    "MockRequestError",
    "RecordedRequest",
    "RecordedRun",
    "Replay",
    "ReplayError",
    "TestContext",
    "TestPlatform",
    "TestRunRecord",
    "VirtualClock",
    "crash_everywhere",
    "crash_everywhere_async",
    "create_test_context",
    "load_run",
    "make",
    "make_job",
    "make_page",
    "make_run",
    "make_triggered",
    "make_workflow",
    "make_workflow_run",
    "platform",
    "run_context",
]

# The plugin is imported in every pytest run, whether it is used or not.
__getattr__, __dir__ = lazily(__name__, _SOURCES)
