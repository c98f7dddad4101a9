"""A worker: it keeps a stream to the platform, however often that breaks, until it is stopped."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import random
import socket
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from strait.authoring.definitions import Definition
from strait.authoring.jobs import JobDefinition
from strait.authoring.validation import DefinitionError
from strait.config import Layer
from strait.errors import ConfigurationError
from strait.serve.attempts import CANCEL_GRACE_SECS, HEARTBEAT_SECS, Rules
from strait.serve.core import Source, by_slug, definitions_of, secrets_of
from strait.serve.execution import Executor, HostedJob
from strait.serve.guard import Guard
from strait.serve.platform import PlatformPool
from strait.worker.errors import ConnectionLost
from strait.worker.tasks import Tasks

if TYPE_CHECKING:
    import httpx

    from strait.worker.connection import Connection, Identity

log = logging.getLogger("strait.worker")

DEFAULT_PORT = 50051
"""Where platforms listen for workers (`contract/runs.md` §10)."""
DEFAULT_SLOTS = 8
DEFAULT_DRAIN_SECS = 30.0
# A registration names at most so many tasks and jobs (`contract/runs.md` §10).
_MOST_SLOTS = 256
_MOST_JOBS = 256
_MOST_QUEUES = 64
_FIRST_PAUSE_SECS = 0.25
# Well below the time that the embedded platform keeps what a worker has (`--worker-lease-secs`).
_LONGEST_PAUSE_SECS = 5.0
# A stream that stood for so long was a good one.
_GOOD_SECS = 5.0
# How long those that were told to end may take, and results that are on their way.
_LAST_SECS = 2.0

Tell = Callable[[str, dict[str, object]], None]


def _silent(event: str, data: dict[str, object]) -> None:
    """Tell nobody."""


class Worker:
    """Runs the handlers of jobs whose runs the platform hands over.

    Jobs go to workers when they have `execution_mode="worker"`.

    Args:
        source: definitions, one definition, or a module that has some; jobs without a handler are
            left out.
        addr: where the platform listens for workers, `host:port`; by default port 50051 of the host
            of `base_url`.
        queues: the queues to serve; by default those of the jobs.
        slots: how many runs at once, 1 to 256. Handlers that are not `async` run in as many
            threads.
        name: what people call it; by default the host's name.
        worker_id: who it is, for as long as it runs; by default a new id. Two processes must not
            have the same.
        api_key: a key with the scope `workers:connect`, or `*`; by default that of the environment
            (`STRAIT_API_KEY`).
        base_url: the address of the platform's API, which handlers report to; by default that of
            the environment (`STRAIT_BASE_URL`).
        project_id: the project that `ctx.spawn` uses by default.
        signing_secret: the secret that runs are signed with, or several while one is rotated.
        drain_secs: how long `stop` waits for what is running.
        tls: whether to connect with TLS; by default unless `addr` is on this machine, and there
            too where there is a `ca_file`.
        ca_file: a PEM file with the certificates to trust, by default those of gRPC.
        http_client: the HTTP client that contexts use; closing it stays with the caller.
        heartbeat_secs: how often a run that takes a while is said to be alive; 0 for never.
        cancel_grace_secs: how long a handler that was told to end may go on.
        on_event: told what happens (`connected`, `disconnected`, `started`, `finished`, `failed`,
            `draining`) with its facts, on the loop.

    Attributes:
        jobs: what it serves, by slug.
        unfinished: how many runs it did not finish before it ended.

    Raises:
        DefinitionError: two jobs have the same slug, or none has a handler.
        ConfigurationError: an argument is wrong, or there is no key.
    """

    def __init__(
        self,
        source: Source,
        *,
        addr: str = "",
        queues: Iterable[str] = (),
        slots: int = DEFAULT_SLOTS,
        name: str = "",
        worker_id: str = "",
        api_key: str = "",
        base_url: str = "",
        project_id: str = "",
        signing_secret: str | Iterable[str] = (),
        drain_secs: float = DEFAULT_DRAIN_SECS,
        tls: bool | None = None,
        ca_file: Path | None = None,
        http_client: httpx.AsyncClient | None = None,
        heartbeat_secs: float = HEARTBEAT_SECS,
        cancel_grace_secs: float = CANCEL_GRACE_SECS,
        on_event: Tell = _silent,
    ) -> None:
        layer = Layer.of_environment()
        self.jobs = _served(definitions_of(source))
        self.base_url = base_url or layer.config().base_url
        self.addr = _address(addr or _host_of(self.base_url))
        self.queues = tuple(queues) or _queues_of(self.jobs.values())
        self.slots = slots
        self.worker_id = worker_id or f"{socket.gethostname()[:64]}-{uuid.uuid4().hex[:12]}"
        self._name = name or socket.gethostname()[:128]
        self._api_key = api_key or layer.token or ""
        self._project_id = project_id
        self._secrets = (signing_secret,) if isinstance(signing_secret, str) else signing_secret
        self._drain_secs = drain_secs
        if ca_file is not None and tls is False:
            raise ConfigurationError("`ca_file` is for TLS, which `tls=False` turns off: take one")
        self._plain = ca_file is None and _is_here(self.addr) if tls is None else not tls
        self._ca_file = ca_file
        self._http_client = http_client
        self._rules = Rules(heartbeat_secs, cancel_grace_secs)
        self._on_event = on_event
        self.unfinished = 0
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._connection: Connection | None = None
        self._tasks: Tasks | None = None
        self._check()

    def _check(self) -> None:
        if not self._api_key:
            raise ConfigurationError(
                "a worker needs an API key with the scope `workers:connect`: "
                "give `api_key=`, or set STRAIT_API_KEY"
            )
        if not 1 <= self.slots <= _MOST_SLOTS:
            raise ConfigurationError(f"`slots` must be 1 to {_MOST_SLOTS}, not {self.slots!r}")
        if not self._drain_secs >= 0:
            raise ConfigurationError(f"`drain_secs` must be 0 or more, not {self._drain_secs!r}")
        if len(self.queues) > _MOST_QUEUES:
            raise ConfigurationError(f"a worker serves at most {_MOST_QUEUES} queues")
        if len(self.jobs) > _MOST_JOBS:
            raise ConfigurationError(
                f"a worker serves at most {_MOST_JOBS} jobs, and here are {len(self.jobs)}; "
                "run several workers with a part each"
            )

    @property
    def running(self) -> int:
        """How many runs it works on."""
        return 0 if self._tasks is None else self._tasks.running

    # ------------------------------------------------------------------------------- run and stop

    async def run(self) -> None:
        """Work until `stop` is called.

        A stream that breaks is opened again, after a pause that grows with each failure; what is
        running goes on meanwhile, and what came of it is told afterwards.

        Raises:
            WorkerRefused: the platform does not take this worker.
            ConfigurationError: the extra `grpc` is not installed, or a certificate cannot be read.
        """
        try:
            from strait.worker.connection import connected  # noqa: PLC0415 - needs grpc
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"a worker needs `{error.name}`: pip install 'strait-python[grpc]'"
            ) from None
        pool = PlatformPool(self.base_url, self._http_client)
        executor = Executor(pool, self._project_id, self.slots, rules=self._rules)
        secrets = tuple(secret for secret in self._secrets if secret)
        hosted = {
            slug: HostedJob(job, job.run, secrets_of(job, secrets))
            for slug, job in self.jobs.items()
            if job.run is not None
        }
        guard = Guard(time.time)
        self._tasks = Tasks(hosted, executor, pool, guard, self.slots, self._on_event)
        draining = asyncio.ensure_future(self._drain(self._tasks))
        keeping = asyncio.ensure_future(self._keep(self._tasks, self._identity(), connected))
        try:
            await asyncio.wait({draining, keeping}, return_when=asyncio.FIRST_COMPLETED)
            if keeping.done():
                keeping.result()
        finally:
            for task in (draining, keeping):
                task.cancel()
            await asyncio.gather(draining, keeping, return_exceptions=True)
            self.unfinished = await self._tasks.end()
            executor.close()
            await pool.close()

    def stop(self) -> None:
        """Take no more work, finish what is running, tell what came of it, and end.

        What is not done after `drain_secs` is told to end, and the platform gives it to another
        worker. Called a second time, it ends at once. Call it on the loop.
        """
        if self._stopping.is_set():
            self._ended.set()
            return
        self._stopping.set()
        self._on_event("draining", {"running": self.running})
        if self._connection is not None:
            self._connection.take_none()

    async def _drain(self, tasks: Tasks) -> None:
        """Return when the worker may end after it was stopped."""
        await self._stopping.wait()
        ended = asyncio.ensure_future(self._ended.wait())
        done = asyncio.ensure_future(_all_told(tasks))
        try:
            await asyncio.wait(
                {ended, done}, timeout=self._drain_secs, return_when=asyncio.FIRST_COMPLETED
            )
            if not done.done() and not ended.done():
                tasks.give_up("the worker is stopping")
                await asyncio.wait(
                    {ended, done}, timeout=_LAST_SECS, return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            ended.cancel()
            done.cancel()
        if self._connection is not None:
            await self._connection.finish()

    # ------------------------------------------------------------------------------------ streams

    async def _keep(self, tasks: Tasks, identity: Identity, connected: Callable[..., Any]) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                async with connected(identity, tasks) as connection:
                    if self._stopping.is_set():
                        connection.take_none()
                    await connection.register()
                    began = time.monotonic()
                    self._connection = connection
                    if self._stopping.is_set():
                        connection.take_none()
                    self._on_event("connected", {"addr": self.addr})
                    await connection.serve()
            except ConnectionLost as error:
                if self._connection is not None and time.monotonic() - began >= _GOOD_SECS:
                    failures = 0
                pause = pause_secs(failures, random.random())  # noqa: S311 - it spreads pauses
                failures += 1
                self._on_event(
                    "disconnected",
                    {"addr": self.addr, "reason": str(error), "retry_in_secs": round(pause, 2)},
                )
            finally:
                self._connection = None
            await asyncio.sleep(pause)

    def _identity(self) -> Identity:
        from strait.worker.connection import Identity  # noqa: PLC0415 - needs grpc

        return Identity(
            addr=self.addr,
            api_key=self._api_key,
            worker_id=self.worker_id,
            name=self._name,
            queues=self.queues,
            job_slugs=tuple(self.jobs),
            slots=self.slots,
            plain=self._plain,
            ca_file=self._ca_file,
        )


def pause_secs(failures: int, rand: float) -> float:
    """Return how long to wait before the next try, after so many in a row that were in vain.

    It is spread over the whole of its range, so that workers that lost the same platform do not
    all come back in the same moment.
    """
    longest = min(_LONGEST_PAUSE_SECS, _FIRST_PAUSE_SECS * 2.0 ** min(failures, 16))
    return longest * rand


async def _all_told(tasks: Tasks) -> None:
    """Wait until nothing runs, and the platform has what came of it or has had the time to."""
    await tasks.idle()
    while tasks.outcomes:
        try:
            async with asyncio.timeout(_LAST_SECS):
                await tasks.told()
        except TimeoutError:
            if tasks.outcomes.keys() <= tasks.sent.keys():
                return  # a platform that does not say so


def _served(definitions: Iterable[Definition]) -> dict[str, JobDefinition[Any]]:
    jobs = by_slug(found for found in definitions if isinstance(found, JobDefinition))
    served = {slug: job for slug, job in jobs.items() if job.run is not None}
    if not served:
        raise DefinitionError("a worker needs a job that has a handler (`run`)")
    return served


def _queues_of(jobs: Iterable[JobDefinition[Any]]) -> tuple[str, ...]:
    return tuple(sorted({job.options.queue_name or "default" for job in jobs}))


def _host_of(base_url: str) -> str:
    host = urlsplit(base_url).hostname or ""
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{DEFAULT_PORT}"


def _address(addr: str) -> str:
    """Check `host:port`.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        parts = urlsplit(f"//{addr}")
        fits = bool(parts.hostname) and bool(parts.port) and parts.netloc == addr
    except ValueError:
        fits = False
    if not fits or "@" in addr:
        raise ConfigurationError(f"{addr!r} is no `host:port` to connect to")
    return addr


def _is_here(addr: str) -> bool:
    host = urlsplit(f"//{addr}").hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
