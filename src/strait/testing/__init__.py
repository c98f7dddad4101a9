"""Testing programs that use `strait`: a platform whose time can be moved, and a mock of its API.

    import strait.testing

    with strait.testing.platform(remind) as platform:  # `remind` sleeps for three days
        run = platform.run(remind, {"user": "ada"})  # and has ended when this returns

`platform` runs jobs and workflows on a real embedded platform under a virtual clock.
`MockPlatform` stands in for the API where only the calls of a client matter. A single handler
needs neither: `create_test_context` is enough. `strait.testing.plugin` has the pytest fixtures.

Names are imported when they are first used; the platform needs the extra `server`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from strait.authoring.harness import TestRunRecord, create_test_context
    from strait.clock import VirtualClock
    from strait.testing.mock import MockAnswer, MockPlatform, MockRequestError, RecordedRequest
    from strait.testing.world import AsyncTestPlatform, TestPlatform, platform

_SOURCES = {
    "AsyncTestPlatform": "strait.testing.world",
    "MockAnswer": "strait.testing.mock",
    "MockPlatform": "strait.testing.mock",
    "MockRequestError": "strait.testing.mock",
    "RecordedRequest": "strait.testing.mock",
    "TestPlatform": "strait.testing.world",
    "TestRunRecord": "strait.authoring.harness",
    "VirtualClock": "strait.clock",
    "create_test_context": "strait.authoring.harness",
    "platform": "strait.testing.world",
}

__all__ = [
    "AsyncTestPlatform",
    "MockAnswer",
    "MockPlatform",
    "MockRequestError",
    "RecordedRequest",
    "TestPlatform",
    "TestRunRecord",
    "VirtualClock",
    "create_test_context",
    "platform",
]


def __getattr__(name: str) -> Any:
    if name not in _SOURCES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Here, because the plugin is imported in every pytest run, whether it is used or not.
    from importlib import import_module  # noqa: PLC0415 - only when a name is used

    value = getattr(import_module(_SOURCES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
