"""`pytest --strait-replay`: each exported run as a test of the code as it is now."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from strait.errors import StraitError
from strait.serve.discovery import DiscoveryError, Found, discover, discover_all
from strait.takeaway.fixture import FORMAT
from strait.testing.replay import RecordedRun, ReplayError, load_run

if TYPE_CHECKING:
    from strait.authoring.jobs import JobDefinition


class Replays:
    """Finds exported runs, and their jobs.

    Args:
        config: of the session; where it names no tests besides, only replays are collected.

    Raises:
        pytest.UsageError: there is no such file or directory.
    """

    def __init__(self, config: pytest.Config) -> None:
        here = config.invocation_params.dir
        self._paths = [(here / name).resolve() for name in config.getoption("--strait-replay")]
        for path in self._paths:
            if not path.exists():
                raise pytest.UsageError(f"--strait-replay: there is no `{path}`")
        names = [str(path) for path in self._paths]
        if config.args_source is pytest.Config.ArgsSource.ARGS:
            config.args = [*config.args, *names]
        else:
            config.args = names
        self._targets = config.getoption("--strait-app") or config.getini("strait_app")
        # As with `python -m pytest`: modules are found from where one is.
        if str(here) not in sys.path:
            sys.path.insert(0, str(here))

    def pytest_collect_file(
        self, file_path: Path, parent: pytest.Collector
    ) -> pytest.Collector | None:
        """Collect an exported run; in a directory, files that are none are passed over."""
        path = file_path.resolve()
        named = path in self._paths
        if not named and not any(path.is_relative_to(one) for one in self._paths):
            return None
        if not named and not (path.suffix == ".json" and _is_fixture(path)):
            return None
        return _File.of(parent, file_path, self)

    def job_of(self, recorded: RecordedRun) -> JobDefinition[Any]:
        """Return the job of a run as the code has it now.

        Raises:
            DiscoveryError: it is not found.
        """
        slug = recorded.job_slug
        if self._targets:
            found, where = self._found, ", ".join(f"`{name}`" for name in self._targets)
        elif recorded.target:
            found, where = discover(recorded.target), f"`{recorded.target}`, which it names"
        else:
            raise DiscoveryError(
                f"{recorded.path} does not say where job `{slug}` is; give --strait-app TARGET, "
                "or `strait_app` in the ini file"
            )
        for job in found.jobs:
            if job.slug == slug:
                return job
        raise DiscoveryError(f"there is no job `{slug}` in {where}")

    @cached_property
    def _found(self) -> Found:
        return discover_all(self._targets)


class _File(pytest.File):
    replays: Replays

    @classmethod
    def of(cls, parent: pytest.Collector, path: Path, replays: Replays) -> _File:
        """Return the collector of one file."""
        made: _File = cls.from_parent(parent, path=path)
        made.replays = replays
        return made

    def collect(self) -> Iterator[pytest.Item]:
        """Collect the one run that the file has."""
        try:
            recorded = load_run(self.path)
        except StraitError as error:
            raise self.CollectError(str(error)) from error
        yield _Item.of(self, recorded, self.replays)


class _Item(pytest.Item):
    recorded: RecordedRun
    replays: Replays

    @classmethod
    def of(cls, parent: _File, recorded: RecordedRun, replays: Replays) -> _Item:
        """Return the test of one run."""
        made: _Item = cls.from_parent(parent, name=recorded.job_slug or recorded.run_id)
        made.recorded, made.replays = recorded, replays
        return made

    def runtest(self) -> None:
        """Replay the run."""
        self.recorded.replay(self.replays.job_of(self.recorded))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Say what differs; where the handler raised, with its traceback."""
        error = excinfo.value
        if isinstance(error, ReplayError):
            cause = error.__cause__
            if cause is None or not cause.__traceback__:
                return str(error)
            told = pytest.ExceptionInfo.from_exception(cause)
            return f"{error}\n\n{super().repr_failure(told, style or 'short')}"
        if isinstance(error, StraitError):
            return str(error)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Name the run."""
        return self.path, None, f"{self.name}: run {self.recorded.run_id}"


def _is_fixture(path: Path) -> bool:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    # One of another version is collected, too: it should not be passed over in silence.
    family = FORMAT.rpartition("/")[0] + "/"
    return isinstance(found, dict) and str(found.get("format", "")).startswith(family)
