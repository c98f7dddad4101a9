"""The operations of the API by every name that a test may use, and requests held against them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import TypeAlias

from strait.client._generated.attributes import SyncServices
from strait.client.operation import Operation, StreamOperation
from strait.server._generated.routes import ROUTES
from strait.server.decode import decode_body, decode_query
from strait.server.errors import ApiError
from strait.server.router import MethodNotAllowed, Router
from strait.server.schema import Route

# The id of the operation, the parameters of the path, and what is wrong with the request.
Read: TypeAlias = tuple[str, dict[str, str], str]
_CREDENTIALS = ("authorization", "x-internal-secret")
# Methods that are made of calls of others, and the one whose answer they begin or end with.
_SENDS = {"start": "trigger", "trigger_and_wait": "trigger", "wait": "get", "handle": "get"}
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
        found = getattr(_service(service), _SENDS.get(method, method), None)
        if not inspect.isfunction(found):
            return ""
        module = inspect.getmodule(found)
        # What is generated beside the class: each method names its operation, and those that
        # answer in several formats have one for each, with one id.
        constants = (getattr(module, name, None) for name in found.__code__.co_names)
        ids = (one.id for one in constants if isinstance(one, Operation | StreamOperation))
        # A few methods are there only to say that no platform has them; they send nothing.
        return next((one for one in ids if one in self._by_id), "")


def _service(name: str) -> object:
    """Return the class of a service by its attribute of the client; None if there is none."""
    attribute = getattr(SyncServices, name, None)
    if attribute is None:
        return None
    module = import_module(f"strait.services.{name}")
    return getattr(module, attribute.func.__annotations__["return"], None)


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
