"""Values for a schema of the description: fitting ones, ones at the edge, and odd ones."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fuzz.known import Known, kind_of
from strait.server.auth import SCOPES
from support.description import description

_DEEPEST = 5
ODD_TEXTS = (
    "", " ", "\0", "a" * 300, "é", "\U0001d54f\u202e", "\ud800",
    "' OR 1=1 --", "{{a.b}}", "../../etc/passwd",
    "%00", "%", "_", "null", "-1", "1e999", "\r\nX-Header: 1", "a\x1fb", "0", "true", "x" * 70_000,
)  # fmt: skip
ODD_NUMBERS = (0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 0.5, 1e308, -0.0, 5.0)
_ODD_URLS = (
    "http://10.0.0.1/", "http://169.254.169.254/", "http://[::ffff:10.0.0.1]/", "ftp://a",
    "http://0x7f.1/", "http://user:pw@127.0.0.1/", "http://[", "https://127.0.0.1:1/",
)  # fmt: skip
_STEPS = ("a", "b", "c", "d")
_CRONS = ("* * * * *", "0 0 29 2 *", "*/5 9-17 * * 1-5", "@hourly", "0 0 31 2 *", "61 * * * *")
_ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Nowhere/Land", "../../etc/passwd")
_EVENTS = ("run.completed", "run.failed", "workflow.failed", "*", "run.*", "approval.requested")
_SECRETS = ("endpoint_signing_secret", "signature_secret", "webhook_secret", "secret",
            "target_api_key")  # fmt: skip


@dataclass
class Place:
    """Whose requests are made, and what they may name.

    Attributes:
        now: the instant that timestamps lie around.
        hushed: the secrets that were sent; none may ever come back, or be found on the disk.
    """

    project_id: str
    org_id: str
    handlers: str
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    hushed: list[str] = field(default_factory=list)

    def hush(self, rng: random.Random) -> str:
        """Return a new secret."""
        secret = f"hush{rng.getrandbits(96):024x}hush"
        self.hushed.append(secret)
        return secret


class Values:
    """Makes values; the same seed and the same answers make the same values."""

    def __init__(self, rng: random.Random, known: Known, place: Place) -> None:
        self._rng = rng
        self._known = known
        self._place = place

    def of(self, schema: dict[str, Any], name: str = "", depth: int = 0) -> Any:
        """Return a value for a schema; one in thirty is odd."""
        rng = self._rng
        schema = resolved(schema)
        if rng.random() < 0.03:
            return self.odd()
        if "anyOf" in schema:
            return self.of(rng.choice(schema["anyOf"]), name, depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return rng.choice(schema["enum"])
        kinds = schema.get("type", "any")
        kind = rng.choice(kinds) if isinstance(kinds, list) else kinds
        if isinstance(kinds, list) and kind == "null" and rng.random() < 0.8:
            kind = kinds[0]
        make = getattr(self, f"_{kind}")
        return make(schema, name, depth)

    def odd(self) -> Any:
        """Return something that hardly any field expects."""
        rng = self._rng
        return rng.choice(
            (
                lambda: rng.choice(ODD_TEXTS),
                lambda: rng.choice(ODD_NUMBERS),
                lambda: None,
                list,
                dict,
                lambda: [rng.choice(ODD_TEXTS)],
                lambda: {rng.choice(ODD_TEXTS): rng.choice(ODD_NUMBERS)},
                lambda: _nested(rng.choice((10, 100, 250))),
                lambda: rng.choice((True, False)),
                lambda: float(rng.choice(("nan", "inf"))),
            )
        )()

    # ------------------------------------------------------------------------------------- types

    def _object(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        if name == "auth_config":
            return {"token": self._place.hush(self._rng)}
        properties, required = schema.get("properties"), schema.get("required", ())
        if properties is None:
            return {self._text(): self._free(depth + 1) for _ in range(self._rng.randrange(3))}
        share = self._rng.choice((0.0, 0.15, 0.4)) if depth < _DEEPEST else 0.0
        return {
            field: self.of(inner, field, depth + 1)
            for field, inner in properties.items()
            if field in required or self._rng.random() < share
        }

    def _array(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        if name == "steps" and self._rng.random() < 0.8:
            return [{**self._step(schema, depth), "step_ref": ref} for ref in self._some(_STEPS)]
        least = schema.get("minItems", 0)
        count = self._rng.randint(least, max(least, min(schema.get("maxItems", 3), 3)))
        return [self.of(schema.get("items", {}), name, depth + 1) for _ in range(count)]

    def _step(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        step = self.of(schema["items"], "step", depth + 1)
        return step if isinstance(step, dict) else {}

    def _string(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        rng = self._rng
        named = self._named(name, schema.get("format", ""))
        if named is not None and rng.random() < 0.95:
            return named
        text = self._text()
        least, most = schema.get("minLength", 0), schema.get("maxLength", 10_000)
        return (text + "x" * (least - len(text)))[:most]

    def _named(self, name: str, form: str) -> str | None:
        rng, place = self._rng, self._place
        match name:
            case "project_id":
                return place.project_id
            case "org_id":
                return place.org_id
            case "scopes" | "permissions":
                return rng.choice(sorted(SCOPES))
            case "step_ref" | "depends_on":
                return rng.choice(_STEPS)
            case "event_types" | "events":
                return rng.choice(_EVENTS)
        if name in _SECRETS:
            return place.hush(rng)
        if form == "uri" or name.endswith("_url") or name == "url":
            return self._url()
        if form in {"date-time", "date"}:
            return self._instant(name)[: 10 if form == "date" else None]
        if "cron" in name:
            return rng.choice(_ZONES if "zone" in name else _CRONS)
        if "timezone" in name:
            return rng.choice(_ZONES)
        return self._known.pick(kind_of(name), rng)

    def _url(self) -> str:
        return self._rng.choice(_ODD_URLS) if self._rng.random() < 0.1 else self._place.handlers

    def _instant(self, name: str) -> str:
        seconds = self._rng.choice((-86_400, -1, 1, 60, 86_400, 40 * 365 * 86_400))
        if name in {"from", "to"} and self._rng.random() < 0.8:
            # A period that has something in it.
            seconds = self._rng.randint(1, 86_400) * (-1 if name == "from" else 1)
        at = self._place.now + timedelta(seconds=seconds)
        return at.isoformat().replace("+00:00", "Z")

    def _integer(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        rng = self._rng
        if rng.random() < 0.05:
            return rng.choice(ODD_NUMBERS)
        low = schema.get("minimum", 0)
        high = schema.get("maximum", low + 100)
        return rng.choice((low, high, rng.randint(int(low), int(max(low, high)))))

    def _number(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        return self._rng.choice((self._rng.random() * 100, self._integer(schema, name, depth)))

    def _boolean(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        return self._rng.random() < 0.5

    def _null(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        return None

    def _any(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        match name:
            case "condition":
                return self._condition(3)
            case "filter_expr":
                return self._filter(3)
            case "payload_schema" | "result_schema" | "schema":
                kind = self._rng.choice(("object", "string", 1))
                return {"type": kind, "required": self._rng.choice((["a"], [["a"]], [{}], "a"))}
            case "config":
                return {"webhook_url": self._url(), "url": self._url(), "email": "a@b.example"}
        return self._free(depth)

    # ------------------------------------------------------------------------------------- parts

    def _condition(self, depth: int) -> Any:
        rng = self._rng
        kind = rng.choice(("step_status", "not", "all_of", "any_of", "eq", "regex", "gt", "exists"))
        if kind == "step_status":
            return {"type": kind, "step_ref": rng.choice(_STEPS), "status": "completed"}
        inner = [self._condition(depth - 1)] if depth else []
        return {
            "type": kind, "conditions": inner, "condition": inner[0] if inner else None,
            "left": self._free(4), "right": rng.choice(("(a+)+$", "[", "a{9999}", 1)),
        }  # fmt: skip

    def _filter(self, depth: int) -> Any:
        rng = self._rng
        op = rng.choice(("eq", "ne", "gt", "in", "contains", "regex", "exists", "and", "or", "not"))
        return {
            "op": op, "field": rng.choice(("a", "a.b", "", "a..b")), "path": "a.b",
            "value": self._free(3), "operator": op,
            "conditions": [self._filter(depth - 1)] if depth else [],
        }  # fmt: skip

    def _free(self, depth: int) -> Any:
        rng = self._rng
        if depth >= _DEEPEST:
            return rng.choice((1, "x", None, True, 2.5))
        return rng.choice(
            (
                lambda: {"a": {"b": self._free(depth + 1)}, self._text(): self._free(depth + 1)},
                lambda: [self._free(depth + 1)],
                self._text,
                lambda: rng.choice(ODD_NUMBERS),
                lambda: "{{a.b}} and {{c}}",
                lambda: None,
            )
        )()

    def _text(self) -> str:
        rng = self._rng
        if rng.random() < 0.05:
            return rng.choice(ODD_TEXTS)
        return rng.choice(("alpha", "beta", "gamma", f"t{rng.randrange(10_000)}", "a-b", "A b"))

    def _some(self, values: tuple[str, ...]) -> list[str]:
        return list(values[: self._rng.randint(1, len(values))])


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Follow the references of a schema."""
    while "$ref" in schema:
        target: Any = description()
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    return schema


def _nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value
