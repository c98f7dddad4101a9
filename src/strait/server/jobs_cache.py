"""Jobs in memory: every trigger and every dispatch looks at one."""

from __future__ import annotations

import sqlite3

from msgspec import Struct

from strait.engine.model import Job, Run
from strait.server import addresses
from strait.server.errors import ApiError
from strait.server.signing_headers import Header
from strait.server.vault import Vault, signing_place
from strait.server.work import environments
from strait.store import dependencies, jobs


class JobEntry(Struct, frozen=True):
    """A job and what is looked up with it.

    Attributes:
        job: the definition.
        signing_secret: what signs the requests to its endpoint, or "".
        waits: whether its runs wait for those of other jobs.
        awaited: whether the runs of other jobs wait for its own.
        endpoint_url: where its runs are sent: its own address, or that of its environment.
        secrets: the headers with the secrets that its handler is given.
    """

    job: Job
    signing_secret: str
    waits: bool
    awaited: bool
    endpoint_url: str
    secrets: tuple[Header, ...] = ()

    def __repr__(self) -> str:
        return f"JobEntry({self.job.slug!r})"


class JobsCache:
    """Present definitions by id, and old versions once they were asked for.

    Args:
        vault: opens the secrets that jobs sign with.
        reach: where runs may go.
    """

    def __init__(self, vault: Vault, reach: addresses.Reach) -> None:
        self._reach = reach
        self._vault = vault
        self._present: dict[str, JobEntry] = {}
        self._versions: dict[tuple[str, int], JobEntry] = {}

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
            entry = self._entry(db, job)
            self._present[job_id] = entry
        return entry

    def _secret(self, db: sqlite3.Connection, job_id: str) -> str:
        return self._vault.open(jobs.signing_secret(db, job_id), signing_place(job_id))

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
        return self._version(db, run.job_id, run.job_version) or entry

    def _version(self, db: sqlite3.Connection, job_id: str, version: int) -> JobEntry | None:
        entry = self._versions.get((job_id, version))
        if entry is None:
            job = jobs.get_version(db, job_id, version)
            if job is None:
                return None
            entry = self._versions[job_id, version] = self._entry(db, job)
        return entry

    def _entry(self, db: sqlite3.Connection, job: Job) -> JobEntry:
        secrets = environments.secrets_of(db, self._vault, job)
        return JobEntry(
            job,
            self._vault.open(jobs.signing_secret(db, job.id), signing_place(job.id)),
            bool(dependencies.of_job(db, job.id)),
            bool(dependencies.on_job(db, job.id)),
            self._endpoint(db, job, has_secrets=bool(secrets)),
            tuple((f"X-Secret-{key}".encode(), text.encode()) for key, text in secrets.items()),
        )

    def _endpoint(self, db: sqlite3.Connection, job: Job, *, has_secrets: bool) -> str:
        """Return where runs of a job go; a job with secrets sends them to its own address only."""
        if has_secrets:
            return job.endpoint_url
        other = environments.endpoint_of(db, self._vault, job)
        if not other:
            return job.endpoint_url
        try:
            return addresses.endpoint(other, "ENDPOINT_URL", self._reach)
        except ApiError:
            return job.endpoint_url
