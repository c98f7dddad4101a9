"""What a host does with a request, whatever it came by: addresses, signatures, sizes, answers.

`Core` takes a request apart from any framework and gives the answer to it. `application` puts it
behind ASGI, `blocking` behind everything that calls and waits. There is no second implementation.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, TypeVar
from urllib.parse import quote

from strait.authoring.definitions import Definition
from strait.authoring.jobs import JobDefinition
from strait.authoring.validation import DefinitionError
from strait.config import Layer, check_base_url
from strait.retry import is_count
from strait.serve import answers, inbound
from strait.serve.answers import Answer
from strait.serve.attempts import CANCEL_GRACE_SECS, HEARTBEAT_SECS, Rules
from strait.serve.discovery import definitions_in
from strait.serve.execution import Executor, HostedJob
from strait.serve.guard import Guard
from strait.serve.isolation import MAX_PROCESSES
from strait.serve.platform import PlatformPool
from strait.signing import TOLERANCE_SECS

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("strait.serve")

MAX_BODY_BYTES = 10 * 1024 * 1024
_PREFIX = "/jobs/"

Source: TypeAlias = Definition | ModuleType | Iterable[Definition]
"""What is hosted: definitions, one definition, or a module that has some."""
Read: TypeAlias = Callable[[int], Awaitable[bytes | None]]
"""Reads the body of a request, at most a byte more than so many; None if the caller has left."""


CoreT = TypeVar("CoreT", bound="Core")


class HostOptions(TypedDict, total=False):
    """What every host takes besides its jobs; `strait.serve.asgi` says what each is."""

    base_url: str
    signing_secret: str | Iterable[str]
    project_id: str
    max_threads: int
    max_body_bytes: int
    tolerance_secs: int
    http_client: httpx.AsyncClient | None
    heartbeat_secs: float
    cancel_grace_secs: float
    max_processes: int


class Core:
    """Hosts jobs; all of it runs in one event loop.

    Attributes:
        jobs: the jobs that are hosted, by slug.
        active: how many requests are being worked on.
        max_body_bytes: the largest payload that is taken.
    """

    def __init__(
        self,
        jobs: Iterable[JobDefinition[Any]],
        platform: PlatformPool,
        *,
        signing_secrets: tuple[str, ...] = (),
        project_id: str = "",
        max_threads: int = 64,
        max_body_bytes: int = MAX_BODY_BYTES,
        tolerance_secs: int = TOLERANCE_SECS,
        now: Callable[[], float] = time.time,
        rules: Rules | None = None,
        max_processes: int = MAX_PROCESSES,
    ) -> None:
        self.jobs = by_slug(jobs)
        self.active = 0
        self.max_body_bytes = max_body_bytes
        self._platform = platform
        self._guard = Guard(now, tolerance_secs)
        self._executor = Executor(platform, project_id, max_threads, now, rules, max_processes)
        self._hosted = {
            _PREFIX + slug: HostedJob(job, job.run, secrets_of(job, signing_secrets))
            for slug, job in self.jobs.items()
            if job.run is not None
        }

    def hold_deadlines(self, *, hold: bool) -> None:
        """Time out no attempt while this holds; for a debugger. Call it on the loop."""
        self._executor.hold_deadlines(hold=hold)

    async def close(self) -> None:
        """Give connections and threads back; a server does so with the lifespan's end."""
        self._executor.close()
        await self._platform.close()

    async def handle(
        self,
        method: str,
        path: str,
        headers: inbound.Headers,
        read: Read,
        gone: Callable[[], Awaitable[object]] | None = None,
        limit_secs: float | None = None,
    ) -> Answer | None:
        """Answer one request; None if the caller left before its body was read.

        Args:
            method: in upper case.
            path: below the host's own address, decoded.
            headers: by lower-case name.
            read: reads the body; not called if the request is refused without it.
            gone: returns when the caller waits for the answer no more.
            limit_secs: how long the attempt may take in any case.
        """
        self.active += 1
        try:
            return await self._answer(method, path, headers, read, gone, limit_secs)
        except Exception:  # whatever it is, the caller gets JSON and no traceback
            log.exception("the host failed at %s", path)
            return answers.error(500, "HostError", "the host failed; its log says how")
        finally:
            self.active -= 1

    async def _answer(
        self,
        method: str,
        path: str,
        headers: inbound.Headers,
        read: Read,
        gone: Callable[[], Awaitable[object]] | None,
        limit_secs: float | None,
    ) -> Answer | None:
        job = self._hosted.get(path)
        if job is None:
            return self._other(method, path)
        if method != "POST":
            return _method_not_allowed("POST")
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self.max_body_bytes:
            return self._too_large()
        body = await read(self.max_body_bytes)
        if body is None:
            return None
        if len(body) > self.max_body_bytes:
            return self._too_large()
        refusal = self._refusal(job, headers, body)
        if refusal is not None:
            return refusal
        if inbound.is_endpoint_test(headers, body):
            return answers.NOTHING
        try:
            dispatch = inbound.parse(headers, body)
        except inbound.BadDispatchError as error:
            return answers.error(400, "BadDispatch", str(error))
        if limit_secs is not None:
            own_secs = dispatch.timeout_secs or job.timeout or limit_secs
            dispatch = replace(dispatch, timeout_secs=min(own_secs, limit_secs))
        return await self._executor.run(job, dispatch, gone)

    def _refusal(self, job: HostedJob, headers: inbound.Headers, body: bytes) -> Answer | None:
        """Return the answer to what is not the platform's, or came before."""
        if not job.secrets:
            return None
        reason = self._guard.refusal(headers, body, job.secrets)
        if reason:
            return answers.error(401, "Unauthorized", reason)
        if self._guard.is_replay(headers):
            return answers.error(
                409, "ReplayedDispatch", "this assignment of the run was dispatched before"
            )
        return None

    def _other(self, method: str, path: str) -> Answer:
        """Answer what is no dispatch to a job that is hosted here."""
        if path == "/health":
            if method not in ("GET", "HEAD"):
                return _method_not_allowed("GET")
            said = {"status": "ok", "jobs": sorted(self.jobs), "active": self.active - 1}
            return Answer(200, json.dumps(said).encode())
        slug = path.removeprefix(_PREFIX)
        if path.startswith(_PREFIX) and slug in self.jobs:
            return answers.error(404, "NotFound", f"job `{slug}` has no handler here")
        return answers.error(404, "NotFound", f"there is no job at `{path}` on this host")

    def _too_large(self) -> Answer:
        text = f"the body has more than {self.max_body_bytes} bytes"
        return answers.error(413, "BodyTooLarge", text)


