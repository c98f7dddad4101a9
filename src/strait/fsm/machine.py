"""What a state machine is here: a table of statuses and events, and the questions it answers.

The three machines of the platform (`runs`, `workflow_runs`, `step_runs`) are instances of
`Machine`; nothing here knows which. Statuses and events are string enums, and plain strings are
as good: a status that a newer platform sends is never an error to ask about, only to move.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar

from strait.errors import StraitError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


class InvalidTransition(StraitError, ValueError):  # noqa: N818 - it says what was asked for
    """A status was asked to move in a way that its machine does not have.

    Attributes:
        machine: which machine refused: `run`, `workflow run` or `step run`.
        from_status: the status that was to be left.
        event: the event that was to move it.
    """

    def __init__(self, machine: str, from_status: str, event: str, reason: str) -> None:
        super().__init__(f"{machine} status `{from_status}` takes no event `{event}`: {reason}")
        self.machine = machine
        self.from_status = from_status
        self.event = event


@dataclass(frozen=True, slots=True)
class Machine(Generic[S, E]):
    """A table of transitions, `status -> event -> next status`, and what is terminal in it.

    Terminal means that nothing happens any more by itself: work that has ended stays ended
    until somebody asks for it again. Where the platform lets them ask (a replay of a dead
    letter, the retry of a step, a compensation), the table has an edge out of a terminal status.
    """

    noun: str
    statuses: type[S]
    events: type[E]
    table: Mapping[S, Mapping[E, S]]
    terminal: frozenset[S]
    _moves: frozenset[tuple[str, str]] = field(init=False)
    _targets: Mapping[tuple[str, str], S] = field(init=False)

    def __post_init__(self) -> None:
        # Enum members hash like their values, so that plain strings find them.
        moves = frozenset((start.value, end.value) for start, _, end in self.edges())
        targets = {(start.value, event.value): end for start, event, end in self.edges()}
        object.__setattr__(self, "_moves", moves)
        object.__setattr__(self, "_targets", targets)

    def edges(self) -> Iterator[tuple[S, E, S]]:
        """Yield every `(status, event, next status)` of the table, in its order."""
        for start, row in self.table.items():
            for event, end in row.items():
                yield start, event, end

    def is_terminal(self, status: str) -> bool:
        """Say whether a status is an end; one that is not known is taken for not ended."""
        return status in self.terminal

    def can_move(self, from_status: str, to_status: str) -> bool:
        """Say whether some event leads from one status to the other."""
        return (from_status, to_status) in self._moves

    def can_transition(self, status: str, event: str) -> bool:
        """Say whether `transition` would succeed."""
        return (status, event) in self._targets

    def transition(self, status: str, event: str) -> S:
        """Return the status that an event leads to.

        Raises:
            InvalidTransition: the status or the event is not known, or the table has no edge.
        """
        target = self._targets.get((status, event))
        if target is None:
            raise InvalidTransition(self.noun, str(status), str(event), self._why(status, event))
        return target

    def _why(self, status: str, event: str) -> str:
        """Say what is wrong and what would be right."""
        if status not in (known := [member.value for member in self.statuses]):
            return f"this is no {self.noun} status; known are {_listed(known)}"
        if event not in (known := [member.value for member in self.events]):
            return f"this is no {self.noun} event; known are {_listed(known)}"
        takes = [name.value for name in self.table.get(self.statuses(status), {})]
        ended = f"the {self.noun} has ended" if self.is_terminal(status) else ""
        if not takes:
            return f"{ended}, no event leads out of it"
        allowed = f"it takes {_listed(takes)}"
        return f"{ended}; {allowed}" if ended else allowed


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
