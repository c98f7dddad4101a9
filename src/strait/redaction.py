"""Hiding what must not leave: given paths, keys that look like secrets, and tokens.

It is the only place that does so: for the steps that the platform shows, for the report of a run,
and for what a run is taken away as.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from strait.fsm import RunStatus, StepRunStatus, WorkflowRunStatus

HIDDEN = "[redacted]"
"""What stands in the place of a value."""

# Short texts are parts of others: hiding every `ok` would hide the report.
_LEAST_CHARS = 6
_SECRET_KEY = re.compile(
    r"(?:^|_)(?:password|passwd|passphrase|secret|token|api_?key|access_?key|private_?key|"
    r"secret_?key|signing_?key|authorization|cookie|credentials?|card_?number|cvc|cvv)$"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_TOKEN = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
    r"|\bstrait_[A-Za-z0-9_]{16,}"
    r"|\b(?:sk|pk|rk|whsec)[_-][A-Za-z0-9_-]{16,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bxox[abprs]-[A-Za-z0-9-]{10,}|\bAKIA[0-9A-Z]{16}\b"
    r"|(?<=\bBearer )[A-Za-z0-9._~+/=-]{8,}",
    re.DOTALL,
)
# Keys of the API that name things.
_OWN_KEYS = frozenset({"idempotency_key", "state_key", "event_key", "output_key"})
# A path may name the whole value.
_WHOLE = frozenset({"", "$", "*"})
# Words of the API, which are no secrets even where one is the same word.
_WORDS = frozenset(
    str(status) for kind in (RunStatus, StepRunStatus, WorkflowRunStatus) for status in kind
) | {"workflow_run", "state_change"}
# Fields of the API whose values are the users' own.
_USERS = frozenset(
    {"annotations", "input", "metadata", "output", "payload", "result", "tags", "value"}
)

Trail = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class _Rule:
    """A path, and where it begins.

    Attributes:
        keys: its names; none for the whole value.
        base: how deep in the document it begins; None if it may begin anywhere.
    """

    keys: tuple[str, ...]
    base: int | None

    def names(self, trail: Trail) -> bool:
        """Say whether it names the value at the end of a trail; it goes through lists."""
        if self.base is None:
            return bool(self.keys) and _ends(self.keys, trail) is not None
        inside = trail[self.base :]
        if len(trail) < self.base or _ends(self.keys, inside) is None:
            return False
        # All that lies before the path is a list that it goes through.
        return all(isinstance(one, int) for one in inside[: _ends(self.keys, inside)])


def hidden_at(value: Any, paths: Iterable[str]) -> Any:
    """Return a copy of a JSON value without what lies at some paths.

    Args:
        value: JSON.
        paths: names with dots between them, such as `card.number`; in a list they hold for each
            item. `*` is any name, and an empty path the whole value.
    """
    rules = [_Rule(_keys(path), 0) for path in paths]
    return _Hider(rules, secrets=False).hide(value, (), users=True)


def redacted(value: Any, paths: Iterable[str] = ()) -> Any:
    """Return a copy of a user's JSON value without what must not leave.

    Hidden are what lies under a path, whatever its type; what lies under a key that looks like
    one of a secret (`password`, `apiKey`, `client_secret`, …); tokens of known forms inside of
    texts; and every text of at least six characters that was hidden, wherever else it stands.

    Args:
        value: JSON.
        paths: names with dots between them, such as `card.number`; they go through lists, and
            `*` is any name. A path may begin anywhere.
    """
    return _without(value, paths, users=True)


def redacted_document(document: Any, paths: Iterable[str] = ()) -> Any:
    """Return a copy of what the platform tells of a run without what must not leave.

    It is `redacted`, but a path hides only in the values that users have given, such as payloads
    and results, and these as a whole: `name` is not the name of a step. The `redact` paths that a
    recorded step names hold for its output, and a key of the run's state or an output of a run
    goes by its own name.
    """
    return _without(document, paths, users=False)


def looks_secret(key: str) -> bool:
    """Say whether a key looks like one of a secret."""
    name = _CAMEL.sub("_", key).lower().replace("-", "_")
    return name not in _OWN_KEYS and _SECRET_KEY.search(name) is not None


def hidden_places(value: Any, trail: str = "") -> list[str]:
    """Return where something in a value is hidden, as paths; an empty one is the whole value."""
    if isinstance(value, str):
        return [trail] if HIDDEN in value else []
    if isinstance(value, Mapping):
        items: Iterable[tuple[object, Any]] = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return []
    return [
        place
        for key, one in items
        for place in hidden_places(one, f"{trail}.{key}" if trail else str(key))
    ]


def _without(value: Any, paths: Iterable[str], *, users: bool) -> Any:
    hider = _Hider([_Rule(keys, None) for path in paths if (keys := _keys(path))])
    found = hider.hide(value, (), users=users)
    known = sorted(hider.hidden, key=len, reverse=True)
    everywhere = re.compile("|".join(map(re.escape, known))) if known else None
    return _scrubbed(found, everywhere)


def _keys(path: str) -> tuple[str, ...]:
    return () if path in _WHOLE else tuple(path.removeprefix("$.").split("."))


class _Hider:
    def __init__(self, rules: list[_Rule], *, secrets: bool = True) -> None:
        self._rules = rules
        self._secrets = secrets
        self.hidden: set[str] = set()

    def hide(self, value: Any, trail: Trail, *, users: bool) -> Any:
        """Return a value as it may leave.

        Args:
            value: what.
            trail: where it lies.
            users: whether it is a user's, and not a part of what the platform tells.
        """
        if users and value is not None and any(rule.names(trail) for rule in self._rules):
            self._remember(value)
            return HIDDEN
        if isinstance(value, Mapping):
            inner = self if users else self._with_paths_of(value, trail)
            name = None if users else _name_of_entry(value)
            return {
                key: inner.inside(str(key), one, trail, users=users, entry=name, row=value)
                for key, one in value.items()
            }
        if isinstance(value, list):
            return [self.hide(one, (*trail, at), users=users) for at, one in enumerate(value)]
        return value

    def _with_paths_of(self, value: Mapping[str, Any], trail: Trail) -> _Hider:
        """Return a hider that also knows the paths that a recorded step has for itself."""
        own = value.get("redact")
        if "fingerprint" not in value or not isinstance(own, list):
            return self
        base = len(trail)
        added = [_Rule(("output", *_keys(str(path))), base) for path in own]
        inner = _Hider([*self._rules, *added], secrets=self._secrets)
        inner.hidden = self.hidden
        return inner

    def inside(
        self,
        key: str,
        value: Any,
        trail: Trail,
        *,
        users: bool,
        entry: str | None,
        row: Mapping[str, Any],
    ) -> Any:
        """Return the value of a key as it may leave."""
        inside = users or _is_users(key, value, row)
        name = entry if entry is not None and key == "value" else key
        if self._secrets and looks_secret(name) and not isinstance(value, bool):
            self._remember(value)
            return None if value is None else HIDDEN
        return self.hide(value, (*trail, name), users=inside)

    def _remember(self, value: Any) -> None:
        """Remember the texts that are hidden here, to hide them everywhere."""
        if isinstance(value, str):
            if len(value) >= _LEAST_CHARS and value != HIDDEN and value not in _WORDS:
                self.hidden.add(value)
        elif isinstance(value, Mapping):
            for one in value.values():
                self._remember(one)
        elif isinstance(value, list):
            for one in value:
                self._remember(one)


def _is_users(key: str, value: Any, row: Mapping[str, Any]) -> bool:
    """Say whether what the platform has under a key is a user's own value."""
    if key == "value":
        # What the runtime keeps for itself is told like a key of the run's state.
        return not str(_name_of_entry(row) or "").startswith("strait.")
    if key == "state":
        # Of a checkpoint; the state of a run is a list of entries.
        return "sequence" in row or not isinstance(value, list)
    if key == "data":
        return row.get("type") == "log"
    return key in _USERS


def _name_of_entry(row: Mapping[str, Any]) -> str | None:
    """Return the name of a key of the run's state, or of an output; None for anything else."""
    for field in ("key", "state_key", "output_key"):
        name = row.get(field)
        if isinstance(name, str) and "value" in row:
            return name
    return None


def _ends(keys: Sequence[str], trail: Trail) -> int | None:
    """Return how much of a trail lies before the keys that it ends with; None if it does not."""
    at = len(trail)
    for key in reversed(keys):
        at -= 1
        while at >= 0 and isinstance(trail[at], int) and key not in ("*", str(trail[at])):
            at -= 1  # the path goes through the list
        if at < 0 or key not in ("*", str(trail[at])):
            return None
    return at


def _scrubbed(value: Any, everywhere: re.Pattern[str] | None) -> Any:
    if isinstance(value, str):
        text = everywhere.sub(HIDDEN, value) if everywhere else value
        return _TOKEN.sub(HIDDEN, text)
    if isinstance(value, Mapping):
        return {name: _scrubbed(one, everywhere) for name, one in value.items()}
    if isinstance(value, list):
        return [_scrubbed(one, everywhere) for one in value]
    return value
