"""Putting messages into the outbox, and writing down what became of them."""

from __future__ import annotations

from functools import partial

from msgspec.structs import replace

from strait.clock import to_timestamp
from strait.engine import deliveries as engine
from strait.engine.deliveries import POLICIES, Attempt, Delivery
from strait.server import addresses
from strait.server.unit import KeyHandedOver, Unit
from strait.store import deliveries, triggers


def post(
    unit: Unit,
    kind: str,
    target_id: str,
    url: str,
    event_type: str,
    body: str,
    *,
    project_id: str,
    run_id: str = "",
    job_id: str = "",
    subject_id: str = "",
    replay_of: str = "",
    delivery_id: str = "",
) -> Delivery:
    """Put a message into the outbox; it is sent once the transaction is on disk.

    Args:
        unit: the transaction that causes it.
        kind: a key of `POLICIES`.
        target_id: whose address it is sent to; the address is read anew when it is sent.
        url: where it would be sent now.
        event_type: what it tells of.
        body: JSON text.
        project_id: the project.
        run_id: the run that it is about.
        job_id: the job of that run.
        subject_id: what else it is about.
        replay_of: the first delivery of the same message.
        delivery_id: an id that is known already.
    """
    unit.tick()
    delivery = Delivery(
        id=delivery_id or unit.new_id(),
        kind=kind,
        project_id=project_id,
        target_id=target_id,
        address=addresses.shown(url),
        event_type=event_type,
        body=body,
        created_at=unit.stamp,
        updated_at=unit.stamp,
        due_at=to_timestamp(unit.platform.clock.now()),
        max_attempts=POLICIES[kind].max_attempts,
        run_id=run_id,
        job_id=job_id,
        subject_id=subject_id,
        replay_of=replay_of,
    )
    deliveries.insert(unit.db, delivery)
    look(unit, delivery.address)
    return delivery


def replay(unit: Unit, delivery: Delivery) -> Delivery:
    """Put the message of a delivery into the outbox once more."""
    return post(
        unit,
        delivery.kind,
        delivery.target_id,
        delivery.address,
        delivery.event_type,
        delivery.body,
        project_id=delivery.project_id,
        run_id=delivery.run_id,
        job_id=delivery.job_id,
        subject_id=delivery.subject_id,
        replay_of=delivery.origin_id,
    )


def tried(unit: Unit, delivery_id: str, attempt: Attempt) -> None:
    """Write what came of an attempt, unless somebody has settled the delivery meanwhile."""
    delivery = deliveries.get(unit.db, delivery_id)
    if delivery is not None and delivery.status == "pending":
        chance = unit.platform.outside.chance()
        _keep(unit, engine.settled(delivery, attempt, unit.platform.clock.now(), chance))


def give_up(unit: Unit, delivery_id: str, reason: str) -> None:
    """Write that a delivery is not sent any more."""
    delivery = deliveries.get(unit.db, delivery_id)
    if delivery is not None and delivery.status == "pending":
        _keep(unit, engine.given_up(delivery, reason, unit.now))


def due(unit: Unit, address: str) -> None:
    """Send what is due at an address."""
    look(unit, address)


def after_restart(unit: Unit) -> None:
    """Take up again what the last server has not brought to its end."""
    for address in deliveries.open_addresses(unit.db):
        look(unit, address)


def look(unit: Unit, address: str) -> None:
    """Have the courier look at an address after the commit."""
    unit.after(partial(unit.platform.courier.look, address))


def _keep(unit: Unit, delivery: Delivery) -> None:
    deliveries.save(unit.db, delivery)
    if delivery.kind == "notice" and delivery.status != "pending":
        _keep_notice(unit, delivery)
    if delivery.kind == "rotation" and delivery.status != "pending":
        unit.signal(KeyHandedOver(delivery))


def _keep_notice(unit: Unit, delivery: Delivery) -> None:
    # Whoever was told may have sent the event already: only this field is ours.
    trigger = triggers.load(unit.db, delivery.target_id)
    if trigger is not None:
        status = "sent" if delivery.status == "delivered" else "failed"
        triggers.save(unit.db, replace(trigger, notify_status=status))
