"""The worker of the SDK against a live platform: what handlers say, and streams that break."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio
from hypothesis import given
from hypothesis import strategies as st

from strait import NonRetryable, RetryAfter
from strait.authoring import JobOptions, RunContext, define_job
from strait.authoring.validation import DefinitionError
from strait.errors import ConfigurationError
from strait.server.workers.fleet import WorkerId
from strait.worker import Worker, WorkerRefused
from strait.worker.tasks import MAX_OUTPUT_BYTES
from strait.worker.worker import pause_secs
from strait.worker_protocol import worker_pb2 as pb
from strait.worker_protocol.worker_pb2_grpc import (
    WorkerServiceServicer,
    add_WorkerServiceServicer_to_server,
)
from support.handlers import PATIENCE_SECS, Handlers
from support.world import PROJECT, World
from support.world import world as a_world

from .peer import tasks_of, until_worker

Handler = Callable[..., Any]


class Setting:
    """Workers of a world, and what happened to them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.events: list[tuple[str, dict[str, object]]] = []
        self.news = asyncio.Event()

    def worker(self, handlers: dict[str, Handler], **options: Any) -> Worker:
        jobs = [
            define_job(JobOptions(name=slug, slug=slug, run=run, execution_mode="worker"))
            for slug, run in handlers.items()
        ]
        given = {
            "addr": self.world.server.grpc_addr,
            "base_url": self.world.server.base_url,
            "api_key": self.world.key,
            "on_event": self._note,
            **options,
        }
        return Worker(jobs, **given)

    @asynccontextmanager
    async def working(self, handlers: dict[str, Handler], **options: Any) -> AsyncIterator[Worker]:
        """Run a worker; it is stopped in the end, at once."""
        worker = self.worker(handlers, **options)
        task = asyncio.ensure_future(worker.run())
        try:
            await self.until("connected", task)
            yield worker
        finally:
            worker.stop()
            worker.stop()
            with suppress(WorkerRefused):
                await task

    def _note(self, event: str, facts: dict[str, object]) -> None:
        self.events.append((event, facts))
        self.news.set()

    async def until(
        self, event: str, task: asyncio.Task[None] | None = None, count: int = 1
    ) -> None:
        """Wait until something has happened, so and so often."""
        async with asyncio.timeout(PATIENCE_SECS):
            while [name for name, _ in self.events].count(event) < count:
                if task is not None and task.done():
                    task.result()
                self.news.clear()
                await self.news.wait()

    async def job(self, slug: str, **fields: Any) -> dict[str, Any]:
        return await self.world.job(slug=slug, execution_mode="worker", **fields)

    async def run(self, slug: str, payload: object = None, **fields: Any) -> dict[str, Any]:
        """Run a job to its end."""
        run_id = await self.world.trigger(await self.job(slug, **fields), payload)
        ends = ("completed", "failed", "dead_letter", "timed_out", "canceled")
        return await self.world.until(run_id, *ends)


@pytest.fixture
def setting(served: World) -> Setting:
    return Setting(served)


async def test_what_handlers_say_is_what_becomes_of_their_runs(setting: Setting) -> None:
    def plain(payload: Any, ctx: Any) -> Any:
        return {"twice": payload["n"] * 2, "job": ctx.job_id}

    async def stubborn(payload: Any, ctx: RunContext) -> None:
        raise NonRetryable("there is no such order")

    async def busy(payload: Any, ctx: RunContext) -> Any:
        if ctx.attempt == 1:
            raise RetryAfter(0.05)
        return ctx.attempt

    async def broken(payload: Any, ctx: RunContext) -> None:
        raise ValueError("no")

    async def ends_itself(payload: Any, ctx: RunContext) -> Any:
        await ctx.complete({"by": "itself"})
        return "not this"

    async def huge(payload: Any, ctx: RunContext) -> str:
        return "x" * MAX_OUTPUT_BYTES

    handlers = {
        "plain": plain, "stubborn": stubborn, "busy": busy, "broken": broken,
        "ends-itself": ends_itself, "huge": huge,
    }  # fmt: skip
    async with setting.working(handlers):
        run = await setting.run("plain", {"n": 4})
        assert (run["status"], run["result"]) == ("completed", {"twice": 8, "job": run["job_id"]})
        run = await setting.run("stubborn")
        assert (run["status"], run["error"]) == ("failed", "there is no such order")
        run = await setting.run("busy", retry_strategy="custom", retry_delays_secs=[600])
        assert (run["status"], run["result"]) == ("completed", 2)
        run = await setting.run("broken", max_attempts=1)
        assert (run["status"], run["error"]) == ("dead_letter", "ValueError: no")
        run = await setting.run("ends-itself")
        assert (run["status"], run["result"]) == ("completed", {"by": "itself"})
        run = await setting.run("huge")
        assert run["status"] == "failed"
        assert f"a worker can send {MAX_OUTPUT_BYTES}" in run["error"]


