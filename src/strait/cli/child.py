"""The process that hosts the handlers of `strait dev`: started, registered, and kept alive.

Handlers never run in the platform's own process, so one that blocks, eats memory or crashes
leaves the API and its timers answering. A process that dies is started again at the same address.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from strait.client import AsyncClient
from strait.errors import StraitError
from strait.serve.registration import Manifest, RegistrationReport, register_all
from strait.server import bootstrap
from strait.server.platform import Platform

_FIRST_PAUSE_SECS = 0.2
_LONGEST_PAUSE_SECS = 5.0
_GRACE_SECS = 10


class HandlersError(StraitError):
    """The target cannot be served; the text says why."""


class HandlerProcess:
    """Runs `strait.serve.child` for a target.

    Use it as an async context manager: inside, the target's jobs are registered and served.

    Args:
        target: a module, a file or a directory.
        platform: the platform, in this process.
        base_url: the address that handlers reach it at.
        credentials: the project and a key of it.
        echo: prints a line for the person at the terminal.
    """

    def __init__(
        self,
        target: str,
        platform: Platform,
        base_url: str,
        credentials: bootstrap.Credentials,
        *,
        echo: Callable[[str], None],
    ) -> None:
        self._target = target
        self._platform = platform
        self._base_url = base_url
        self._credentials = credentials
        self._echo = echo
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._place = bootstrap.HandlerPlace(0, "")

    async def __aenter__(self) -> HandlerProcess:
        """Start the process, and register what it serves.

        Raises:
            HandlersError: the target cannot be imported or served.
        """
        self._place = await bootstrap.handler_place(self._platform)
        said = await self._start()
        report = await self._register(said)
        self._tell(report)
        self._platform.scheduler.start()
        self._keeper = asyncio.create_task(self._keep_alive(), name="strait-handlers")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let running handlers finish, and end the process."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._stop()

    async def _start(self) -> dict[str, Any]:
        environment = {**os.environ, "STRAIT_SIGNING_SECRET": self._place.signing_secret}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "strait.serve.child", self._target),
            *("--base-url", self._base_url),
            *("--project-id", self._credentials.project_id),
            *("--port", str(_free_or_any(self._place.port))),
            *("--grace-secs", str(_GRACE_SECS)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            # A Ctrl-C at the terminal is for the platform, which then ends its child in order.
            start_new_session=True,
        )
        self._process = process
        line = b"" if process.stdout is None else await process.stdout.readline()
        try:
            said: dict[str, Any] = json.loads(line)
        except ValueError:
            status = await process.wait()
            raise HandlersError(
                f"`{self._target}` ended with status {status} before it was ready"
            ) from None
        if "error" in said:
            await process.wait()
            raise HandlersError(f"cannot serve `{self._target}`: {said['error']['message']}")
        self._place = bootstrap.HandlerPlace(
            int(said["url"].rpartition(":")[2]), self._place.signing_secret
        )
        # It is on loopback, wherever the platform itself can be reached from.
        self._platform.reach.own_ports.add(self._place.port)
        return said

    async def _register(self, said: dict[str, Any]) -> RegistrationReport:
        manifest = Manifest.from_json(said)
        for job in manifest.jobs:
            # The process has one version of the code, so runs that wait follow the present one.
            job.settings.setdefault("version_policy", "latest")
        async with AsyncClient(
            base_url=self._base_url, api_key=self._credentials.api_key
        ) as client:
            pending = register_all(
                client,
                manifest,
                base_url_of_handlers=said["url"],
                project_id=self._credentials.project_id,
            )
            if isinstance(pending, RegistrationReport):
                raise TypeError("an asynchronous client gives an awaitable")
            report = await pending
        await bootstrap.handlers_are_at(self._platform, self._place, report.jobs.values())
        return report

    def _tell(self, report: RegistrationReport) -> None:
        for slug in report.jobs:
            self._echo(f"  job       {slug}")
        for slug in report.workflows:
            self._echo(f"  workflow  {slug}")
        for override in report.overrides:
            self._echo(f"  note      {override}")

    async def _keep_alive(self) -> None:
        pause = _FIRST_PAUSE_SECS
        while self._process is not None:
            started = asyncio.get_running_loop().time()
            status = await self._process.wait()
            # What is queued keeps its attempts while there is nobody to run it.
            self._platform.scheduler.stop()
            self._echo(f"handlers ended with status {status}; starting them again")
            if asyncio.get_running_loop().time() - started > _LONGEST_PAUSE_SECS:
                pause = _FIRST_PAUSE_SECS
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECS)
            await self._start_again()

    async def _start_again(self) -> None:
        port = self._place.port
        try:
            said = await self._start()
        except HandlersError as error:
            self._echo(str(error))
            return
        if self._place.port != port:
            await self._register(said)
        self._platform.scheduler.start()

    async def _stop(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _GRACE_SECS + 2)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _free_or_any(port: int) -> int:
    """Return a port if it is free now, else 0, which takes any."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port
