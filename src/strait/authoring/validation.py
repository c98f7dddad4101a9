"""What definitions are checked for when they are made, so that nothing wrong reaches the platform.

Every check names the field and its owner, says what is wrong with the value and what would be
right. The limits are the platform's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

from strait.cron import CronError
from strait.errors import ValidationError

Json: TypeAlias = Any
EnumT = TypeVar("EnumT", bound=StrEnum)

MAX_WAIT_SECS = 2_592_000
"""30 days, the longest sleep and the longest wait for an event."""
_HALF = re.compile(r"[\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class DefinitionError(ValidationError, ValueError):
    """A job, a workflow, a step or an event is defined in a way that cannot work."""


class Checks:
    """The checks of one definition, which `owner` names in every refusal."""

    __slots__ = ("_owner",)

    def __init__(self, owner: str) -> None:
        self._owner = owner

    def refuse(self, text: str) -> DefinitionError:
        """Return the error for `text`, which starts with the name of the field."""
        return DefinitionError(f"{self._owner}: {text}", [text])

    def text(self, name: str, value: object, *, longest: int = 255, shortest: int = 1) -> None:
        """Check for a string of a length, without control characters."""
        if not isinstance(value, str):
            raise self.refuse(f"`{name}` must be a string, not {value!r}")
        if len(value) < shortest:
            raise self.refuse(f"`{name}` must not be empty")
        if len(value) > longest:
            raise self.refuse(f"`{name}` has {len(value)} characters; at most {longest} may be")
        if _CONTROL.search(value):
            raise self.refuse(f"`{name}` must not have control characters: {value!r}")
        if _HALF.search(value):
            # No JSON can carry it, whatever is sent.
            raise self.refuse(f"`{name}` has half of a surrogate pair, which is no text: {value!r}")

    def number(self, name: str, value: object, *, least: int = 0, most: int | None = None) -> None:
        """Check for a whole number in a range; None is fine, it says that nothing was asked."""
        if value is None:
            return
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.refuse(f"`{name}` must be a whole number, not {value!r}")
        if value < least or (most is not None and value > most):
            span = f"at least {least}" if most is None else f"between {least} and {most}"
            raise self.refuse(f"`{name}` must be {span}, not {value}")

    def one_of(self, name: str, value: object, allowed: Collection[str]) -> None:
        """Check for one of some words."""
        if value not in allowed:
            words = ", ".join(f"`{word}`" for word in allowed)
            raise self.refuse(f"`{name}` must be one of {words}, not {value!r}")

    def member(self, name: str, value: EnumT | str | None, kind: type[EnumT]) -> EnumT | None:
        """Return the member of an enum that `value` is or names."""
        if value is None:
            return None
        self.one_of(name, value, [member.value for member in kind])
        return kind(value)

    def names(self, name: str, value: object) -> list[str]:
        """Return a list of non-empty strings; a lone string is refused, it would be letters."""
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise self.refuse(f"`{name}` must be a list of names, not {value!r}")
        found = list(value)
        for one in found:
            self.text(name, one)
        return found

    def texts(self, name: str, value: object) -> None:
        """Check for a mapping of strings to strings, within the limits of the platform's tags."""
        if value is None:
            return
        if not isinstance(value, Mapping):
            raise self.refuse(f"`{name}` must map strings to strings, not {value!r}")
        if len(value) > 20:
            raise self.refuse(f"`{name}` has {len(value)} entries; at most 20 may be")
        for key, text in value.items():
            self.text(f"{name} key", key, longest=64)
            self.text(f"{name}[{key!r}]", text, longest=256, shortest=0)

    def url(self, name: str, value: object) -> None:
        """Check for an absolute http or https URL."""
        self.text(name, value, longest=2048)
        try:
            parts = urlsplit(str(value))
            good = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            good = False
        if not good:
            raise self.refuse(f"`{name}` must be an http or https URL, not {value!r}")

    def cron(self, name: str, check: Callable[[str], None], value: str) -> None:
        """Check a schedule or a time zone with one of the checks of `strait.cron`."""
        if not value:
            return
        try:
            check(value)
        except CronError as error:
            why = f": {error.detail}" if error.detail else ""
            raise self.refuse(f"`{name}` is {value!r}: {error}{why}") from error

    def json(self, name: str, value: object) -> None:
        """Check that a value can be sent as JSON."""
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise self.refuse(f"`{name}` cannot be sent as JSON: {error}") from error
