"""Prints `strait.services`, each service twice, and the attributes of the clients."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.ir import Api, Field, Free, Nullable, Object, Operation, Ref, Type
from codegen.models import argument, safe
from codegen.outcomes import Outcome, outcomes
from codegen.reach import direct, modules, outputs, parameters
from codegen.text import docstring
from codegen.waits import imports, model, of_runs, of_start, tracked_constant

_PUBLISHED = (
    "health",
    "jobs",
    "runs",
    "workflows",
    "workflow_runs",
    "deployments",
    "environments",
    "secrets",
    "api_keys",
    "webhooks",
    "event_triggers",
    "event_sources",
    "batch_operations",
    "stats",
    "analytics",
    "log_drains",
    "sdk_runs",
    "rbac",
    "job_groups",
    "notification_channels",
    "projects",
    "organizations",
    "regions",
    "cli_auth",
    "billing",
)
_CLASSES = {404: "NotFoundError", 409: "ConflictError", 429: "RateLimitedError"}


@dataclass(frozen=True, slots=True)
class Method:
    """A method that is to be printed."""

    op: Operation
    outcomes: list[Outcome]
    fields: tuple[Field, ...]
    is_async: bool
    objects: frozenset[str]

    @property
    def has_page(self) -> bool:
        """Whether a page or stream is returned, which nobody has to await."""
        return any(outcome.kind in {"page", "stream"} for outcome in self.outcomes)


def modules_of_services(api: Api) -> dict[str, str]:
    """Return the source of each module of `strait.services` by its name."""
    found = {service: _module(service, api) for service in api.services}
    found["__init__"] = '"""The operations of the API, a module for each part of it."""'
    return found


def published_paths(api: Api) -> dict[str, str]:
    """Return the modules of `strait.operations`: where published clients had the services."""
    found = {
        "__init__": '"""The services, at the import paths of 0.1.1; `strait.services` has them."""'
    }
    for service in _PUBLISHED:
        cls = api.services[service]
        names = f"Async{cls}, {cls}"
        found[service] = "\n".join(
            [
                f'"""`{cls}` at its import path of 0.1.1."""',
                f"from strait.services.{service} import {names}",
                f"__all__ = {sorted([f'Async{cls}', cls])!r}",
            ]
        )
    return found


def attributes(api: Api) -> str:
    """Return `strait.client._generated.attributes`: services, imported at their first use."""
    lines = [
        '"""The services as attributes of the clients, each imported when it is first used."""',
        "from __future__ import annotations",
        "from functools import cached_property",
        "from importlib import import_module",
        "from typing import TYPE_CHECKING",
        "if TYPE_CHECKING:",
        "    from strait.client.aio_calls import AsyncCaller",
        "    from strait.client.sync_calls import SyncCaller",
        *(
            f"    from strait.services.{service} import Async{cls}, {cls}"
            for service, cls in sorted(api.services.items())
        ),
    ]
    for mixin, caller, prefix in (
        ("SyncServices", "SyncCaller", ""),
        ("AsyncServices", "AsyncCaller", "Async"),
    ):
        lines += [
            f"class {mixin}:",
            f'    """What `{prefix}Client` offers: an attribute for each part of the API."""',
            f"    _caller: {caller}",
        ]
        for service, cls in api.services.items():
            lines += [
                "    @cached_property",
                f"    def {service}(self) -> {prefix}{cls}:",
                f'        """{api.tags[service]}"""',
                f'        module = import_module("strait.services.{service}")',
                f"        service: {prefix}{cls} = module.{prefix}{cls}(self._caller)",
                "        return service",
            ]
    return "\n".join(lines)


def _module(service: str, api: Api) -> str:
    operations = api.of_service(service)
    places = modules(api)
    needed = {name for op in operations for name in [*outputs(op), *parameters(op, api)]}
    envelopes = {
        answer.type.name
        for op in operations
        for answer in op.answers
        if isinstance(answer.type, Ref) and not op.result
    }
    models = sorted(name for name in needed | envelopes if name in places)
    params = sorted(
        {op.body.name for op in operations if isinstance(op.body, Ref)}
        | {n for op in operations for n in _request_objects(op, api)}
    )
    cls = api.services[service]
    lines = [
        f'"""{api.tags[service]}"""',
        "from __future__ import annotations",
        "from collections.abc import Awaitable, Mapping, Sequence",
        "from datetime import datetime",
        "from typing import TYPE_CHECKING, Any, Literal, Unpack, overload",
        "from strait.client import notices, results",
        (
            "from strait.client.operation import "
            "Operation, RequestOptions, StreamOperation, StreamOptions"
        ),
        "from strait.client.unset import UNSET",
        "from strait.services.base import AsyncService, SyncService",
        *imports(service, operations, api),
        *(f"from strait.models.{places[name]} import {name}" for name in models),
        *(f"from strait.models.{places[name]} import {name}" for name in _runs(operations, api)),
        "if TYPE_CHECKING:",
        "    from strait.client.aio_calls import AsyncEventStream",
        "    from strait.client.handles import AsyncRunHandle, RunHandle",
        "    from strait.client.pages import AsyncPager, Page",
        "    from strait.client.shapes import raw, raw_async, streamed, streamed_async",
        "    from strait.client.sync_calls import EventStream",
        "    from strait.errors import Json",
        "    from strait.models.base import StraitModel",
        *(f"    from strait.models.params import {name}" for name in params),
    ]
    for op in operations:
        lines += _constants(op, outcomes(op, api), api)
    lines += tracked_constant(service, api)
    for is_async in (False, True):
        lines += _class(operations, cls, api, is_async=is_async)
    lines.append("if TYPE_CHECKING:")
    for is_async in (False, True):
        lines += [f"    {line}" for line in _shapes(operations, cls, api, is_async=is_async)]
    return "\n".join(lines)


def _runs(operations: list[Operation], api: Api) -> list[str]:
    """Return the models of the runs that these operations start."""
    return [model(api.tracked[op.starts], api) for op in operations if op.starts]


def _shapes(operations: list[Operation], cls: str, api: Api, *, is_async: bool) -> list[str]:
    """Return the classes that say what the methods return as whole and as streamed answers."""
    prefix, suffix = ("Async", "_async") if is_async else ("", "")
    lines = []
    for name, shape in (("Raw", f"raw{suffix}"), ("Streamed", f"streamed{suffix}")):
        lines += [
            f"class {prefix}{name}{cls}:",
            f'    """The methods of `{prefix}{cls}`, whose results are {name.lower()} answers."""',
        ]
        for op in operations:
            if all(outcome.kind != "stream" for outcome in outcomes(op, api)):
                names = (op.name, *op.aliases)
                lines += [f"    {known} = {shape}({prefix}{cls}.{op.name})" for known in names]
        if lines[-1].endswith('"""'):
            lines.append("    pass")
    return lines