async def test_a_run_that_sleeps_holds_no_slot_and_ends_once(setting: Setting) -> None:
    calls: list[str] = []

    async def sleeper(payload: Any, ctx: RunContext) -> Any:
        await ctx.step("one", lambda: calls.append("one"))
        await ctx.sleep(0.3)
        calls.append("awake")
        return "slept"

    async def quick(payload: Any, ctx: RunContext) -> str:
        return "meanwhile"

    async with setting.working({"sleeper": sleeper, "quick": quick}, slots=1) as worker:
        run_id = await setting.world.trigger(await setting.job("sleeper"))
        await setting.world.until(run_id, "waiting")
        assert (await setting.run("quick"))["result"] == "meanwhile"
        run = await setting.world.until(run_id, "completed")
        assert (run["result"], run["attempt"], calls) == ("slept", 1, ["one", "awake"])
        tasks = await tasks_of(setting.world, worker.worker_id)
        assert [task["status"] for task in tasks] == ["completed"] * 3


async def test_only_what_the_platform_has_signed_is_run(setting: Setting) -> None:
    called: list[object] = []

    async def guarded(payload: Any, ctx: RunContext) -> str:
        called.append(payload)
        return "let in"

    secret = "a-secret-of-some-length"
    async with setting.working({"guarded": guarded}, signing_secret=secret):
        run = await setting.run("guarded", max_attempts=1)
        assert run["status"] == "dead_letter"
        assert run["error"].startswith("Unauthorized: ")
        assert called == []
    async with setting.working({"signed": guarded}, signing_secret=["old", secret]):
        run = await setting.run("signed", endpoint_signing_secret=secret)
        assert run["result"] == "let in"


async def test_cancel_reaches_the_handler(setting: Setting) -> None:
    told = asyncio.Event()

    async def patient(payload: Any, ctx: RunContext) -> None:
        while not ctx.cancelled:  # noqa: ASYNC110 - as handlers do
            await asyncio.sleep(0.01)
        assert ctx.cancel_reason == "canceled by user"
        told.set()

    async with setting.working({"patient": patient}, slots=1):
        job = await setting.job("patient")
        run_id = await setting.world.trigger(job)
        await setting.until("started")
        await setting.world.api.delete(f"/v1/runs/{run_id}")
        async with asyncio.timeout(PATIENCE_SECS):
            await told.wait()
        await setting.until("finished")
        second = await setting.world.trigger(job)
        await setting.until("started", count=2)
        assert (await setting.world.run(second))["status"] == "executing"


async def test_a_stream_that_breaks_costs_nothing(setting: Setting) -> None:
    release = asyncio.Event()
    calls: list[int] = []

    async def held(payload: Any, ctx: RunContext) -> str:
        calls.append(ctx.attempt)
        await release.wait()
        return "once"

    async with setting.working({"held": held}) as worker:
        run_id = await setting.world.trigger(await setting.job("held"))
        await setting.until("started")
        break_stream(setting.world, worker.worker_id)
        await setting.until("disconnected")
        release.set()
        await setting.until("finished")
        run = await setting.world.until(run_id, "completed")
        assert (run["result"], run["attempt"], calls) == ("once", 1, [1])
        await setting.until("connected", count=2)


