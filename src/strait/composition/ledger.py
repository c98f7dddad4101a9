"""The ledger of a durable cost budget: what is spent, and what is set aside. Pure.

What is set aside counts as if it were spent until it is settled. So the sum can be too high for
a while, and is never too low: whatever was paid for had been set aside before.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from strait.composition.budget import checked_cost, exceeded
from strait.errors import Json, StraitError, ValidationError

_VERSION = 1


@dataclass(slots=True)
class Child:
    """What a child run was allotted.

    Attributes:
        allotted: how much, in micro-USD.
        spent: what it spent; None until it is settled.
    """

    allotted: int
    spent: int | None = None

    @property
    def committed(self) -> int:
        """What of the budget it takes: all of the allotment until it is settled."""
        return self.allotted if self.spent is None else self.spent


@dataclass(slots=True)
class Ledger:
    """The ledger of one run.

    Attributes:
        owner: who may write it: the attempt that opened it last.
        spent: what calls have cost.
        calls: what is set aside for calls that are being made, by the id of the reservation.
        children: the allotments of child runs, by name.
    """

    owner: str = ""
    spent: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: Json) -> Ledger:
        """Return the ledger that `to_json` made; None makes an empty one.

        Raises:
            StraitError: the value is no ledger, so that nobody can say what was spent.
        """
        if value is None:
            return cls()
        try:
            if value["version"] != _VERSION:
                raise ValueError(f"version {value['version']!r}")
            return cls(
                value["owner"],
                value["spent"],
                dict(value["calls"]),
                {name: Child(*entry) for name, entry in value["children"].items()},
            )
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise StraitError(f"the run's state holds no cost ledger, but {value!r}") from error

    def to_json(self) -> dict[str, Json]:
        """Return what the run's state holds."""
        return {
            "version": _VERSION,
            "owner": self.owner,
            "spent": self.spent,
            "calls": dict(self.calls),
            "children": {name: [one.allotted, one.spent] for name, one in self.children.items()},
        }

    @property
    def committed(self) -> int:
        """What is spent or set aside."""
        children = sum(child.committed for child in self.children.values())
        return self.spent + sum(self.calls.values()) + children

    def take_over(self, owner: str) -> None:
        """Make another attempt the owner; what the one before left unsettled counts as spent.

        Allotments stay as they are: their children may still be running.
        """
        self.owner = owner
        self.spent += sum(self.calls.values())
        self.calls.clear()

    def reserve(self, call: str, amount: int, most: int) -> None:
        """Set an amount aside for a call.

        Raises:
            CostBudgetExceededError: it does not fit into the budget any more.
        """
        self._check_fits(amount, most)
        self.calls[call] = amount

    def settle(self, call: str, cost: int) -> None:
        """Replace what was set aside for a call by what it cost."""
        checked_cost("cost_microusd", cost)
        if call not in self.calls:
            raise ValidationError("this reservation is settled already")
        del self.calls[call]
        self.spent += cost

    def allot(self, name: str, amount: int, most: int) -> Child:
        """Set an amount aside for a child run; the same allotment again is the same one.

        Raises:
            CostBudgetExceededError: it does not fit into the budget any more.
            ValidationError: the child has another allotment already.
        """
        child = self.children.get(name)
        if child is None:
            self._check_fits(amount, most)
            child = self.children[name] = Child(amount)
        elif child.allotted != amount:
            raise ValidationError(
                f"child `{name}` was allotted {child.allotted} micro-USD already, not {amount}"
            )
        return child

    def settle_child(self, name: str, cost: int | None) -> None:
        """Replace an allotment by what the child spent; None is all of it.

        To settle it again is fine: a handler that is called again after a wait does so.
        """
        child = self.children.get(name)
        if child is None:
            raise ValidationError(f"child `{name}` has no allotment in this budget")
        spent = child.allotted if cost is None else checked_cost("cost_microusd", cost)
        child.spent = spent if child.spent is None else child.spent

    def _check_fits(self, amount: int, most: int) -> None:
        checked_cost("most_microusd", amount)
        if self.committed + amount > most:
            error = exceeded(self.committed, most)
            error.add_note(f"{amount} micro-USD more do not fit")
            raise error