def _request_objects(op: Operation, api: Api) -> list[str]:
    if not isinstance(op.body, Ref):
        return []
    return [n for n in direct(api, op.body.name) if isinstance(api.schemas[n], Object)]


def _constant(op: Operation, outcome: Outcome) -> str:
    suffix = f"_{outcome.formats[0].upper()}" if outcome.formats else ""
    return f"_{op.name.upper()}{suffix}"


def _constants(op: Operation, found: list[Outcome], api: Api) -> list[str]:
    body = api.schemas[op.body.name] if isinstance(op.body, Ref) else None
    fields = body.fields if isinstance(body, Object) else ()
    nullable = sorted(part.wire for part in fields if isinstance(part.type, Free))
    comma = sorted(query.name for query in op.query if query.style == "comma")
    lines = []
    for outcome in found:
        is_stream = outcome.kind == "stream"
        parts = {
            "id": repr(op.id if op.platform else f"{op.service}.{op.name}"),
            "name": repr(f"{op.service}.{op.name}"),
            "method": None if is_stream else repr(op.method),
            "path": repr(_path(op)),
            "decode": outcome.decode,
            "arguments": repr(tuple(a.python for a in op.arguments)) if op.arguments else None,
            "idempotent": "True" if op.idempotent else None,
            "repeatable": "True" if op.repeatable else None,
            "settled": str(op.settled) if op.settled else None,
            "nullable": f"frozenset({nullable!r})" if nullable else None,
            "comma": f"frozenset({comma!r})" if comma else None,
            "missing": None if op.platform else repr(op.instead),
            "accept": '"*/*"' if outcome.type in {"str", "bytes"} else None,
        }
        if op.stream is not None and is_stream:
            parts["ends_field"] = repr(op.stream.ends_field) if op.stream.ends_field else None
            ends = sorted(op.stream.ends_values)
            parts["ends_values"] = f"frozenset({ends!r})" if ends else None
            parts["reopens"] = None if op.stream.reopens else "False"
            parts["accept"] = None
        arguments = ", ".join(f"{key}={value}" for key, value in parts.items() if value)
        cls = "StreamOperation" if is_stream else "Operation"
        # What is plain JSON has a type only because we say so.
        kind = f": {cls}[{outcome.type}]" if "json_value" in outcome.decode else ""
        lines.append(f"{_constant(op, outcome)}{kind} = {cls}({arguments})")
    return lines


