"""Hiding what must not leave with a run: given paths, keys that look like secrets, and tokens.

What is hidden at one place is hidden everywhere in the document: a card number that a path names
in the payload does not stay in a log line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from strait.fsm import RunStatus, StepRunStatus, WorkflowRunStatus

HIDDEN = "[redacted]"
"""What stands in the place of a value; the platform writes the same."""

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
# A step may name its whole output.
_WHOLE = frozenset({"", "$", "*"})
# Words of the API, which are no secrets even where one is the same word.
_WORDS = frozenset(
    str(status) for kind in (RunStatus, StepRunStatus, WorkflowRunStatus) for status in kind
) | {"workflow_run", "state_change"}


def redacted(value: Any, paths: Iterable[str] = ()) -> Any:
    """Return a copy of a JSON value without what must not leave.

    Hidden are what lies under a path, whatever its type; what lies under a key that looks like
    one of a secret (`password`, `apiKey`, `client_secret`, …); tokens of known forms inside of
    texts; and every text of at least six characters that was hidden, wherever else it stands.
    The `redact` paths that a recorded step names hold for that step.

    Args:
        value: JSON.
        paths: names with dots between them, such as `card.number`; `*` is any name or index. A
            path may begin anywhere.
    """
    hider = _Hider([tuple(path.split(".")) for path in paths if path])
    found = hider.hide(value, ())
    known = sorted(hider.hidden, key=len, reverse=True)
    everywhere = re.compile("|".join(map(re.escape, known))) if known else None
    return _scrubbed(found, everywhere)


def looks_secret(key: str) -> bool:
    """Say whether a key looks like one of a secret."""
    name = _CAMEL.sub("_", key).lower().replace("-", "_")
    return name not in _OWN_KEYS and _SECRET_KEY.search(name) is not None


class _Hider:
    def __init__(self, paths: list[tuple[str, ...]]) -> None:
        self._paths = paths
        self.hidden: set[str] = set()

    def hide(self, value: Any, trail: tuple[str, ...]) -> Any:
        """Return a value as it may leave; `trail` is where it lies."""
        if isinstance(value, Mapping):
            inner = self._with_paths_of(value)
            return {
                key: inner.inside(str(key), one, (*trail, str(key))) for key, one in value.items()
            }
        if isinstance(value, list):
            return [self._item((*trail, str(index)), one) for index, one in enumerate(value)]
        return value

    def _with_paths_of(self, value: Mapping[str, Any]) -> _Hider:
        """Return a hider that also knows the paths that a recorded step has for itself."""
        own = value.get("redact")
        if "fingerprint" not in value or not isinstance(own, list):
            return self
        added = [
            ("output",) if path in _WHOLE else tuple(str(path).removeprefix("$.").split("."))
            for path in own
        ]
        inner = _Hider(self._paths + added)
        inner.hidden = self.hidden
        return inner

    def inside(self, key: str, value: Any, trail: tuple[str, ...]) -> Any:
        """Return the value of a key as it may leave."""
        if self._is_named(trail) or (looks_secret(key) and not isinstance(value, bool)):
            self._remember(value)
            return None if value is None else HIDDEN
        return self.hide(value, trail)

    def _item(self, trail: tuple[str, ...], value: Any) -> Any:
        if value is not None and self._is_named(trail):
            self._remember(value)
            return HIDDEN
        return self.hide(value, trail)

    def _is_named(self, trail: tuple[str, ...]) -> bool:
        return any(_ends_with(trail, path) for path in self._paths)

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


def _ends_with(trail: tuple[str, ...], path: tuple[str, ...]) -> bool:
    if len(path) > len(trail):
        return False
    return all(want in ("*", name) for want, name in zip(path[::-1], trail[::-1], strict=False))


def _scrubbed(value: Any, everywhere: re.Pattern[str] | None) -> Any:
    if isinstance(value, str):
        text = everywhere.sub(HIDDEN, value) if everywhere else value
        return _TOKEN.sub(HIDDEN, text)
    if isinstance(value, Mapping):
        return {name: _scrubbed(one, everywhere) for name, one in value.items()}
    if isinstance(value, list):
        return [_scrubbed(one, everywhere) for one in value]
    return value