async def test_a_server_that_starts_anew_hears_what_came_of_it_meanwhile(
    handlers: Handlers, tmp_path: Path
) -> None:
    database = tmp_path / "strait.db"
    release = asyncio.Event()
    calls: list[int] = []

    async def held(payload: Any, ctx: RunContext) -> str:
        calls.append(ctx.attempt)
        await release.wait()
        return "kept"

    async with a_world(handlers, database, grpc_port=0) as before:
        setting = Setting(before)
        worker = setting.worker({"held": held})
        working = asyncio.ensure_future(worker.run())
        run_id = await before.trigger(await setting.job("held"))
        await setting.until("started", working)
        port = int(before.server.grpc_addr.rpartition(":")[2])
        address = int(before.server.base_url.rpartition(":")[2])
    release.set()
    await setting.until("finished", working)
    async with a_world(handlers, database, grpc_port=port, port=address) as after:
        run = await after.until(run_id, "completed")
        assert (run["result"], run["attempt"], calls) == ("kept", 1, [1])
        worker.stop()
        await working
        assert worker.unfinished == 0


async def test_stop_finishes_what_is_running_and_takes_no_more(setting: Setting) -> None:
    release = asyncio.Event()

    async def held(payload: Any, ctx: RunContext) -> str:
        await release.wait()
        return "finished"

    worker = setting.worker({"held": held}, slots=4)
    working = asyncio.ensure_future(worker.run())
    job = await setting.job("held")
    run_id = await setting.world.trigger(job)
    await setting.until("started", working)
    worker.stop()
    await until_worker(setting.world, worker.worker_id, "draining")
    later = await setting.world.trigger(job)
    await setting.world.settled()
    release.set()
    await working
    assert (await setting.world.run(run_id))["result"] == "finished"
    assert (await setting.world.run(later))["status"] == "queued"
    await until_worker(setting.world, worker.worker_id, "offline")
    assert worker.unfinished == 0


@pytest.mark.parametrize("twice", [True, False])
async def test_what_is_not_done_in_time_goes_to_another_worker(
    setting: Setting, twice: bool
) -> None:
    async def endless(payload: Any, ctx: RunContext) -> None:
        await asyncio.sleep(3_600)

    async def better(payload: Any, ctx: RunContext) -> int:
        return ctx.attempt

    drain_secs = 3_600 if twice else 0.0
    worker = setting.worker({"task": endless}, drain_secs=drain_secs, cancel_grace_secs=0.0)
    working = asyncio.ensure_future(worker.run())
    run_id = await setting.world.trigger(await setting.job("task"))
    await setting.until("started", working)
    worker.stop()
    if twice:
        worker.stop()
    await working
    assert worker.unfinished == 1
    async with setting.working({"task": better}):
        assert (await setting.world.until(run_id, "completed"))["result"] == 1


async def test_a_worker_that_is_refused_says_why_and_ends(setting: Setting) -> None:
    handlers = {"a": lambda payload, ctx: None}
    key = await setting.world.key_for("jobs:read")
    with pytest.raises(WorkerRefused, match="api key does not allow worker connections") as caught:
        await setting.worker(handlers, api_key=key).run()
    assert caught.value.grpc_status == "PERMISSION_DENIED"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    async with setting.working(handlers, worker_id="mine"):
        other = await setting.world.key_for("workers:connect")
        with pytest.raises(WorkerRefused, match="registered under another api key"):
            await setting.worker(handlers, worker_id="mine", api_key=other).run()


async def test_a_platform_that_is_not_there_is_tried_again_until_stop(setting: Setting) -> None:
    worker = setting.worker({"a": lambda payload, ctx: None}, addr="127.0.0.1:1")
    working = asyncio.ensure_future(worker.run())
    await setting.until("disconnected", working, count=2)
    worker.stop()
    await working


