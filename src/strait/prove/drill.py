"""Carrying out a plan: orders go in while processes die, code changes and the disk is full."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from strait.client import Client
from strait.errors import HttpError, StraitError
from strait.prove.plan import Kill, Order, Plan
from strait.prove.processes import Platform, ProofError

T = TypeVar("T")

_CLIENTS = 4
_EVENT_HOLD_SECS = 24 * 3600
# Another process cannot be awaited; it is looked at.
_LOOK_SECS = 0.01
# When no step was begun for so long, or a call was not answered, the proof says that it hangs.
PATIENCE_SECS = 120.0
_PAUSE_SECS = 0.05
# The pages of a list are short, and ends come in any order.
_PAGE = 100


@dataclass(slots=True)
class Record:
    """What the drill saw from outside.

    Attributes:
        acknowledged: the run of each order whose trigger was acknowledged.
        kills: how many kills there were, by kind.
        refused_while_full: how many triggers and events were refused while the disk was full; None
            where the system cannot fill it.
        parked_at_deploy: how many orders waited when version 2 came.
        after_deploy: orders that were triggered when nothing but version 2 was served any more.
        held: how many events the platform held, because nobody waited for them yet.
    """

    acknowledged: dict[str, str] = field(default_factory=dict)
    kills: dict[str, int] = field(default_factory=dict)
    refused_while_full: int | None = 0
    parked_at_deploy: int = 0
    after_deploy: frozenset[str] = frozenset()
    held: int = 0


class Drill:
    """One proof under way.

    Args:
        plan: what is to happen.
        platform: the platform, which has started.
        tell: is told how far it is, from 0 to 1, and what has just happened.
    """

    def __init__(self, plan: Plan, platform: Platform, tell: Callable[[float, str], None]) -> None:
        self.record = Record()
        self._plan = plan
        self._platform = platform
        self._tell = tell
        self._orders = deque(zip(plan.released_after, plan.orders, strict=True))
        self._events: deque[Order] = deque()
        self._sent = 0
        self._lock = threading.Lock()
        self._is_full = False
        self._is_deployed = False
        self._is_over = threading.Event()
        self._failure: BaseException | None = None
        self._job_id = ""

    def run(self) -> Record:
        """Carry out the plan, and return once every order has come to its end.

        Raises:
            ProofError: something hangs.
        """
        with self._platform.client() as client:
            self._until(lambda: bool(client.jobs.list(slug="order").data), "the first deployment")
            self._job_id = client.jobs.list(slug="order").data[0].id
        clients = [threading.Thread(target=self._client, daemon=True) for _ in range(_CLIENTS)]
        for thread in clients:
            thread.start()
        try:
            self._faults()
            with self._platform.client() as client:
                self._finish(client)
        finally:
            self._is_over.set()
            for thread in clients:
                thread.join()
        return self.record

    def _finish(self, client: Client) -> None:
        orders, events = len(self._plan.orders), len(self._plan.parked)
        self._until(lambda: len(self.record.acknowledged) == orders, "the last acknowledgement")
        self._until(lambda: self._sent == events, "the last event")
        self._tell(1.0, f"{orders:,} triggers are acknowledged; the last orders come to their end")
        self._until(lambda: self._open_runs(client) == 0, "the end of all orders")

    # -- orders ----------------------------------------------------------------------------------

    def _client(self) -> None:
        """Do what a client of the shop does, until the proof is over."""
        try:
            with self._platform.client() as client:
                while not self._is_over.is_set():
                    work = self._next(client)
                    if work is None:
                        time.sleep(_LOOK_SECS)
                    else:
                        work()
        except BaseException as error:  # noqa: BLE001 - it is told by whoever waits for the work
            self._failure = error

    def _next(self, client: Client) -> Callable[[], None] | None:
        """Return an event that is to be sent, or an order that is to be made; None for neither."""
        with self._lock:
            if self._events:
                order = self._events.popleft()
                return lambda: self._send_late(client, order)
            if self._orders and self._is_due(*self._orders[0]):
                _, order = self._orders.popleft()
                return lambda: self._make(client, order)
        return None

    def _is_due(self, released_after: int, order: Order) -> bool:
        if order.late and not self._is_deployed:
            return False
        return released_after <= self._platform.witness.begun

    def _make(self, client: Client, order: Order) -> None:
        if order.early:
            held = self._send(client, order) == "held"
            with self._lock:
                self.record.held += held
        payload = {
            "id": order.id,
            "items": list(order.items),
            "waits": order.parked or order.early,
            "mistake": order.mistake,
        }
        run = self._insist(
            lambda: client.jobs.trigger(self._job_id, payload=payload, idempotency_key=order.id)
        )
        self.record.acknowledged[order.id] = str(run.id)

    def _send_late(self, client: Client, order: Order) -> None:
        self._send(client, order)
        with self._lock:
            self._sent += 1

    def _send(self, client: Client, order: Order) -> str:
        """Send the event of an order, and return what the platform says has become of it."""
        key = f"stock:{order.id}"
        sent = self._insist(
            lambda: client.event_triggers.send(
                key, payload={"in_stock": True}, hold_secs=_EVENT_HOLD_SECS, idempotency_key=key
            )
        )
        return str(sent.status)

    def _insist(self, call: Callable[[], T]) -> T:
        """Make a call again, under the same key, until it is acknowledged."""
        deadline = time.monotonic() + PATIENCE_SECS
        while True:
            try:
                return call()
            except StraitError as error:
                if isinstance(error, HttpError) and error.status != 503:
                    raise
                if self._is_full and isinstance(error, HttpError):
                    with self._lock:
                        self.record.refused_while_full = (self.record.refused_while_full or 0) + 1
                if time.monotonic() > deadline or self._is_over.is_set():
                    raise
                time.sleep(_PAUSE_SECS)

    # -- faults ----------------------------------------------------------------------------------

    def _faults(self) -> None:
        for number, kill in enumerate(self._plan.kills):
            if number == self._plan.deploy_after:
                self._deploy()
            self._until(partial(self._has_begun, kill.after), f"step {kill.after:,}")
            if number == self._plan.full_disk_after:
                self._fill_disk()
            self._kill(number, kill)
        if not self._is_deployed:
            self._deploy()

    def _has_begun(self, steps: int) -> bool:
        return self._platform.witness.begun >= steps

    def _kill(self, number: int, kill: Kill) -> None:
        self._platform.kill(kill.kind, None if kill.kind == "server" else self._worker())
        self.record.kills[kill.kind] = self.record.kills.get(kill.kind, 0) + 1
        count = len(self._plan.kills)
        text = f"kill {number + 1} of {count}: {kill.kind}, after {kill.after:,} steps"
        self._tell((number + 1) / count, text)

    def _worker(self) -> int:
        """Return the process of the worker, once there is one that was not killed yet."""
        found: list[int] = []

        def look() -> bool:
            with self._platform.client() as client:
                found.extend(filter(None, [self._platform.worker(client)]))
            return bool(found)

        self._until(look, "a worker")
        return found[0]

    def _fill_disk(self) -> None:
        """Leave the server no room until it has refused somebody."""
        self._is_full = True
        if not self._platform.fill_disk():
            self.record.refused_while_full = None
            return
        try:
            with self._platform.client() as client:
                self._until(lambda: not self._can_write(client), "a refusal by the full disk")
        finally:
            self._platform.free_disk()
            self._is_full = False
        self._until(self._writes_again, "a write after the disk has room again")

    def _can_write(self, client: Client) -> bool:
        """Ask for a write that changes nothing that the proof looks at."""
        try:
            client.event_triggers.send("nobody", payload=None, hold_secs=1)
        except HttpError as error:
            if error.status != 503:
                raise
            with self._lock:
                self.record.refused_while_full = (self.record.refused_while_full or 0) + 1
            return False
        return True

    def _writes_again(self) -> bool:
        with self._platform.client() as client:
            return self._can_write(client)

    def _deploy(self) -> None:
        """Bring version 2 out once all parked orders wait, and then let their events be sent."""
        parked = self._plan.parked
        with self._platform.client() as client:
            self._until(lambda: self._parked(client) == len(parked), "the parking of all orders")
            self.record.parked_at_deploy = self._parked(client)
            before = self._worker()
            self._platform.deploy("v2")
            self._until(lambda: self._platform.worker(client) not in {None, before}, "version 2")
        self._tell(0.5, f"version 2 is out over {len(parked)} parked orders")
        with self._lock:
            self._events.extend(parked)
            self._is_deployed = True
            self.record.after_deploy = frozenset(order.id for _, order in self._orders)

    def _parked(self, client: Client) -> int:
        """Return how many of the parked orders wait now."""
        waiting = {run.id for run in client.runs.list(status="waiting", limit=_PAGE)}
        acknowledged = self.record.acknowledged
        return sum(acknowledged.get(order.id) in waiting for order in self._plan.parked)

    def _open_runs(self, client: Client) -> int:
        stats = client.stats.list()
        if busy := stats.queued + stats.executing + stats.delayed:
            return busy
        return len(client.runs.list(status="waiting", limit=1).data)

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        """Return once something is so that other processes or threads bring about.

        Raises:
            ProofError: nothing goes on any more, or a client has failed.
        """
        begun, deadline = 0, 0.0
        while True:
            if begun != (begun := self._platform.witness.begun) or not deadline:
                deadline = time.monotonic() + PATIENCE_SECS
            if self._failure is not None:
                raise ProofError(f"a client failed: {self._failure}") from self._failure
            # The server may not be able to answer just now.
            with suppress(StraitError):
                if condition():
                    return
            if time.monotonic() > deadline:
                raise ProofError(f"{what} did not happen, and no step for {PATIENCE_SECS:g} s")
            time.sleep(_LOOK_SECS)
