"""What a host has, as plain JSON that goes from one process to another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strait.authoring.definitions import Definition
    from strait.errors import Json

_SECRETS = ("endpoint_signing_secret", "webhook_secret")


@dataclass(frozen=True, slots=True)
class JobEntry:
    """A job in a manifest.

    Attributes:
        slug: its slug.
        project_id: the project that its definition names; empty if none.
        hosted: whether its handler is on the host.
        settings: its options in the platform's names, without project and secrets.
    """

    slug: str
    project_id: str
    hosted: bool
    settings: dict[str, Json]


@dataclass(frozen=True, slots=True)
class WorkflowEntry:
    """A workflow in a manifest; its steps name jobs and workflows by slug or id.

    Attributes:
        slug: its slug.
        project_id: the project that its definition names; empty if none.
        settings: its options in the platform's names, without project.
    """

    slug: str
    project_id: str
    settings: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a host has, as plain JSON; it holds no secrets."""

    jobs: tuple[JobEntry, ...]
    workflows: tuple[WorkflowEntry, ...]

    @classmethod
    def of(cls, definitions: Iterable[Definition]) -> Manifest:
        """Return the manifest of definitions."""
        # Who only carries a manifest on need not import what it is of.
        from strait.authoring.jobs import JobDefinition  # noqa: PLC0415
        from strait.authoring.workflows import WorkflowDefinition  # noqa: PLC0415

        known = list(definitions)
        jobs = [found for found in known if isinstance(found, JobDefinition)]
        workflows = [found for found in known if isinstance(found, WorkflowDefinition)]
        return cls(
            tuple(
                JobEntry(
                    job.slug,
                    job.options.project_id,
                    job.run is not None,
                    {k: v for k, v in job.settings().items() if k not in _SECRETS},
                )
                for job in jobs
            ),
            tuple(WorkflowEntry(w.slug, w.options.project_id, w.settings()) for w in workflows),
        )

    def for_workers(self) -> Manifest:
        """Return it with the jobs that have a handler given to workers, and not called."""
        jobs = (
            replace(job, settings={**job.settings, "execution_mode": "worker"})
            if job.hosted
            else job
            for job in self.jobs
        )
        return replace(self, jobs=tuple(jobs))

    @classmethod
    def from_json(cls, said: Mapping[str, Json]) -> Manifest:
        """Read what `to_json` returned."""
        return cls(
            tuple(JobEntry(**entry) for entry in said["jobs"]),
            tuple(WorkflowEntry(**entry) for entry in said["workflows"]),
        )

    def to_json(self) -> dict[str, Json]:
        """Return the manifest as JSON."""
        return {
            "jobs": [
                {
                    "slug": job.slug,
                    "project_id": job.project_id,
                    "hosted": job.hosted,
                    "settings": job.settings,
                }
                for job in self.jobs
            ],
            "workflows": [
                {"slug": w.slug, "project_id": w.project_id, "settings": w.settings}
                for w in self.workflows
            ],
        }