def _path(op: Operation) -> tuple[str, ...]:
    rest, parts = op.path, []
    for part in op.arguments:
        head, rest = rest.split("{" + part.wire + "}", 1)
        parts.append(head)
    return (*parts, rest)


def _class(operations: list[Operation], cls: str, api: Api, *, is_async: bool) -> list[str]:
    service = operations[0].service
    prefix = "Async" if is_async else ""
    base = "AsyncService" if is_async else "SyncService"
    lines = [
        f"class {prefix}{cls}({base}):",
        f'    """`{prefix}Client.{service}`: {_lowered(api.tags[service])}"""',
        "    __slots__ = ()",
        "    if TYPE_CHECKING:",
        *(
            f"        @property\n        def with_{word}_response(self) -> {prefix}{name}{cls}:\n"
            f'            """{text}"""\n            ...'
            for word, name, text in (
                ("raw", "Raw", "The same methods, whose results are whole answers."),
                ("streaming", "Streamed", "The same methods, whose answers are read bit by bit."),
            )
        ),
    ]
    for op in operations:
        body = api.schemas[op.body.name] if isinstance(op.body, Ref) else None
        method = Method(
            op,
            outcomes(op, api),
            body.fields if isinstance(body, Object) else (),
            is_async,
            frozenset(n for n, schema in api.schemas.items() if isinstance(schema, Object)),
        )
        lines += [f"    {line}" for line in _method(method)]
        lines += [f"    {alias} = {op.name}" for alias in op.aliases]
        names = [safe(part.wire) for part in method.fields]
        started = of_start(op, names, _parameters(method), api, is_async=is_async)
        lines += [f"    {line}" for line in started]
    lines += [f"    {line}" for line in of_runs(service, api, is_async=is_async)]
    return lines


def _lowered(text: str) -> str:
    return text if text[:2].isupper() else text[0].lower() + text[1:]


def _method(method: Method) -> list[str]:
    op, found = method.op, method.outcomes
    lines = []
    if len(found) > 1:
        for number, outcome in enumerate(found):
            options = ", ".join(repr(value) for value in outcome.formats)
            chosen = f"format: Literal[{options}]" + (" = ..." if number == 0 else "")
            lines += ["@overload", f"{_head(method, _returned(method, outcome), chosen)} ..."]
    returns = " | ".join(dict.fromkeys(_returned(method, outcome) for outcome in found))
    lines.append(_head(method, returns))
    lines += [f"    {line}" for line in docstring(_documentation(op))]
    if op.unread:
        name = f"{op.service}.{op.name}"
        lines.append(f"    notices.unread({name!r}, {op.unread!r}, {op.unread})")
    *others, last = reversed(found)
    for outcome in others:
        options = ", ".join(repr(value) for value in outcome.formats)
        lines += [f"    if format in {{{options}}}:", f"        {_return(method, outcome)}"]
    if op.until:
        lines += ["    if until is not None:", f"        {_return(method, last, until=True)}"]
    return [*lines, f"    {_return(method, last)}"]


def _head(method: Method, returns: str, chosen: str = "") -> str:
    kind = "StreamOptions" if method.outcomes[-1].kind == "stream" else "RequestOptions"
    parts = [*_parameters(method, chosen), f"**options: Unpack[{kind}]"]
    awaited = method.is_async and not method.has_page
    name = method.op.name
    return f"{'async ' if awaited else ''}def {name}({', '.join(parts)}) -> {returns}:"


