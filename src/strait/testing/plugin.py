"""The pytest plugin of `strait`: fixtures, loaded only by the tests that ask, and replays of runs.

`pip install 'strait-python[server]'` is enough; pytest finds the plugin by its entry point.

    def test_the_reminder_is_sent_after_three_days(strait_platform):
        run = strait_platform.run(remind, {"user": "ada"})
        assert run.status == "completed"

`pytest --strait-replay PATH` makes a test of each run that `strait runs export --fixture` wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from strait.authoring import RunContext, SyncRunContext, TestRunRecord
    from strait.client import Client
    from strait.testing.mock import MockPlatform
    from strait.testing.world import TestPlatform


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of replays."""
    group = parser.getgroup("strait", "runs of strait that were exported")
    group.addoption(
        "--strait-replay",
        action="append",
        default=[],
        metavar="PATH",
        help="replay exported runs, a file or a directory of them, against the code; repeatable",
    )
    group.addoption(
        "--strait-app",
        action="append",
        default=[],
        metavar="TARGET",
        help="where their jobs are: a module, `module:name`, a file or a directory; repeatable",
    )
    parser.addini(
        "strait_app", "where the jobs of replayed runs are, as for --strait-app", "linelist"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Collect exported runs, where some are to be replayed."""
    if config.getoption("--strait-replay"):
        from strait.testing.replay_plugin import Replays  # noqa: PLC0415 - only who replays pays

        config.pluginmanager.register(Replays(config), "strait-replays")


@pytest.fixture
def strait_platform() -> Iterator[TestPlatform]:
    """A platform of this test alone, under a virtual clock; see `strait.testing.platform`."""
    from strait.testing.world import platform  # noqa: PLC0415 - only tests that ask pay for it

    with platform() as made:
        yield made


@pytest.fixture
def strait_client(strait_platform: TestPlatform) -> Client:
    """A client of `strait_platform`, with a key for everything."""
    return strait_platform.client


@pytest.fixture
def strait_mock() -> MockPlatform:
    """A `strait.testing.MockPlatform` of this test alone."""
    from strait.testing.mock import MockPlatform  # noqa: PLC0415 - see above

    return MockPlatform()


@pytest.fixture
def run_context() -> Callable[..., tuple[RunContext | SyncRunContext, TestRunRecord]]:
    """`create_test_context`: makes a context that works in memory, and the record of its use."""
    from strait.authoring.harness import create_test_context  # noqa: PLC0415 - see above

    return create_test_context
