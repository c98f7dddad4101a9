"""A project for the commands, and running them against its platform as a person would."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from strait.cli.commands import cli

from .processes import Running, running

TARGET = """\
from strait.authoring import (
    JobOptions, WorkflowOptions, approval_step, define_job, define_workflow, job_step,
)
from strait.errors import NonRetryable


async def greet(payload, ctx):
    ctx.logger.info("greeting %s", payload["name"])
    ctx.logger.warning("\\x1b[31mred")
    await ctx.report_progress(50, "half of it")
    return {"text": f"hello {payload['name']}"}


def refuse(payload, ctx):
    raise NonRetryable("no\\nway")


def flaky(payload, ctx):
    raise RuntimeError("broken")


async def patient(payload, ctx):
    ctx.logger.info("waiting")
    return {"got": await ctx.wait_for_event(payload["event"])}


greet_job = define_job(JobOptions(name="Greet", slug="greet", run=greet, cron="0 9 * * 1"))
refuse_job = define_job(JobOptions(name="Refuse", slug="refuse", run=refuse))
flaky_job = define_job(JobOptions(name="Flaky", slug="flaky", run=flaky, max_attempts=1))
patient_job = define_job(JobOptions(name="Patient", slug="patient", run=patient))
order = define_workflow(
    WorkflowOptions(
        name="Order",
        slug="order",
        cron="@daily",
        steps=[
            approval_step("review"),
            job_step("greet", "greet", depends_on=["review"]),
        ],
    )
)
"""


class Shop:
    """The command line in the directory of a running platform."""

    def __init__(self, directory: Path, platform: Running | None) -> None:
        self.directory = directory
        self._platform = platform

    @property
    def platform(self) -> Running:
        """The platform; there need be none for what asks none."""
        assert self._platform is not None
        return self._platform

    def run(self, *words: str, stdin: str | None = None, **variables: str) -> Result:
        """Run a command in this process."""
        with plain_environment(self.directory, **variables):
            return CliRunner().invoke(cli, list(words), input=stdin)

    def done(self, *words: str, stdin: str | None = None, **variables: str) -> str:
        """Run a command that must succeed, and return what it prints."""
        result = self.run(*words, stdin=stdin, **variables)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *words: str, stdin: str | None = None) -> Any:
        """Run a command with `--json`, and return its one document."""
        return json.loads(self.done(*words, "--json", stdin=stdin))

    def refused(self, *words: str, stdin: str | None = None, **variables: str) -> tuple[int, str]:
        """Run a command that must fail, and return its exit code and its one line."""
        result = self.run(*words, stdin=stdin, **variables)
        assert result.exit_code != 0, result.output
        lines = result.stderr.splitlines()
        told = [line for line in lines if line.startswith("strait: ")]
        assert lines[-1:] == told, result.stderr
        return result.exit_code, told[0].removeprefix("strait: ")


@contextmanager
def plain_environment(directory: Path, **variables: str) -> Iterator[None]:
    """Have a directory, and of our variables only these."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("STRAIT_", "INTERNAL_SECRET", "_STRAIT")):
                patch.delenv(name)
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.chdir(directory)
        yield


@contextmanager
def shop_at(directory: Path, target: str = TARGET) -> Iterator[Shop]:
    """Run a platform with the handlers of a target in a directory."""
    (directory / "shop.py").write_text(target)
    with running("dev", "shop.py", "--port", "0", "--json", cwd=directory) as platform:
        yield Shop(directory, platform)
