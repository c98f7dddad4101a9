"""Requests for every operation of the description: fitting ones, broken ones, forged ones."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from fuzz.known import COLLECTIONS, Known, kind_of
from fuzz.sound import body as sound_body
from fuzz.values import ODD_TEXTS, Place, Values, resolved
from strait.server._generated.routes import ROUTES
from strait.server.schema import Route
from support.description import description

_RAW_BODIES = (b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"{\"a\":1,}", b"NaN",
               b"[" * 5_000, b"{}{}", b'{"name":"\\ud800"}', b'{"a":1e999}',
               b'{"name":1,"name":"b"}')  # fmt: skip
# So often is something made, compared with everything else: what is there is deleted, too.
_MAKES = 4
_STARTS = {"create-job": 12, "create-workflow": 12, "trigger-job": 40, "trigger-workflow": 24}


@dataclass(frozen=True)
class Request:
    """One request, and what its answer must be.

    Attributes:
        refused: why no success may answer it, or "".
        unauthorized: it has no valid credentials, so that it must be told so.
    """

    route: Route
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    refused: str = ""
    unauthorized: bool = False

    def __str__(self) -> str:
        body = "" if self.body is None else f" {self.body[:300]!r}"
        query = f"?{self.query}" if self.query else ""
        return f"{self.route.method} {self.path}{query}{body}"


@dataclass
class Caller:
    """Who asks, with what it knows."""

    place: Place
    key: str
    known: Known
    internal_secret: str
    # The runs whose handlers are being called, and their tokens.
    executing: Sequence[tuple[str, str]]


class Requests:
    """Makes requests of a caller."""

    def __init__(self, rng: random.Random, caller: Caller) -> None:
        self._rng = rng
        self._caller = caller
        self._values = Values(rng, caller.known, caller.place)
        self._routes = [route for route in ROUTES if route.method for _ in range(_weight(route.id))]

    def next(self) -> Request:
        """Return the next request."""
        rng, route = self._rng, self._rng.choice(self._routes)
        operation = description()["paths"][route.path][route.method.lower()]
        headers, run_id, unauthorized = self._credentials(route)
        path = self._path(route, run_id)
        query = self._query(operation)
        body, refused = self._body(operation, headers)
        if route.idempotent and rng.random() < 0.2:
            headers["Idempotency-Key"] = rng.choice(("k1", "k2", "k3", "k" * 300))
        return Request(route, path, query, headers, body, refused, unauthorized)

    def _credentials(self, route: Route) -> tuple[dict[str, str], str, bool]:
        rng, caller = self._rng, self._caller
        if route.auth == "run_token":
            if not caller.executing or rng.random() < 0.05:
                return {"Authorization": "Bearer ey.ey.ey"}, "", True
            run_id, token = rng.choice(caller.executing)
            return {"Authorization": f"Bearer {token}"}, run_id, False
        needs = route.auth not in {"none", "signature"}
        chance = rng.random()
        if chance < 0.03:
            wrong: dict[str, str] = rng.choice(
                (
                    {},
                    {"Authorization": "Bearer strait_" + "0" * 64},
                    {"Authorization": "Basic YTpi"},
                    {"X-Internal-Secret": "wrong"},
                    {"Authorization": "Bearer \xff"},
                )
            )
            return wrong, "", needs
        if chance < 0.1 or route.auth == "internal":
            headers = {"X-Internal-Secret": caller.internal_secret}
            if rng.random() < 0.8:
                headers["X-Project-Id"] = caller.place.project_id
            if rng.random() < 0.3:
                headers["X-Actor-Id"] = rng.choice(("user_1", "user_2"))
            return headers, "", False
        return {"Authorization": f"Bearer {caller.key}"}, "", False

    def _path(self, route: Route, run_id: str) -> str:
        parts: list[str] = []
        for segment in route.path.split("/"):
            if not segment.startswith("{"):
                parts.append(segment)
                continue
            kind = kind_of(segment[1:-1])
            kind = COLLECTIONS.get(parts[-1], kind) if kind == "id" else kind
            if run_id and kind == "run":
                text, run_id = run_id, ""
            else:
                text = self._identifier(kind)
            parts.append(quote(text, safe="", errors="surrogatepass") or "x")
        return "/".join(parts)

    def _identifier(self, kind: str) -> str:
        rng, place = self._rng, self._caller.place
        if rng.random() < 0.06:
            return rng.choice(ODD_TEXTS)[:500]
        if kind == "project":
            return place.project_id
        if kind == "org":
            return place.org_id
        found = self._caller.known.pick(kind, rng)
        return found or f"{kind}-{rng.randrange(3)}"

    def _query(self, operation: dict[str, Any]) -> str:
        parts = []
        for parameter in operation.get("parameters", ()):
            spec = resolved(parameter)
            if spec["in"] != "query":
                continue
            if not spec.get("required") and self._rng.random() < 0.6:
                continue
            value = self._values.of(spec["schema"], spec["name"])
            if spec["name"] == "cursor" and self._rng.random() < 0.5:
                value = self._caller.known.pick("next_cursor", self._rng) or value
            text = json.dumps(value) if not isinstance(value, str) else value
            parts.append(f"{spec['name']}={quote(text[:500], errors='surrogatepass')}")
        return "&".join(parts)

    def _body(self, operation: dict[str, Any], headers: dict[str, str]) -> tuple[bytes | None, str]:
        rng = self._rng
        content = operation.get("requestBody", {}).get("content", {})
        if not content:
            return (b'{"x":1}' if rng.random() < 0.02 else None), ""
        headers["Content-Type"] = (
            rng.choice(("text/xml", "")) if rng.random() < 0.01 else ("application/json")
        )
        if rng.random() < 0.04:
            return rng.choice(_RAW_BODIES), ""
        schema = resolved(content["application/json"]["schema"])
        value = self._value(operation["operationId"], schema)
        refused = self._break(schema, value) if rng.random() < 0.1 else ""
        return json.dumps(value, ensure_ascii=rng.random() < 0.9).encode(
            errors="surrogatepass"
        ), refused

    def _value(self, operation: str, schema: dict[str, Any]) -> Any:
        caller = self._caller
        if self._rng.random() < 0.6:
            sound = sound_body(operation, self._rng, caller.known, caller.place)
            if sound is not None:
                return sound
        return self._values.of(schema)

    def _break(self, schema: dict[str, Any], body: Any) -> str:
        """Give a field a value of a type that it cannot have, and say which."""
        properties = schema.get("properties")
        if not properties or not isinstance(body, dict):
            return ""
        name = self._rng.choice(sorted(properties))
        kinds = resolved(properties[name]).get("type", ())
        wrong: dict[str, Any] = {
            "string": {"not": "text"}, "integer": "x", "number": "x", "boolean": "x",
            "array": "x", "object": "x",
        }  # fmt: skip
        kind = kinds[0] if isinstance(kinds, list) else kinds
        if kind not in wrong or ("object" in kinds and kind == "string"):
            return ""
        body[name] = wrong[kind]
        return f"`{name}` is no {kind}"


def _weight(operation: str) -> int:
    makes = _MAKES if operation.startswith(("create-", "sdk-")) else 1
    return _STARTS.get(operation, makes)
