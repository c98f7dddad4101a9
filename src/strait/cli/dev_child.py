"""One process of `strait dev`: it waits, is given a target, and serves one version of the code."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from strait.serve.loading import Stamp
from strait.serve.manifest import Manifest
from strait.server.development import Defined, LoadError

GRACE_SECS = 10


@dataclass(frozen=True, slots=True)
class Order:
    """What a process is told to serve; see `strait.serve.standby`."""

    targets: tuple[str, ...]
    roots: tuple[str, ...]
    base_url: str
    project_id: str
    signing_secret: str = field(repr=False)
    environment: dict[str, str] = field(repr=False)
    without: tuple[str, ...]
    port: int = 0

    def line(self) -> bytes:
        """Return the order as the process reads it."""
        said = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return (json.dumps({**said, "grace_secs": GRACE_SECS}) + "\n").encode()


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of an order.

    Attributes:
        url: where the handlers are; "" when the code cannot be served.
        manifest: the definitions.
        places: where they are written.
        files: what was imported, with the stamp of each.
        searched: the folders whose new files belong to the target.
        error: why the code cannot be served.
        missing: there is no such target.
    """

    url: str = ""
    manifest: Manifest = field(default_factory=lambda: Manifest((), ()))
    places: tuple[Defined, ...] = ()
    files: dict[str, Stamp] = field(default_factory=dict)
    searched: tuple[str, ...] = ()
    error: LoadError | None = None
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Registered:
    """What came of a registration.

    Attributes:
        jobs: ids by slug.
        overrides: where it went past the definitions, in words.
        error: why the platform refused it.
    """

    jobs: dict[str, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    error: LoadError | None = None


class Child:
    """A process that waits, and then serves.

    Args:
        process: the process.
        told: is given what it says later on: late files, debuggers, breakpoints.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, told: Callable[[Child, dict[str, Any]], None]
    ) -> None:
        self._process = process
        self._told = told
        self._reading: asyncio.Task[None] | None = None
        self._registering: asyncio.Future[Registered] | None = None

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    async def load(self, order: Order) -> Loaded:
        """Let it import the targets and serve them; a failure is an answer, too."""
        answers = self._process.stdout
        if answers is None:
            raise TypeError("the process was started without pipes")
        await self._send(order.line())
        line = await answers.readline()
        try:
            said = json.loads(line)
        except ValueError:
            return Loaded(error=await self._ended("imported"))
        self._reading = asyncio.create_task(self._read(answers), name="strait-child")
        return _loaded(said)

    async def register(self, manifest: Manifest, address: str) -> Registered:
        """Let it bring definitions to the platform; it has all at hand that this takes.

        Args:
            manifest: what to register of that which it serves.
            address: where its handlers are said to be.
        """
        answer = self._registering = asyncio.get_running_loop().create_future()
        asked = {"register": {**manifest.to_json(), "address": address}}
        await self._send((json.dumps(asked) + "\n").encode())
        if self._reading is None:
            raise TypeError("nothing was loaded as yet")
        await asyncio.wait({answer, self._reading}, return_when=asyncio.FIRST_COMPLETED)
        return (
            answer.result() if answer.done() else Registered(error=await self._ended("registered"))
        )

    async def _send(self, line: bytes) -> None:
        if self._process.stdin is None:
            raise TypeError("the process was started without pipes")
        # That it has ended shows in its answer, which does not come.
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(line)
            await self._process.stdin.drain()

    async def _ended(self, doing: str) -> LoadError:
        status = await self._process.wait()
        text = f"the code ended its process with status {status} while it was {doing}"
        return LoadError("SystemExit", text)

    async def _read(self, answers: asyncio.StreamReader) -> None:
        while line := await answers.readline():
            said = json.loads(line)
            if "registered" in said and self._registering is not None:
                self._registering.set_result(_registered(said["registered"]))
            else:
                self._told(self, said)

    async def wait(self) -> int:
        """Wait until it has ended, and return its status."""
        return await self._process.wait()

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def stop(self, grace_secs: float = GRACE_SECS) -> None:
        """Let it finish what it does, for a while, and end it."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), grace_secs + 2)
            except TimeoutError:
                self.kill()
                await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._reading is not None:
            await self._reading


def _loaded(said: dict[str, Any]) -> Loaded:
    files = {path: (found[0], found[1], found[2]) for path, found in said["files"].items()}
    searched = tuple(said["searched"])
    if "error" in said:
        error = dict(said["error"])
        missing = error.pop("missing")
        why = LoadError(**{**error, "trace": tuple(error["trace"])})
        return Loaded(files=files, searched=searched, error=why, missing=missing)
    return Loaded(
        url=said["url"],
        manifest=Manifest.from_json(said),
        places=tuple(Defined(**place) for place in said["places"]),
        files=files,
        searched=searched,
    )


def _registered(said: dict[str, Any]) -> Registered:
    error = said.get("error")
    if error is not None:
        return Registered(error=LoadError(**error))
    return Registered(said["jobs"], tuple(said["overrides"]))