class Settings:
    """What a host is made of, checked once; `core` makes one of it."""

    def __init__(
        self,
        source: Source,
        *,
        base_url: str = "",
        signing_secret: str | Iterable[str] = (),
        project_id: str = "",
        max_threads: int = 64,
        max_body_bytes: int = MAX_BODY_BYTES,
        tolerance_secs: int = TOLERANCE_SECS,
        http_client: httpx.AsyncClient | None = None,
        heartbeat_secs: float = HEARTBEAT_SECS,
        cancel_grace_secs: float = CANCEL_GRACE_SECS,
        max_processes: int = MAX_PROCESSES,
    ) -> None:
        for name, number in (
            ("max_threads", max_threads),
            ("max_body_bytes", max_body_bytes),
            ("tolerance_secs", tolerance_secs),
            ("max_processes", max_processes),
        ):
            if not is_count(number) or number < 1:
                raise DefinitionError(f"`{name}` must be a whole number, 1 or more, not {number!r}")
        self.jobs = [one for one in definitions_of(source) if isinstance(one, JobDefinition)]
        self.base_url = (
            check_base_url(base_url, "base_url")
            if base_url
            else Layer.of_environment().config().base_url
        )
        self.http_client = http_client
        self.signing_secrets = _secrets(signing_secret)
        self.project_id = project_id
        self.max_threads = max_threads
        self.max_body_bytes = max_body_bytes
        self.tolerance_secs = tolerance_secs
        self.rules = Rules(heartbeat_secs, cancel_grace_secs)
        self.max_processes = max_processes

    def core(self, kind: Callable[..., CoreT]) -> CoreT:
        """Make a `Core` of some kind.

        Raises:
            DefinitionError: two jobs have the same slug.
        """
        return kind(
            self.jobs,
            PlatformPool(self.base_url, self.http_client),
            signing_secrets=self.signing_secrets,
            project_id=self.project_id,
            max_threads=self.max_threads,
            max_body_bytes=self.max_body_bytes,
            tolerance_secs=self.tolerance_secs,
            rules=self.rules,
            max_processes=self.max_processes,
        )


def job_url(base: str, slug: str) -> str:
    """Return the address of a job on a host that is reached at `base`."""
    return f"{base.rstrip('/')}{_PREFIX}{quote(slug, safe='')}"


def _secrets(given: str | Iterable[str]) -> tuple[str, ...]:
    several: object = (given,) if isinstance(given, str) else given
    kind = type(given).__name__
    # The bytes of a text are numbers.
    if isinstance(several, Iterable) and not isinstance(several, bytes | bytearray):
        secrets = tuple(several)
        if all(isinstance(secret, str) for secret in secrets):
            return tuple(secret for secret in secrets if secret)
        kind += " of other things"
    # What it is instead is not shown: it may be the secret.
    raise DefinitionError(f"`signing_secret` must be a text, or a list of texts, not `{kind}`")


def definitions_of(source: Source) -> Sequence[Definition]:
    """Return the definitions of what may be one, several, or a module with some.

    Raises:
        DefinitionError: it is something else, or has something else in it.
    """
    several: object = source
    if isinstance(several, Definition):
        return [several]
    if isinstance(several, ModuleType):
        return definitions_in(several)
    if isinstance(several, str) or not isinstance(several, Iterable):
        raise DefinitionError(
            f"give a job, a list of jobs, or a module that has some, not {several!r}"
        )
    found = list(several)
    for one in found:
        if not isinstance(one, Definition):
            name = getattr(one, "__qualname__", None) or repr(one)
            raise DefinitionError(
                f"`{name}` is no job; give what `@job` or `define_job` makes of a function"
            )
    return found


def by_slug(jobs: Iterable[JobDefinition[Any]]) -> dict[str, JobDefinition[Any]]:
    """Return jobs by their slugs.

    Raises:
        DefinitionError: two have the same.
    """
    found: dict[str, JobDefinition[Any]] = {}
    for job in jobs:
        if found.setdefault(job.slug, job) is not job:
            raise DefinitionError(
                f"two jobs have the slug `{job.slug}`; a host needs one address each"
            )
    return found


def secrets_of(job: JobDefinition[Any], of_host: tuple[str, ...]) -> tuple[str, ...]:
    """Return what the dispatches of a job may be signed with: its own secret, and the host's."""
    own = job.options.endpoint_signing_secret or job.options.webhook_secret
    return (own, *of_host) if own else of_host


def _method_not_allowed(method: str) -> Answer:
    refused = answers.error(405, "MethodNotAllowed", f"this address takes {method}")
    return Answer(refused.status, refused.body, ((b"allow", method.encode()),))
