"""The embedded server without its HTTP: database, clock, queue, dispatcher and timers."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import tempfile
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from strait.clock import SECOND, Clock, SystemClock
from strait.engine.model import EventTrigger, Run, WorkflowRun
from strait.engine.refusal import Refused
from strait.server import recovery, tokens
from strait.server.addresses import Reach
from strait.server.analytics.pool import Analyst
from strait.server.archive import unwritable
from strait.server.audience import Audience
from strait.server.auth import Keys
from strait.server.chunks import Chunks
from strait.server.courier import Courier
from strait.server.dispatcher import Dispatcher
from strait.server.errors import ApiError
from strait.server.figures import Figures
from strait.server.hub import Hub
from strait.server.jobs_cache import JobsCache
from strait.server.log_drains import LogDrains
from strait.server.outside import Outside
from strait.server.scheduler import Scheduler
from strait.server.settings import Settings
from strait.server.sse import Connections
from strait.server.timers import Timers
from strait.server.unit import Unit
from strait.server.vault import open_vault, seal_clear_texts
from strait.server.work import due
from strait.server.work.audit import SigningKeys
from strait.server.work.retention import Walk
from strait.server.work.settle import settle
from strait.server.workers.dispatch import Workers
from strait.server.workflow_cache import WorkflowCache
from strait.store import ephemeral, meta
from strait.store.connection import StoreError, open_reader, open_writer, refuse_network_file_system
from strait.store.ledger import Line, Tails, size_of
from strait.store.migrations import migrate
from strait.store.owner import Ownership
from strait.store.presence import Presence, files_of
from strait.store.writer import StoreUnavailable, Writer, reason

if TYPE_CHECKING:
    from strait.server.development import Development
    from strait.server.tracing import Tracing

T = TypeVar("T")

logger = logging.getLogger("strait.server")

# Nobody else should have a lock: a database has one owner.
_BUSY_MS = 100
_TRIAL_BYTES = 256 * 1024
_SILENT_SECS = 30


def _tracing() -> Tracing:
    try:
        # Nobody who traces nothing needs it.
        from strait.server import tracing  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise StoreError(
            f"`traces` needs `{error.name}`: pip install 'strait-python[otel]'"
        ) from None
    return tracing.Tracing()


class Platform:
    """One embedded platform over one database.

    Args:
        settings: what can be set.
        clock: where time comes from; a virtual one in tests.
        outside: how it touches what lies outside of it; tests and simulations put in their own.
    """

    def __init__(
        self, settings: Settings, *, clock: Clock | None = None, outside: Outside | None = None
    ) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self.outside = outside or Outside()
        self.reach = Reach(
            loopback=settings.is_local or settings.allow_loopback,
            private=settings.allow_private_endpoints,
        )
        self.keys = Keys()
        self.audience = Audience()
        self.ledger_tails = Tails()
        self.workflow_runs = WorkflowCache()
        self.hub: Hub[Line] = Hub(size_of)
        self.chunks = Chunks()
        self.trigger_hub: Hub[EventTrigger] = Hub()
        # Tells which project has something new, never what.
        self.activity_hub: Hub[str] = Hub()
        self.streams = Connections(settings)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self.figures = Figures()
        self.draining = False
        self.tracing: Tracing | None = _tracing() if settings.traces else None
        # Whether anybody set a budget; None is unknown (see `work.budgets`).
        self.has_budgets: bool | None = None
        self.walk = Walk()
        # Set by `strait dev`, whose handlers are in processes of this machine.
        self.development: Development | None = None
        # Told of every run and workflow run after each change of it is on disk.
        self.witness: Callable[[Run | WorkflowRun], None] | None = None
        # When a write was last tried for nothing but to see whether it can be done.
        self._tried_at = 0
        # When the log was last told what the disk refuses.
        self._told_at: dict[str, int] = {}
        self._last_tick = 0
        self._sequence = 0
        self.started_at = self.clock.now()
        # The digest of the key with which the dashboard opens on this machine; "" asks for one.
        self.opening_key = ""

    # --------------------------------------------------------------------------------- lifecycle

    async def start(self) -> None:
        """Open the database, take over what the last server left, and begin to run jobs.

        Raises:
            StoreError: the database cannot be opened, or another process owns it.
        """
        self.database = self._database_path()
        self.owner = Ownership(self.database)
        try:
            connection = open_writer(self.database, self.outside.connect)
            os.chmod(self.database, 0o600)
            migrate(connection)
            # From here on writes run on the loop, and whoever waits for a lock holds up all others.
            connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
            self.vault = open_vault(connection, self._key_file(), self.settings.encryption_key)
            seal_clear_texts(connection, self.vault)
            self.jobs = JobsCache(self.vault, self.reach)
            self.audit_keys = SigningKeys(self.vault)
            self.reader = open_reader(self.database, self.outside.connect)
            self.analyst = Analyst(
                self.database,
                deadline_secs=self.settings.query_secs,
                threads=self.outside.analysts,
            )
        except BaseException as error:
            self.owner.release()
            if isinstance(error, sqlite3.Error):
                raise StoreError(f"`{self.database}` cannot be written: {reason(error)}") from error
            raise
        self.presence = Presence(files_of(self.database))
        self.writer = Writer(
            connection,
            on_rollback=self._forget_caches,
            executor=self.outside.executor,
            pace=self.outside.pace,
            on_commit=self.figures.committed,
            probe=self.outside.probe,
            lost=self.presence.lost,
        )
        self.timers = Timers(self.clock, self._on_due)
        self.workers = Workers(self)
        self.scheduler = Scheduler(self)
        self.dispatcher = Dispatcher(self, max_in_flight=self.settings.max_in_flight)
        self.courier = Courier(self)
        self.log_drains = LogDrains(self)
        self._last_tick = recovery.newest_instant(connection)
        try:
            await self.write(self._claim)
            await self.write(recovery.take_over)
        except StoreUnavailable as error:
            await self.close()
            why = reason(error.__cause__ or error)
            raise StoreError(f"`{self.database}` cannot be written: {why}") from error
        if self.settings.archive_dir is not None and (why := unwritable(self.settings.archive_dir)):
            # Its disk may come back; what cannot be archived is kept.
            logger.error("old runs will be kept, since they cannot be archived: %s", why)
        for line in self.settings.without_effect():
            logger.warning(line)
        self.timers.start()
        if not self.settings.hold:
            self.scheduler.start()

    async def drain(self) -> None:
        """Start no more runs, and let handlers that are running finish for a while.

        They may need the API until then, so whoever serves it stops serving after this.
        """
        self.draining = True
        self.scheduler.stop()
        await self.dispatcher.stop(self.settings.drain_secs)
        self.workers.stop()
        await self.timers.stop()
        await self.courier.stop()
        await self.log_drains.stop()
        for hub in (self.hub, self.chunks.hub, self.trigger_hub, self.activity_hub):
            hub.close()

    async def close(self) -> None:
        """Write what is left and close the database; after `drain`, and after the last request."""
        await self.analyst.close()
        self.reader.close()
        await self.writer.close()
        self.owner.release()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _database_path(self) -> Path:
        if self.settings.database is None:
            self._temporary = ephemeral.folder()
            return ephemeral.database_in(self._temporary)
        path = self.settings.database
        path.parent.mkdir(parents=True, exist_ok=True)
        refuse_network_file_system(path)
        return path

    def _key_file(self) -> Path | None:
        if self._temporary is not None:
            return None
        return self.database.with_name(self.database.name + ".secrets")

    def _claim(self, unit: Unit) -> None:
        self.epoch = meta.next_epoch(unit.db)
        self.token_key = self.vault.open(meta.get_meta(unit.db, "token_key") or "", "token_key")
        if not self.token_key:
            self.token_key = tokens.new_signing_key()
            meta.set_meta(unit.db, "token_key", self.vault.seal(self.token_key, "token_key"))

    # -------------------------------------------------------------------------------------- work

    def tick(self) -> int:
        """Return the present instant, later than any that was returned before.

        Records get distinct instants, so that a cursor over them never skips one.
        """
        self._last_tick = max(self.clock.now(), self._last_tick + 1)
        return self._last_tick

    def new_assignment(self) -> str:
        """Return the id of a dispatch; no two share one, since the epoch grows with every start."""
        self._sequence += 1
        return f"{self.epoch}.{self._sequence}"

    def write(self, work: Callable[[Unit], T]) -> asyncio.Future[T]:
        """Run `work`, and all that follows from it, in one transaction.

        The future is done once it is on disk.
        """

        def operation() -> T:
            unit = Unit(self)
            value = work(unit)
            settle(unit)
            return value

        return self.writer.submit(operation)

    async def try_to_write(self) -> None:
        """Write, after a write has failed, so that `writer.failing` says whether that can be done.

        Nobody else might: whatever sends requests sends none to a server that is not ready. It is
        done at most once a second, since each try may wait for the disk, or for a lock.
        """
        now = self.clock.now()
        if self.writer.failing is None or now - self._tried_at < SECOND:
            return
        self._tried_at = now
        db = self.writer.connection
        try:
            # Large enough that where it fits requests do, too; it leaves nothing.
            await self.writer.submit(lambda: meta.set_meta(db, "trial", "x" * _TRIAL_BYTES))
            await self.writer.submit(lambda: meta.set_meta(db, "trial", ""))
        except StoreUnavailable:
            return

    def report(self, what: str, error: BaseException, *, subject: object = "") -> None:
        """Log a failure that nobody waits for.

        What the disk refuses is no fault of the code, meets all that is under way, and is tried
        again every second: it is told now and then, since the log may lie on the same disk.
        """
        if isinstance(error, StoreUnavailable):
            now = self.clock.now()
            last = self._told_at.get(what)
            # A clock that was set back makes it speak, not silent for hours.
            if last is None or not last <= now < last + _SILENT_SECS * SECOND:
                self._told_at[what] = now
                logger.error("%s: %s", what, error)
            return
        about = f" ({subject})" if subject else ""
        logger.error("%s%s: %s", what, about, error, exc_info=error)

    def warn(self, what: str, refusal: Refused | ApiError) -> None:
        """Log that something was refused which no request waits for; its user can put it right."""
        logger.warning("%s: %s", what, refusal.message)

    def retry_later(self, run_id: str, seconds: float) -> None:
        """Look at a run again after a while."""
        self.timers.set(("run", run_id), self.clock.now() + round(seconds * SECOND))

    async def nap(self, seconds: float) -> None:
        """Wait by the clock of the server."""
        await self.clock.sleep_until(self.clock.now() + round(seconds * SECOND))

    def _on_due(self, key: Hashable) -> None:
        done = self.write(lambda unit: due.handle(unit, key))
        done.add_done_callback(lambda future: self._due_done(key, future))

    def _due_done(self, key: Hashable, future: asyncio.Future[None]) -> None:
        error = None if future.cancelled() else future.exception()
        if error is not None:
            self.report("a timer could not be handled", error, subject=key)
            self.timers.set(key, self.clock.now() + SECOND)

    def _forget_caches(self) -> None:
        self.has_budgets = None
        self.jobs.clear()
        self.keys.forget()
        self.audit_keys.forget()
        self.audience.forget()
        self.ledger_tails.forget()
        self.workflow_runs.forget()
