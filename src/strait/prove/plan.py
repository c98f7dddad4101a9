"""What happens in a proof, drawn from its seed: the same seed gives the same plan.

Times are not in it, since no two machines have the same ones. A fault comes when so many steps
were begun in all, which is the one measure of progress that crashes cannot turn back.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256
from itertools import accumulate

PRICES_CENTS = {"tea": 450, "coffee": 800, "cup": 1200, "pot": 2100, "spoon": 300}
"""What the shop sells."""
KINDS = ("server", "worker", "both")
"""What a kill may end."""
FEWEST_ORDERS = 10

# Of the orders: one in five waits for version 2, and one in twenty of those trips over it. Of the
# others, one in ten has its event sent before anybody waits for it. The last tenth of all is only
# triggered when version 2 is out.
_PARKED_SHARE = 5
_MISTAKE_SHARE = 20
_EARLY_CHANCE = 0.1
_LATE_SHARE = 10
# Steps of an order before it waits (`price`, `charge`) and after (`receipt`), packing apart.
_STEPS_BEFORE = 2
_STEPS_AFTER = 1
# Orders are triggered so many steps ahead of what was begun, so that each kill meets many of them.
_AHEAD_STEPS = 120


@dataclass(frozen=True, slots=True)
class Order:
    """One order.

    Attributes:
        id: its id, which is also the idempotency key of its trigger.
        items: what is ordered, each once; two or more.
        parked: whether it waits, once it is paid, for an event that comes only after version 2.
        early: whether it waits for an event that was sent before it was triggered.
        mistake: whether version 2 asks a recorded step of it for a list in another order.
        late: whether it is only triggered when version 2 is out.
    """

    id: str
    items: tuple[str, ...]
    parked: bool = False
    early: bool = False
    mistake: bool = False
    late: bool = False

    @property
    def cents(self) -> int:
        """What it costs."""
        return sum(PRICES_CENTS[item] for item in self.items)

    @property
    def fewest_steps(self) -> int:
        """How many steps it begins at least before version 2 is out."""
        return _STEPS_BEFORE + (0 if self.parked else len(self.items) + _STEPS_AFTER)


@dataclass(frozen=True, slots=True)
class Kill:
    """A `kill -9`.

    Attributes:
        after: how many steps were begun before it, over all orders.
        kind: one of `KINDS`.
    """

    after: int
    kind: str


@dataclass(frozen=True)
class Plan:
    """Everything that happens in a proof.

    Attributes:
        seed: what it was drawn from.
        orders: the orders, in the sequence in which they are triggered; the parked ones first.
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

    @property
    def early(self) -> tuple[Order, ...]:
        """The orders whose event comes before them."""
        return tuple(order for order in self.orders if order.early)

    @cached_property
    def released_after(self) -> tuple[int, ...]:
        """How many steps must be begun before each order is triggered."""
        before = accumulate((order.fewest_steps for order in self.orders[:-1]), initial=0)
        return tuple(max(0, steps - _AHEAD_STEPS) for steps in before)

    @property
    def digest(self) -> str:
        """Tells plans apart: the first half of the SHA-256 of all that is in it, in hex."""
        return sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:32]


def draw(seed: int, *, orders: int = 1_000, kills: int = 50) -> Plan:
    """Draw a plan.

    Args:
        seed: any number.
        orders: how many orders, at least `FEWEST_ORDERS`; a fifth of them is parked.
        kills: how many kills, at most one for each order.

    Raises:
        ValueError: a number is out of its bounds.
    """
    if orders < FEWEST_ORDERS:
        raise ValueError(f"a proof needs {FEWEST_ORDERS} orders or more, not {orders}")
    if not 0 <= kills <= orders:
        raise ValueError(f"kills must be from 0 to the number of orders ({orders}), not {kills}")
    chance = random.Random(seed)  # noqa: S311 - faults are to be repeatable, not secret
    made = _orders(chance, seed, orders)
    # So many steps are begun in any case, so each kill comes while there is work; and each of the
    # first half while there is work that does not wait for version 2.
    steps = sum(order.fewest_steps for order in made)
    middle, before = steps // 2, kills // 2
    moments = sorted(
        chance.sample(range(1, middle), before)
        + chance.sample(range(middle, steps), kills - before)
    )
    # Each kind has its share, whatever the seed.
    kinds = [KINDS[number % len(KINDS)] for number in range(kills)]
    chance.shuffle(kinds)
    return Plan(
        seed,
        made,
        tuple(map(Kill, moments, kinds)),
        deploy_after=before,
        full_disk_after=chance.randrange(kills) if kills else 0,
    )


def _orders(chance: random.Random, seed: int, count: int) -> tuple[Order, ...]:
    parked = count // _PARKED_SHARE
    mistaken = max(parked // _MISTAKE_SHARE, 1)
    mistakes = set(chance.sample(range(parked), mistaken))
    skus = sorted(PRICES_CENTS)
    return tuple(
        Order(
            f"{seed}-{number}",
            tuple(chance.sample(skus, chance.randint(2, len(skus)))),
            parked=number < parked,
            # Drawn for each, so that it comes as often in every part of the sequence.
            early=chance.random() < _EARLY_CHANCE and number >= parked,
            mistake=number in mistakes,
            late=number >= count - count // _LATE_SHARE,
        )
        for number in range(count)
    )