def _parameters(method: Method, chosen: str = "") -> list[str]:
    op = method.op
    parts = ["self", *(f"{part.python}: str" for part in op.arguments)]
    if op.body is not None:
        name = f"{op.body.name} | " if isinstance(op.body, Ref) else ""
        parts.append(f"body: {name}Mapping[str, Any] | StraitModel | None = None")
    elif op.unread == "body":
        parts.append("body: Mapping[str, Any] | None = None")
    keywords = [_keyword(part.wire, part.type, method) for part in method.fields]
    for query in op.query:
        plain = _keyword(query.name, query.type, method)
        keywords.append(chosen if chosen and query.name == "format" else plain)
    if op.query or op.unread == "query":
        keywords.append("query: Mapping[str, Any] | None = None")
    if op.until:
        keywords.append("until: float | None = None")
    return [*parts, "*", *keywords] if keywords else parts


def _keyword(wire: str, kind: Type, method: Method) -> str:
    if isinstance(kind, Free):
        return f"{safe(wire)}: Any = UNSET"
    text = argument(kind)
    inner = kind.type if isinstance(kind, Nullable) else kind
    if isinstance(inner, Ref) and inner.name in method.objects:
        text += " | Mapping[str, Any]"
    return f"{safe(wire)}: {text} | None = None"


def _returned(method: Method, outcome: Outcome) -> str:
    if outcome.kind == "page":
        return f"AsyncPager[{outcome.type}]" if method.is_async else f"Page[{outcome.type}]"
    if outcome.kind == "stream":
        return f"{'Async' if method.is_async else ''}EventStream[{outcome.type}]"
    if method.is_async and method.has_page:
        return f"Awaitable[{outcome.type}]"
    return outcome.type


def _return(method: Method, outcome: Outcome, *, until: bool = False) -> str:
    op = method.op
    verb = {"page": "page", "stream": "stream"}.get(outcome.kind, "until" if until else "call")
    arguments = [_constant(op, outcome), "options"]
    if op.arguments:
        names = "".join(f"{part.python}, " for part in op.arguments)
        arguments.append(f"({names})")
    if until:
        arguments.append("until")
    if op.query:
        pairs = ", ".join(f"{q.name!r}: {safe(q.name)}" for q in op.query)
        arguments.append(f"query=results.query(query, {{{pairs}}})")
    if op.body is not None:
        arguments.append("body=body")
    if method.fields:
        pairs = ", ".join(f"{part.wire!r}: {safe(part.wire)}" for part in method.fields)
        arguments.append(f"fields={{{pairs}}}")
    if outcome.kind == "page" and outcome.place != "cursor":
        arguments.append(f"place={outcome.place!r}")
    awaited = "await " if method.is_async and not method.has_page else ""
    return f"return {awaited}self._caller.{verb}({', '.join(arguments)})"


def _documentation(op: Operation) -> list[str]:
    """Return the paragraphs of a docstring: what it does, where, for whom, and how it fails."""
    facts = [f"`{op.method} {op.path}`"]
    if op.permission:
        either = op.permission.replace("|", "` or `").replace("&", "` and `")
        facts.append(f"scope `{either}`")
    if op.auth in {"run_token", "internal"}:
        facts.append({"run_token": "run token", "internal": "internal secret"}[op.auth])
    if op.idempotent:
        facts.append("idempotency key")
    if op.edition:
        facts.append(f"{op.edition} edition")
    paragraphs = [op.summary, ", ".join(facts) + "."]
    if op.description:
        paragraphs.append(op.description)
    if not op.platform:
        paragraphs.append(f"Raises `UnsupportedByPlatform`: {op.instead}.")
    elif op.instead:
        paragraphs.append(f"{op.instead[0].upper()}{op.instead[1:]}.")
    if op.unread:
        paragraphs.append(f"`{op.unread}` is deprecated: no platform reads it.")
    if op.until:
        paragraphs.append(
            "With `until` it is sent again and again for that many seconds, as long as the "
            "platform answers that nobody waits for it yet."
        )
    failures = [str(status) for status in op.errors if status < 500 and status not in (401, 403)]
    if failures and op.platform:
        told = [f"{s} `{_CLASSES[int(s)]}`" if int(s) in _CLASSES else s for s in failures]
        paragraphs.append(f"Fails with {', '.join(told)}.")
    return paragraphs
