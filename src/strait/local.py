"""An embedded platform inside one's own process: what `Client.local()` starts.

The platform runs in a thread with an event loop of its own and answers on a loopback port, so
that sync and async programs use it alike, and so do handlers in other processes.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from strait.errors import ConfigurationError, StraitError

try:
    from strait.server import bootstrap
    from strait.server.run import Server
    from strait.server.settings import Settings
except ModuleNotFoundError as _missing:
    raise ConfigurationError(
        f"the embedded platform needs `{_missing.name}`; "
        "install it with `pip install 'strait-python[server]'`"
    ) from _missing

_START_TIMEOUT_SECS = 30.0


class LocalPlatform:
    """An embedded platform that has started.

    Attributes:
        base_url: its address, on loopback.
        api_key: a key with every scope.
        project_id: the project of that key.
    """

    def __init__(self, database: Path | None, *, project_id: str = "", api_key: str = "") -> None:
        self.base_url = ""
        self.project_id = project_id
        self.api_key = api_key
        self._database = database
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="strait-local", daemon=True)

    def start(self) -> LocalPlatform:
        """Start the platform and return it once it answers.

        Raises:
            StraitError: it cannot be started; the text says why.
        """
        self._thread.start()
        if not self._started.wait(_START_TIMEOUT_SECS):
            raise StraitError("the embedded platform did not start in time")
        if self._failure is not None:
            self._thread.join()
            raise StraitError(
                f"the embedded platform cannot be started: {self._failure}"
            ) from self._failure
        return self

    def stop(self) -> None:
        """Let running handlers finish, write what is left, and end the thread."""
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def __enter__(self) -> LocalPlatform:
        """Start the platform."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop the platform."""
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            # Once it has started, nobody waits for the news; `threading.excepthook` tells them.
            if self._started.is_set():
                raise
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        async with Server(Settings(database=self._database, port=0)) as server:
            credentials = await bootstrap.ensure(
                server.platform,
                project_id=self.project_id,
                api_key=self.api_key,
                remember=key_file(self._database),
            )
            self.base_url = server.base_url
            self.project_id, self.api_key = credentials.project_id, credentials.api_key
            self._started.set()
            await self._stopping.wait()


def start(db: str | None = None) -> LocalPlatform:
    """Start a platform on a file, or one that keeps nothing.

    Raises:
        StraitError: it cannot be started.
    """
    return LocalPlatform(None if db is None else Path(db)).start()


def key_file(database: Path | None) -> Path | None:
    """Return the file beside a database that keeps its project and key."""
    return None if database is None else database.with_name(database.name + ".key")