class NeverSaysSo(WorkerServiceServicer):
    """A platform that hands over many runs and never says that it has a result."""

    def __init__(self, runs: int) -> None:
        self._runs = runs
        self.registered: asyncio.Queue[pb.WorkerRegistration] = asyncio.Queue()

    async def StreamTasks(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]
        said = (await context.read()).registration
        await context.write(pb.ServerMessage(ack=pb.Acknowledged(id=said.worker_id)))
        self.registered.put_nowait(said)
        for number in range(self._runs):
            task = pb.TaskAssignment(run_id=f"r{number}", assignment_id=f"{number}", attempt=1)
            await context.write(pb.ServerMessage(task_assignment=task))
        told = 0
        while told < self._runs:
            told += (await context.read()).HasField("task_result")
        await context.abort(grpc.StatusCode.UNAVAILABLE, "again, please")


async def test_a_worker_comes_back_with_no_more_tasks_than_a_registration_may_name() -> None:
    platform, server = NeverSaysSo(runs=300), aio.server()
    add_WorkerServiceServicer_to_server(platform, server)
    addr = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    job = define_job(JobOptions(name="a", slug="a", run=lambda payload, ctx: None))
    worker = Worker([job], addr=addr, api_key="strait_k", base_url="http://127.0.0.1:1")
    working = asyncio.ensure_future(worker.run())
    try:
        async with asyncio.timeout(PATIENCE_SECS):
            await platform.registered.get()
            again = await platform.registered.get()
    finally:
        worker.stop()
        worker.stop()
        await working
        await server.stop(None)
    named = [task.run_id for task in again.in_flight_tasks]
    assert named == [f"r{number}" for number in range(299, 43, -1)]


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_a_pause_is_bounded_and_spread_over_its_whole_range(failures: int, rand: float) -> None:
    assert 0 <= pause_secs(failures, rand) <= pause_secs(failures, 1.0) <= 5.0
    assert pause_secs(failures, 1.0) <= pause_secs(failures + 1, 1.0)
    assert pause_secs(failures, 0.0) == 0.0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"slots": 0}, "`slots` must be 1 to 256, not 0"),
        ({"slots": 257}, "`slots` must be 1 to 256, not 257"),
        ({"drain_secs": -1.0}, "`drain_secs` must be 0 or more, not -1.0"),
        ({"addr": "localhost"}, "'localhost' is no `host:port` to connect to"),
        ({"addr": "http://localhost:1"}, "is no `host:port` to connect to"),
        ({"queues": [str(n) for n in range(65)]}, "a worker serves at most 64 queues"),
        ({"api_key": ""}, "a worker needs an API key with the scope `workers:connect`"),
    ],
)
def test_what_cannot_work_is_said_at_once(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], text: str
) -> None:
    monkeypatch.delenv("STRAIT_API_KEY", raising=False)
    job = define_job(JobOptions(name="a", slug="a", run=lambda payload, ctx: None,
                                execution_mode="worker"))  # fmt: skip
    with pytest.raises(ConfigurationError, match=text):
        Worker([job], **{"api_key": "strait_k", "base_url": "https://x.example", **options})


def test_a_worker_takes_its_queues_and_address_from_what_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STRAIT_BASE_URL", "https://platform.example/api")
    monkeypatch.setenv("STRAIT_API_KEY", "strait_k")
    jobs = [
        define_job(JobOptions(name=slug, slug=slug, run=run, execution_mode="worker", **more))
        for slug, run, more in (
            ("a", lambda payload, ctx: None, {"queue_name": "gpu"}),
            ("b", lambda payload, ctx: None, {}),
            ("c", None, {}),
        )
    ]
    worker = Worker(jobs)
    assert (worker.addr, worker.queues) == ("platform.example:50051", ("default", "gpu"))
    assert sorted(worker.jobs) == ["a", "b"]
    with pytest.raises(DefinitionError, match="a job that has a handler"):
        Worker([jobs[2]])


def break_stream(world: World, worker_id: str) -> None:
    """End a worker's stream from the server's side, as a proxy in between might."""
    worker = world.platform.workers._fleet.get(WorkerId(PROJECT, worker_id))
    assert worker is not None
    assert worker.stream is not None
    worker.stream.end("UNAVAILABLE", "broken by the test")
