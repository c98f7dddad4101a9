"""Requests for every operation of the description: fitting ones, broken ones, forged ones."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
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
# What needs a thing in a state is late for it more often than not.
_FITS = 3
_STARTS = {
    "create-job": 12,
    "create-workflow": 12,
    "dispatch-event": 4,
    "diff-workflow-versions": 4,
    "list-workflow-step-runs": 8,
    "list-workflow-versions": 4,
    "subscribe-to-event-source": 4,
    "trigger-job": 40,
    "trigger-workflow": 24,
    "update-workflow": 4,
}
# What an operation needs the thing to be in that its path names.
_DEAD, _GIVEN_UP, _BROKEN = ("dead_letter",), ("dead", "failed"), ("failed", "timed_out")
_STATES: dict[str, tuple[str, ...]] = {
    "admin-purge-dlq": _DEAD,
    "admin-purge-outbox": _GIVEN_UP,
    "admin-replay-dlq": _DEAD,
    "admin-retry-outbox": _GIVEN_UP,
    "admin-unmask-dlq": _DEAD,
    "approve-workflow-step": ("waiting",),
    "cancel-run": ("executing", "queued", "delayed"),
    "cancel-workflow-run": ("running", "paused"),
    "compensate-workflow-run": _BROKEN,
    "force-complete-workflow-step": ("waiting", "pending"),
    "get-canary-status": ("active",),
    "get-compensation-plan": _BROKEN,
    "pause-run": ("executing", "queued"),
    "reject-workflow-step": ("waiting",),
    "replay-dead-letter-run": _DEAD,
    "reschedule-run": ("delayed",),
    "resume-run": ("paused",),
    "resume-workflow-run": ("paused",),
    "restart-run": ("executing",),
    "retry-webhook-delivery": _GIVEN_UP,
    "retry-webhook-delivery-legacy": _GIVEN_UP,
    "rollback-canary-deployment": ("active",),
    "skip-workflow-step": ("waiting", "pending"),
    "update-canary-deployment": ("active",),
}
# Who operates the server may do these, and no key of a project.
_OPERATORS = {"upsert-workflow-policy"}


@dataclass(frozen=True)
class Request:
    """One request, and what its answer must be.

    Attributes:
        refused: why no success may answer it, or "".
        unauthorized: it has no valid credentials, so that it must be told so.
        placed: what its path names, as kinds and texts.
    """

    route: Route
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    refused: str = ""
    unauthorized: bool = False
    placed: tuple[tuple[str, str], ...] = ()

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
    # A key for all projects of the organization.
    organization_key: str = ""


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
        placed = self._placed(route, run_id)
        path = _path(route, [text for _, text in placed])
        query = self._query(operation)
        body, refused = self._body(operation, headers)
        if route.idempotent and rng.random() < 0.2:
            headers["Idempotency-Key"] = rng.choice(("k1", "k2", "k3", "k" * 300))
        return Request(route, path, query, headers, body, refused, unauthorized, tuple(placed))

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
        if chance < 0.1 or route.auth == "internal" or route.id in _OPERATORS:
            headers = {"X-Internal-Secret": caller.internal_secret}
            if rng.random() < 0.8:
                headers["X-Project-Id"] = caller.place.project_id
            if rng.random() < 0.3:
                headers["X-Actor-Id"] = rng.choice(("user_1", "user_2"))
            return headers, "", False
        key = caller.organization_key if "{orgID}" in route.path else caller.key
        return {"Authorization": f"Bearer {key}"}, "", False

    def _placed(self, route: Route, run_id: str) -> list[tuple[str, str]]:
        """Return what the path of a request names: the last thing, and before it where it is."""
        kinds = _kinds(route)
        if not kinds:
            return []
        known, rng = self._caller.known, self._rng
        *outer, last = kinds
        thing = known.find(last, rng, _STATES.get(route.id, ()), outer)
        around = dict(thing.around) if thing else {}
        placed = []
        for kind in outer:
            fitting = around.get(kind)
            if thing and kind == last:
                fitting = known.sibling(kind, thing, rng)
            placed.append((kind, self._identifier(kind, fitting)))
        placed.append((last, self._identifier(last, thing.text if thing else None)))
        if run_id and kinds[0] == "run":
            placed[0] = ("run", run_id)
        return placed

    def _identifier(self, kind: str, fitting: str | None) -> str:
        rng, place = self._rng, self._caller.place
        if rng.random() < 0.06:
            return rng.choice(ODD_TEXTS)[:500]
        if kind == "project":
            return place.project_id
        if kind == "org":
            return place.org_id
        return fitting or self._caller.known.pick(kind, rng) or f"{kind}-{rng.randrange(3)}"

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


def _kinds(route: Route) -> list[str]:
    """Return the kinds of what a path names, in their order."""
    return [
        COLLECTIONS.get(before, kind_of(segment[1:-1]))
        for before, segment in pairwise(route.path.split("/"))
        if segment.startswith("{")
    ]


def _path(route: Route, texts: list[str]) -> str:
    left = iter(texts)
    return "/".join(
        quote(next(left), safe="", errors="surrogatepass") or "x" if part.startswith("{") else part
        for part in route.path.split("/")
    )


def _weight(operation: str) -> int:
    if operation in _STATES:
        return _FITS
    makes = _MAKES if operation.startswith(("create-", "sdk-")) else 1
    return _STARTS.get(operation, makes)
