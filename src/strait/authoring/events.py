"""Events: a key and, if wanted, a check of the payload."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from strait.authoring.validation import Checks
from strait.errors import Json


@dataclass(frozen=True, slots=True)
class EventDefinition:
    """An event that runs can wait for.

    Attributes:
        key: the key that it is sent and waited for by, at most 512 characters.
        validate: takes a payload and returns it, changed or not, or raises.
    """

    key: str
    validate: Callable[[Json], Json] | None = None

    def __post_init__(self) -> None:
        checks = Checks(f"define_event({self.key})")
        checks.text("key", self.key, longest=512)
        if self.validate is None:
            return
        if not callable(self.validate):
            raise checks.refuse(f"`validate` must be a function, not {self.validate!r}")
        if inspect.iscoroutinefunction(self.validate):
            raise checks.refuse("`validate` must not be `async`: `parse` returns its result")

    def parse(self, input: Json) -> Json:
        """Return the payload as `validate` gives it; without one, as it is."""
        return input if self.validate is None else self.validate(input)


def define_event(key: str, validate: Callable[[Json], Json] | None = None) -> EventDefinition:
    """Define an event.

    Args:
        key: the key that it is sent and waited for by.
        validate: takes a payload and returns it, changed or not, or raises.

    Raises:
        DefinitionError: the key cannot be one, or `validate` is no plain function.
    """
    return EventDefinition(key, validate)
