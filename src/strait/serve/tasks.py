"""What a host and the processes that it runs isolated handlers in tell each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from strait.serve.answers import Answer

if TYPE_CHECKING:
    from strait.serve.attempts import Rules
    from strait.serve.inbound import Dispatch

TIMED_OUT = Answer(0, b"timed out")
"""An attempt timed out, and its thread goes on; no platform is ever answered so."""
CANCELLED = Answer(0, b"cancelled")
"""An attempt was cancelled, and its thread goes on; no platform is ever answered so."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job is found.

    Attributes:
        module: the name of a module that has it.
        slug: its slug.
    """

    module: str
    slug: str


@dataclass(frozen=True, slots=True)
class Task:
    """An attempt that is to be made.

    Attributes:
        place: the job.
        dispatch: the dispatch.
        base_url: the address of the platform.
        project_id: the project of child runs.
        rules: how it is looked after.
        held: whether nothing times it out.
    """

    place: Place
    dispatch: Dispatch
    base_url: str
    project_id: str
    rules: Rules
    held: bool


@dataclass(frozen=True, slots=True)
class Told:
    """That an attempt is to end.

    Attributes:
        run_id: its run.
        reason: why.
        outlived: whether the run goes on, or has ended, without it.
    """

    run_id: str
    reason: str
    outlived: bool
