"""What happens in a proof, drawn from its seed: the same seed gives the same plan.

Times are not in it, since no two machines have the same ones. A fault comes when so many steps
were begun in all, which is the one measure of progress that crashes cannot turn back.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

# A quarter of the orders is begun before the new version of the handlers, and waits for it.
_PARKED_SHARE = 5
_MISTAKES = 10
_STEPS_PER_ORDER = 4
_SKUS = ("tea", "coffee", "cup", "pot", "spoon")
KINDS = ("server", "worker", "both")


@dataclass(frozen=True, slots=True)
class Order:
    """One order.

    Attributes:
        id: its id, which is also the idempotency key of its trigger.
        items: what is ordered, each once.
        parked: whether it waits, once it is paid, for an event that only comes after the new
            version is out.
        early: whether that event is sent before anybody waits for it.
        mistake: whether version 2 asks a recorded step of it with a list in another order.
    """

    id: str
    items: tuple[str, ...]
    parked: bool = False
    early: bool = False
    mistake: bool = False


@dataclass(frozen=True, slots=True)
class Kill:
    """A `kill -9`.

    Attributes:
        after: how many steps were begun before it.
        kind: `server`, `worker`, or `both`.
    """

    after: int
    kind: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that happens in a proof.

    Attributes:
        seed: what it was drawn from.
        orders: the orders, in the sequence in which they are triggered.
        kills: the kills, in their sequence.
        deploy_after: how many kills come before version 2 of the handlers.
        full_disk_after: how many kills come before the disk is full for a while.
    """

    seed: int
    orders: tuple[Order, ...]
    kills: tuple[Kill, ...]
    deploy_after: int
    full_disk_after: int

    @property
    def parked(self) -> tuple[Order, ...]:
        """The orders that wait for version 2."""
        return tuple(order for order in self.orders if order.parked)

    @property
    def mistakes(self) -> tuple[Order, ...]:
        """The orders that version 2 must be stopped at."""
        return tuple(order for order in self.orders if order.mistake)


def draw(seed: int, *, orders: int = 1_000, kills: int = 50) -> Plan:
    """Draw a plan.

    Args:
        seed: any number.
        orders: how many orders, at least 10; a fifth of them is parked.
        kills: how many kills.
    """
    if orders < 10:
        raise ValueError(f"a proof needs 10 orders or more, not {orders}")
    if kills < 0:
        raise ValueError(f"kills must be 0 or more, not {kills}")
    chance = random.Random(seed)  # noqa: S311 - faults are to be repeatable, not secret
    made = _orders(chance, seed, orders)
    # The last kill comes while there is still work: every order begins at least two steps.
    most = orders * _STEPS_PER_ORDER * 3 // 4
    moments = sorted(chance.sample(range(1, max(most, kills + 1)), kills))
    # Each kind comes, whatever the seed; what is left over is by chance.
    kinds = [KINDS[number % 3] for number in range(kills)]
    chance.shuffle(kinds)
    return Plan(
        seed,
        made,
        tuple(map(Kill, moments, kinds)),
        deploy_after=kills // 2,
        full_disk_after=chance.randrange(kills // 2) if kills > 1 else 0,
    )


def _orders(chance: random.Random, seed: int, count: int) -> tuple[Order, ...]:
    parked = count // _PARKED_SHARE
    mistaken = max(parked // _MISTAKES, 1)
    made = []
    for number in range(count):
        is_parked = number < parked
        is_mistake = number < mistaken
        items = chance.sample(_SKUS, chance.randint(2, len(_SKUS)))
        made.append(
            Order(
                f"{seed}-{number}",
                tuple(items),
                parked=is_parked,
                # An order that version 2 trips over must still wait when it comes.
                early=is_parked and not is_mistake and chance.random() < 0.25,
                mistake=is_mistake,
            )
        )
    # The parked ones are triggered first, and wait together.
    return tuple(made)
