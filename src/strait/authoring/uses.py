"""What definitions use, in the vocabulary of `strait/compatibility.toml`, and where.

Options are read from the definitions; what handlers call is read from their files, without running
them: calls of their context (also in functions of the same file that get it), and calls of a
client, which are any `….jobs.trigger(…)`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from strait.authoring.definitions import Definition
from strait.authoring.jobs import JobDefinition
from strait.authoring.shapes import SHAPES
from strait.authoring.sources import (
    Place,
    function_at,
    option_place,
    parsed,
    step_place,
)
from strait.authoring.steps import Step
from strait.authoring.workflows import WorkflowDefinition

Use = tuple[str, Place, str]
"""What is used, where, and by which definition (empty for a call of a client)."""
_PARENT_OUTPUTS = "parent_outputs"
_EMPTY: tuple[object, ...] = (None, "", [], {}, 0, False)


def uses(definitions: Iterable[Definition]) -> Iterator[Use]:
    """Return every use of everything in definitions and in the files that they are in."""
    paths: dict[str, None] = {}
    for definition in definitions:
        paths[definition.place.path] = None
        if isinstance(definition, JobDefinition):
            for place in _handlers(definition):
                paths[place.path] = None
                for used, where in _calls_of_context(place):
                    yield used, where, str(definition)
            yield from _options("job", definition, definition.options)
        elif isinstance(definition, WorkflowDefinition):
            yield from _options("workflow", definition, definition.options)
            yield from _steps(definition)
    for path in paths:
        for used, where in _calls_of_client(path):
            yield used, where, ""


# --------------------------------------------------------------------------------------- options


def _options(kind: str, definition: Definition, options: Any) -> Iterator[Use]:
    for name in (field.name for field in fields(options)):
        value = getattr(options, name)
        if value in _EMPTY:
            continue
        place = option_place(definition.place, name)
        for used in _spelled(f"{kind}.{name}", value):
            yield used, place, str(definition)


def _steps(workflow: WorkflowDefinition[Any]) -> Iterator[Use]:
    for step in workflow.steps:
        owner = f"{workflow}, step {step.step_ref()!r}"
        kind_place = step_place(workflow.place, step.step_ref())
        yield f"step.type={step.type().value}", kind_place, owner
        for name, value in _given(step):
            place = step_place(workflow.place, step.step_ref(), name)
            for used in _spelled(f"step.{name}", value):
                yield used, place, owner
    for name, shape in SHAPES.items():
        for ref in shape(workflow.steps):
            place = step_place(workflow.place, ref)
            yield f"shape.{name}", place, f"{workflow}, step {ref!r}"


def _given(step: Step) -> Iterator[tuple[str, object]]:
    options = step.base_options()
    for owner in (step, options):
        if not is_dataclass(owner):
            continue  # a step of the user's own class
        for name in (field.name for field in fields(owner)):
            value = getattr(owner, name)
            if value is not options and value not in _EMPTY:
                yield name, value


def _spelled(name: str, value: object) -> Iterator[str]:
    yield name
    if isinstance(value, str):
        yield f"{name}={value}"


# -------------------------------------------------------------------------------------- handlers


def _handlers(job: JobDefinition[Any]) -> Iterator[Place]:
    """Return the functions of a job; of an agent, what it wraps."""
    options = job.options
    for handler in (options.run, options.on_start, options.on_success, options.on_failure):
        function = _unwrapped(handler)
        code = getattr(function, "__code__", None)
        if code is not None:
            yield Place(code.co_filename, code.co_firstlineno)


def _unwrapped(handler: Callable[..., Any] | None) -> object:
    function: Any = getattr(handler, "__func__", handler)
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    if function is not None and not hasattr(function, "__code__"):
        function = vars(type(function)).get("__call__")  # an object that can be called
    return function


def _calls_of_context(place: Place) -> Iterator[tuple[str, Place]]:
    function = function_at(place)
    if function is None:
        return
    arguments = [argument.arg for argument in function.args.args]
    if len(arguments) < 2:
        return
    functions = {
        node.name: node
        for node in ast.walk(parsed(place.path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    # Hooks get payload, result and context: the context is the last one everywhere.
    waiting, seen = [(function, arguments[-1])], set[tuple[str, str]]()
    while waiting:
        function, context = waiting.pop()
        if (function.name, context) in seen:
            continue
        seen.add((function.name, context))
        yield from _results_of_children(place, function, context)
        for node in ast.walk(function):
            if isinstance(node, ast.Constant) and node.value == _PARENT_OUTPUTS:
                yield f"shape.{_PARENT_OUTPUTS}", place.at(node)
            if isinstance(node, ast.Attribute) and node.attr == _PARENT_OUTPUTS:
                yield f"shape.{_PARENT_OUTPUTS}", place.at(node)
            if not isinstance(node, ast.Call):
                continue
            match node.func:
                case ast.Attribute(value=ast.Name(id=name), attr=method) if name == context:
                    for used in _called(f"ctx.{method}", node):
                        yield used, place.at(node)
                case ast.Name(id=name) if name in functions:
                    waiting += _passed(node, functions[name], context)


def _results_of_children(
    place: Place, function: ast.FunctionDef | ast.AsyncFunctionDef, context: str
) -> Iterator[tuple[str, Place]]:
    """Yield the calls that wait for a child: of `ctx.spawn(…).result()`, or of a name of it."""

    def spawns(node: ast.expr | None) -> bool:
        match node:
            case ast.Await(value=inner):
                return spawns(inner)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="spawn")):
                return name == context
            case ast.Name(id=name):
                return name in children
        return False

    children: set[str] = set()
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if spawns(value):
                children.add(name)
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr="result")) if spawns(value):
                yield "ctx.spawn().result", place.at(node)


def _passed(
    call: ast.Call, function: ast.FunctionDef | ast.AsyncFunctionDef, context: str
) -> list[tuple[ast.FunctionDef | ast.AsyncFunctionDef, str]]:
    """Return the function with its name of the context, if a call passes it on."""
    names = [argument.arg for argument in function.args.args]
    given = list(zip(names, call.args, strict=False))
    given += [(word.arg, word.value) for word in call.keywords if word.arg]
    return [
        (function, name)
        for name, value in given
        if isinstance(value, ast.Name) and value.id == context
    ]


def _calls_of_client(path: str) -> Iterator[tuple[str, Place]]:
    for node in ast.walk(parsed(path)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr=service), attr=method)):
                for used in _called(f"client.{service}.{method}", node):
                    yield used, Place(path, node.lineno)


def _called(name: str, call: ast.Call) -> Iterator[str]:
    yield name
    for word in call.keywords:
        # `await_completion=False` asks for nothing.
        if word.arg and not (isinstance(word.value, ast.Constant) and word.value.value in _EMPTY):
            yield f"{name}({word.arg})"
    for argument in call.args:
        if isinstance(argument, ast.Dict):
            for key in argument.keys:
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield f"{name}({key.value})"
