"""The operations of the API by every name that a test may use, and requests held against them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TypeAlias

from strait.server._generated.routes import ROUTES
from strait.server.decode import decode_body, decode_query
from strait.server.errors import ApiError
from strait.server.router import MethodNotAllowed, Router
from strait.server.schema import Route

# The id of the operation, the parameters of the path, and what is wrong with the request.
Read: TypeAlias = tuple[str, dict[str, str], str]
_CREDENTIALS = ("authorization", "x-internal-secret")
_NO_CREDENTIAL = frozenset({"none", "signature"})


class Operations:
    """Every operation of the description."""

    def __init__(self) -> None:
        self._router = Router(ROUTES)
        self._by_id = {route.id: route for route in ROUTES}

    def id_of(self, name: str) -> str:
        """Return the id of what is named by id, by `service.method` or by `VERB /path`, or ""."""
        if name in self._by_id:
            return name
        if " " in name:
            return self._by_address(name)
        return self._by_method(name)

    def success(self, operation: str) -> int:
        """Return the status that an operation succeeds with."""
        return next(iter(self._by_id[operation].success), 200)

    def read(self, method: str, target: bytes, headers: Mapping[str, str], body: bytes) -> Read:
        """Hold a request against the description."""
        path, _, query = target.partition(b"?")
        try:
            match = self._router.match(method, path.decode("latin-1"))
        except MethodNotAllowed:
            return "", {}, f"the API has this path, but not with {method}"
        if match is None:
            return "", {}, "the API has no such operation"
        route, params = match
        return route.id, params, _fault(route, query, headers, body)

    def _by_address(self, name: str) -> str:
        method, _, path = name.partition(" ")
        try:
            match = self._router.match(method.upper(), path.strip())
        except MethodNotAllowed:
            return ""
        return match[0].id if match else ""

    def _by_method(self, name: str) -> str:
        service, _, method = name.partition(".")
        try:
            module = import_module(f"strait.services.{service}")
        except (ModuleNotFoundError, ValueError):
            return ""
        # What is generated for each method, beside the class that has it.
        operation = getattr(module, f"_{method.upper()}", None)
        return str(getattr(operation, "id", ""))


def _fault(route: Route, query: bytes, headers: Mapping[str, str], body: bytes) -> str:
    """Say what the platform would refuse a request for; nothing if it would not."""
    if route.instead and not route.platform:
        return f"no platform has this operation: {route.instead}"
    named = {name.lower() for name in headers}
    if route.auth not in _NO_CREDENTIAL and not named.intersection(_CREDENTIALS):
        return "the request has no credential"
    try:
        decode_query(route, query)
        if route.body is not None:
            decode_body(route, body)
    except ApiError as error:
        return "; ".join([error.message, *error.details])
    return ""
