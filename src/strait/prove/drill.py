"""Carrying out a plan: orders go in while processes die, code changes and the disk is full."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from strait.errors import StraitError
from strait.prove.machines import Platform, ProofError, Provider, until
from strait.prove.plan import Kill, Order, Plan

_CLIENTS = 4
_EVENT_HOLD_SECS = 24 * 3600
_PATIENCE_SECS = 300.0
_ROOM_BYTES = 200_000
_PAUSE_SECS = 0.05


@dataclass(slots=True)
class Record:
    """What the drill saw from outside.

    Attributes:
        acknowledged: the run of each order whose trigger was acknowledged.
        kills: how many kills there were, by kind.
        refused_while_full: how many triggers were refused while the disk was full; None where the
            system cannot fill it.
        parked_at_deploy: how many orders waited when version 2 came.
    """

    acknowledged: dict[str, str] = field(default_factory=dict)
    kills: dict[str, int] = field(default_factory=dict)
    refused_while_full: int | None = 0
    parked_at_deploy: int = 0


class Drill:
    """One proof under way.

    Args:
        plan: what is to happen.
        platform: the platform, not started yet.
        provider: the provider.
        say: prints a line about how far it is.
    """

    def __init__(
        self, plan: Plan, platform: Platform, provider: Provider, say: Callable[[str], None]
    ) -> None:
        self.record = Record()
        self._plan = plan
        self._platform = platform
        self._provider = provider
        self._say = say
        self._waiting = list(reversed(plan.orders))
        self._lock = threading.Lock()
        self._failure: BaseException | None = None

    def run(self) -> Record:
        """Carry out the plan, and return once every order has come to its end.

        Raises:
            ProofError: something hangs.
        """
        self._platform.start()
        clients = [threading.Thread(target=self._client, daemon=True) for _ in range(_CLIENTS)]
        for client in clients:
            client.start()
        self._faults()
        for client in clients:
            client.join(_PATIENCE_SECS)
        if self._failure is not None:
            raise ProofError(f"a client failed: {self._failure}") from self._failure
        if len(self.record.acknowledged) < len(self._plan.orders):
            raise ProofError("not all triggers were acknowledged in time")
        self._say("all triggers are acknowledged; waiting for the last orders")
        until(self._is_over, "the end of all orders", secs=_PATIENCE_SECS)
        return self.record

    # -- orders ----------------------------------------------------------------------------------

    def _client(self) -> None:
        try:
            while True:
                with self._lock:
                    if not self._waiting:
                        return
                    order = self._waiting.pop()
                self._order(order)
        except BaseException as error:  # noqa: BLE001 - it is told by whoever joins the thread
            self._failure = error

    def _order(self, order: Order) -> None:
        payload = {
            "id": order.id, "items": list(order.items), "parked": order.parked,
            "mistake": order.mistake,
        }  # fmt: skip
        run_id = self._insist(lambda: self._trigger(order, payload))
        self.record.acknowledged[order.id] = run_id
        if order.early:
            self._insist(lambda: self._send(order))

    def _trigger(self, order: Order, payload: dict[str, object]) -> str:
        with self._platform.client() as client:
            job = client.jobs.list(slug="order").data[0]
            return str(client.jobs.trigger(job.id, payload=payload, idempotency_key=order.id).id)

    def _send(self, order: Order) -> str:
        with self._platform.client() as client:
            client.event_triggers.send(
                f"stock:{order.id}",
                payload={"in_stock": True},
                hold_secs=_EVENT_HOLD_SECS,
                idempotency_key=f"stock:{order.id}",
            )
        return order.id

    def _insist(self, call: Callable[[], str]) -> str:
        """Make a call again under the same key until it is acknowledged."""
        deadline = time.monotonic() + _PATIENCE_SECS
        while True:
            try:
                return call()
            except StraitError as error:
                if self.record.refused_while_full is not None and error.status == 503:
                    self.record.refused_while_full += 1
                if time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE_SECS)

    # -- faults ----------------------------------------------------------------------------------

    def _faults(self) -> None:
        deployed = False
        for number, kill in enumerate(self._plan.kills):
            if number == self._plan.full_disk_after:
                self._fill_disk()
            if number == self._plan.deploy_after:
                self._deploy()
                deployed = True
            self._kill(number, kill)
        if not deployed:
            self._deploy()

    def _kill(self, number: int, kill: Kill) -> None:
        with suppress(ProofError):  # there may be no work left to wait for
            until(lambda: self._provider.begun() >= kill.after, "work", secs=5.0)
        self._platform.kill(kill.kind, self._provider.worker_pid())
        self.record.kills[kill.kind] = self.record.kills.get(kill.kind, 0) + 1
        self._say(f"kill {number + 1} of {len(self._plan.kills)}: {kill.kind}")

    def _fill_disk(self) -> None:
        """Leave the server no room to write for a moment."""
        before = self.record.refused_while_full or 0
        room = self._platform.size_of_log() + _ROOM_BYTES
        if not self._platform.limit_file_size(room):
            self.record.refused_while_full = None
            self._say("this system cannot fill the disk of one process; left out")
            return
        with suppress(ProofError):
            until(lambda: (self.record.refused_while_full or 0) > before, "a full disk", secs=10.0)
        self._platform.limit_file_size(None)
        self._say("the disk was full for a while")

    def _deploy(self) -> None:
        """Bring version 2 out once all parked orders wait, and then send what they wait for."""
        parked = [order for order in self._plan.parked if not order.early]
        until(lambda: self._waits() >= len(parked), "the parking of orders", secs=_PATIENCE_SECS)
        self.record.parked_at_deploy = self._waits()
        self._platform.deploy("v2")
        until(self._is_new, "version 2", secs=_PATIENCE_SECS)
        self._say(f"version 2 is out over {self.record.parked_at_deploy} parked orders")
        for order in parked:
            self._insist(lambda order=order: self._send(order))

    def _waits(self) -> int:
        with self._platform.client() as client:
            return len(list(client.runs.list(status="waiting", limit=100)))

    def _is_new(self) -> bool:
        with self._platform.client() as client:
            return client.jobs.list(slug="order").data[0].description == "version 2"

    def _is_over(self) -> bool:
        with self._platform.client() as client:
            open_runs = client.stats.list().to_dict()
            return not sum(open_runs.values()) and not self._waits()
