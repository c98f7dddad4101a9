"""`with_checkpoint_resume`: long work that goes on from its last checkpoint after a crash.

One writer persists the states, in the order of the updates. What counts is the newest state: a
checkpoint that fails is logged and superseded by the next one, and at the end, also of work that
failed, the newest state is persisted unless it is already. Only if that fails is it an error.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum
from functools import partial
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeVar

from strait.errors import Json, StraitError, ValidationError

T = TypeVar("T")
logger = logging.getLogger("strait.composition")

State: TypeAlias = dict[str, Any]
Update: TypeAlias = Callable[[State], None]


class _Resume(Enum):
    RESUME = "RESUME"


RESUME: Final = _Resume.RESUME
"""As `last_checkpoint`: the one that the run context knows of."""

_Write: TypeAlias = Callable[[State], Awaitable[object]]
LastCheckpoint: TypeAlias = State | Literal[_Resume.RESUME] | None


class CheckpointContext(Protocol):
    """What is needed of a run context: a `RunContext`, or anything like it."""

    def checkpoint(self, state: Json, /) -> object:
        """Persist a state; what it returns is awaited where it can be."""
        ...


class SyncCheckpointContext(Protocol):
    """What is needed of a run context whose methods block: a `SyncRunContext`."""

    def checkpoint(self, state: Json, /) -> None:
        """Persist a state."""
        ...


async def with_checkpoint_resume(
    ctx: CheckpointContext,
    last_checkpoint: LastCheckpoint,
    fn: Callable[[State, Update], Awaitable[T]],
    initial_state: State,
    checkpoint_interval: int = 1,
) -> T:
    """Do work from its last checkpoint on, and checkpoint what it has done.

        async def work(state, update):
            for index in range(state["next"], 100):
                await step(index)
                update({"next": index + 1})

        await with_checkpoint_resume(ctx, RESUME, work, {"next": 0}, checkpoint_interval=5)

    Complete the run after this, not inside `fn`: a run that has ended takes no checkpoint.

    Args:
        ctx: the run's context.
        last_checkpoint: the state to go on from; None begins with `initial_state`. `RESUME` takes
            `ctx.last_checkpoint`, which a host fills from what an earlier attempt left.
        fn: gets a state of its own and `update`, which notes the next state. `update` neither
            blocks nor awaits, copies the state, and may be called from other threads.
        initial_state: the state to begin with when there is no checkpoint.
        checkpoint_interval: how many updates lie between two checkpoints; 1 persists each.

    Returns:
        What `fn` returned.

    Raises:
        StraitError: the newest state could not be persisted.
        ValidationError: `checkpoint_interval` is below 1, a state is no mapping, or what `fn`
            returned cannot be awaited.
        BaseException: what `fn` raised; its newest state is persisted first, and a note tells if
            that failed.
    """
    states = _States(_found(last_checkpoint, ctx, initial_state), checkpoint_interval)
    writer = _Writer(states, _write_of(ctx))
    try:
        work: object = fn(states.begin(), states.update)
        if not isinstance(work, Awaitable):
            raise ValidationError(
                "`fn` must be `async def`; `with_checkpoint_resume_sync` takes a plain function"
            )
        result: T = await work
    except GeneratorExit:
        raise  # nothing can be awaited any more
    except BaseException as error:
        await writer.finish(error)
        raise
    else:
        await writer.finish(None)
        return result
    finally:
        writer.cancel()


def with_checkpoint_resume_sync(
    ctx: SyncCheckpointContext,
    last_checkpoint: LastCheckpoint,
    fn: Callable[[State, Update], T],
    initial_state: State,
    checkpoint_interval: int = 1,
) -> T:
    """Do work from its last checkpoint on, like `with_checkpoint_resume`, in plain functions.

    Every `checkpoint_interval`th call of `update` returns when its state is persisted; threads may
    share `update`.
    """
    states = _States(_found(last_checkpoint, ctx, initial_state), checkpoint_interval)
    writing = threading.Lock()  # one writer at a time, so that no older state comes last

    def write_queued() -> None:
        with writing:
            while (state := states.pop()) is not None:
                try:
                    ctx.checkpoint(state)
                except Exception as error:  # noqa: BLE001 - `failed` decides what it means
                    states.failed(error)
                else:
                    states.saved(state)

    def finish(failure: BaseException | None) -> None:
        write_queued()
        if (state := states.newest()) is not None:
            try:
                ctx.checkpoint(state)
            except Exception as error:  # noqa: BLE001 - `lost` raises what must not be silent
                states.lost(error, failure)
        states.end(failure)

    def update(state: State) -> None:
        states.update(state)
        write_queued()

    try:
        result = fn(states.begin(), update)
    except BaseException as error:
        finish(error)
        raise
    finish(None)
    return result


class _States:
    """The states of some work: those that wait to be written, and the newest one.

    Args:
        begin: the state to begin with.
        interval: how many updates lie between two checkpoints.
    """

    def __init__(self, begin: State, interval: int) -> None:
        if isinstance(interval, bool) or not isinstance(interval, int) or interval < 1:
            raise ValidationError(f"`checkpoint_interval` must be at least 1, not {interval!r}")
        self._begin = _checked(begin)
        self._interval = interval
        self._lock = threading.Lock()
        self._updates = 0
        self._queue: deque[State] = deque()
        self._unsaved: State | None = None
        self._verdict: Exception | None = None
        self.on_queued: Callable[[], object] | None = None

    def begin(self) -> State:
        """Return the state to begin with, as a copy that the work may change."""
        return copy.deepcopy(self._begin)

    def update(self, state: State) -> None:
        """Note the next state; every interval-th one is queued to be written."""
        if self._verdict is not None:
            raise self._verdict
        taken = copy.deepcopy(_checked(state))
        with self._lock:
            self._unsaved = taken
            self._updates += 1
            due = self._updates % self._interval == 0
            if due:
                self._queue.append(taken)
        if due and self.on_queued is not None:
            self.on_queued()

    def pop(self) -> State | None:
        """Return the next state to write; None when there is none."""
        return self._queue.popleft() if self._queue else None

    def newest(self) -> State | None:
        """Return the newest state; None if it is persisted, or there was no update."""
        return self._unsaved

    def saved(self, state: State) -> None:
        """Note that a state is persisted."""
        with self._lock:
            if self._unsaved is state:
                self._unsaved = None

    def failed(self, error: Exception) -> None:
        """Note that a queued state could not be persisted."""
        if isinstance(error, StraitError):
            logger.warning("a checkpoint failed; the next one supersedes it: %s", error)
        else:
            # Such as the limit of an agent's iterations: the work must end of it.
            self._verdict = error

    def lost(self, error: Exception, failure: BaseException | None) -> None:
        """Tell that the newest state could not be persisted; what the work failed with is first."""
        if failure is None:
            raise self._verdict or error
        if failure is not self._verdict:
            failure.add_note(f"the newest state could not be checkpointed: {error}")

    def end(self, failure: BaseException | None) -> None:
        """Raise what the context said that must end the work, if the work did not end of it."""
        if self._verdict is not None and failure is None:
            raise self._verdict


class _Writer:
    """Writes states in the background, one after the other, until it is told to finish."""

    def __init__(self, states: _States, write: _Write) -> None:
        self._states = states
        self._write = write
        self._finishing = False
        self._wake = asyncio.Event()
        loop = asyncio.get_running_loop()
        states.on_queued = partial(loop.call_soon_threadsafe, self._wake.set)
        self._task = asyncio.create_task(self._run(), name="strait checkpoints")

    async def _run(self) -> None:
        finishing = False
        while not finishing:
            await self._wake.wait()
            self._wake.clear()
            # Read before the queue is, so that what was queued before the end is written.
            finishing = self._finishing
            await self._write_queued()

    async def _write_queued(self) -> None:
        while (state := self._states.pop()) is not None:
            try:
                await self._write(state)
            except Exception as error:  # noqa: BLE001 - `failed` decides what it means
                self._states.failed(error)
            else:
                self._states.saved(state)

    async def finish(self, failure: BaseException | None) -> None:
        """Write what is left; `failure` is what the work failed with, or None."""
        self._finishing = True
        self._wake.set()
        await self._task
        if (state := self._states.newest()) is not None:
            try:
                await self._write(state)
            except Exception as error:  # noqa: BLE001 - `lost` raises what must not be silent
                self._states.lost(error, failure)
        self._states.end(failure)

    def cancel(self) -> None:
        """Stop without writing; it does nothing after `finish`."""
        self._task.cancel()


def _write_of(ctx: CheckpointContext) -> _Write:
    """Return what persists a state; a context that blocks is called in a thread."""
    if inspect.iscoroutinefunction(ctx.checkpoint):
        return ctx.checkpoint

    async def write(state: State) -> None:
        answer = await asyncio.to_thread(ctx.checkpoint, state)
        if inspect.isawaitable(answer):
            await answer

    return write


def _found(last: LastCheckpoint, ctx: object, initial: State) -> State:
    """Return the state to begin with."""
    if isinstance(last, _Resume):
        last = getattr(ctx, "last_checkpoint", RESUME)
        if last is RESUME:
            raise ValidationError(
                f"`RESUME` needs a context with `last_checkpoint`; {type(ctx).__name__} has none"
            )
    return initial if last is None else last


def _checked(state: State) -> State:
    if not isinstance(state, dict):
        raise ValidationError(f"a state must be a dict, not {type(state).__name__}")
    return state
