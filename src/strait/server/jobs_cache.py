"""Jobs in memory: every trigger and every dispatch looks at one."""

from __future__ import annotations

import sqlite3

from msgspec import Struct
from msgspec.structs import replace

from strait.engine.model import Job, Run
from strait.store import dependencies, jobs


class JobEntry(Struct, frozen=True):
    """A job and what is looked up with it.

    Attributes:
        job: the definition.
        signing_secret: what signs the requests to its endpoint, or "".
        waits: whether its runs wait for those of other jobs.
    """

    job: Job
    signing_secret: str
    waits: bool


class JobsCache:
    """Present definitions by id, and old versions once they were asked for."""

    def __init__(self) -> None:
        self._present: dict[str, JobEntry] = {}
        self._versions: dict[tuple[str, int], Job] = {}

    def clear(self) -> None:
        """Forget everything; the next look reads the database."""
        self._present.clear()
        self._versions.clear()

    def forget(self, job_id: str) -> None:
        """Forget the present definition of a job that is being changed."""
        self._present.pop(job_id, None)

    def get(self, db: sqlite3.Connection, job_id: str) -> JobEntry | None:
        """Return a job as it is now, or None."""
        entry = self._present.get(job_id)
        if entry is None:
            job = jobs.get(db, job_id)
            if job is None:
                return None
            waits = bool(dependencies.of_job(db, job_id))
            entry = JobEntry(job, jobs.signing_secret(db, job_id), waits)
            self._present[job_id] = entry
        return entry

    def for_run(self, db: sqlite3.Connection, run: Run) -> JobEntry | None:
        """Return the definition that a run follows: the one it was made under, or the present one.

        `version_policy` decides (`contract/runs.md` §4.5): `pin` keeps the version of the run,
        `latest` takes the present one, `minor` takes it when it says it is compatible.
        """
        entry = self.get(db, run.job_id)
        if entry is None or not run.job_version or entry.job.version == run.job_version:
            return entry
        policy = entry.job.version_policy
        if policy == "latest" or (policy == "minor" and entry.job.backwards_compatible):
            return entry
        job = self._version(db, run.job_id, run.job_version)
        return entry if job is None else replace(entry, job=job)

    def _version(self, db: sqlite3.Connection, job_id: str, version: int) -> Job | None:
        job = self._versions.get((job_id, version))
        if job is None:
            job = jobs.get_version(db, job_id, version)
            if job is not None:
                self._versions[job_id, version] = job
        return job
