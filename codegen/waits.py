"""Prints what services have beside their operations: handles of runs, and calls that wait."""

from __future__ import annotations

from codegen.ir import Api, Operation, Ref, Tracked

_WAIT = "timeout: float | None = None"
_ASYNC_WAIT = "timeout: float | None = None,  # noqa: ASYNC109 - it is named like its sync twin\n"


def imports(service: str, operations: list[Operation], api: Api) -> list[str]:
    """Return the imports of what is printed here."""
    lines = []
    if service in api.tracked:
        lines += [
            "from strait.client.operation import Tracked",
            f"from strait.fsm import {api.tracked[service].ends}",
        ]
    lines += [
        f"from strait.services.{op.starts} import TRACKED as _{op.starts.upper()}"
        for op in operations
        if op.starts
    ]
    if lines:
        lines.append("from strait.client.operation import WaitOptions, of_each_request")
    return lines


def tracked_constant(service: str, api: Api) -> list[str]:
    """Return what is known of the runs of a service, if it has any."""
    kind = api.tracked.get(service)
    if kind is None:
        return []
    stream = f"stream=_{api.operation(kind.stream).name.upper()}," if kind.stream else ""
    return [
        (
            f"TRACKED = Tracked(name={kind.name!r}, get=_{api.operation(kind.get).name.upper()},"
            f"cancel=_{api.operation(kind.cancel).name.upper()}, {stream}"
            f"ends=frozenset({kind.ends}), result={kind.result!r})"
        )
    ]


def model(kind: Tracked, api: Api) -> str:
    """Return the model of a run."""
    answer = api.operation(kind.get).answers[0].type
    assert isinstance(answer, Ref)
    return answer.name


def of_runs(service: str, api: Api, *, is_async: bool) -> list[str]:
    """Return the methods `handle` and `wait` of a service of runs."""
    kind = api.tracked.get(service)
    if kind is None:
        return []
    prefix, run = "Async" if is_async else "", model(kind, api)
    argument = api.operation(kind.get).arguments[0].python
    wait = _ASYNC_WAIT if is_async else _WAIT + ","
    return [
        f"def handle(self, {argument}: str) -> {prefix}RunHandle[{run}]:",
        f'    """Return the handle of a {kind.name}: to wait for it, look at it and cancel it."""',
        f"    return self._caller.handle(TRACKED, {argument})",
        (
            f"{'async ' if is_async else ''}def wait(self, {argument}: str, *, {wait}"
            f"    **options: Unpack[WaitOptions]) -> {run}:"
        ),
        f'    """Wait until a {kind.name} has ended, well or not, and return it.',
        "",
        "    `timeout` is in seconds; None waits for as long as it takes, and",
        "    `StraitTimeoutError` tells that it was not enough.",
        '    """',
        f"    return {'await ' if is_async else ''}self._caller.wait(",
        f"        TRACKED, {argument}, of_each_request(options), timeout)",
    ]


def of_start(
    op: Operation, keywords: list[str], parts: list[str], api: Api, *, is_async: bool
) -> list[str]:
    """Return the methods that start a run like `op` and give its handle, or wait for it.

    Args:
        op: the operation that starts a run.
        keywords: the names of its keywords.
        parts: its parameters, without the options.
        api: the whole description.
        is_async: which of the two clients it is for.
    """
    if not op.starts:
        return []
    kind = api.tracked[op.starts]
    run = model(kind, api)
    prefix, wait_for = ("Async", "await ") if is_async else ("", "")
    head = f"{'async ' if is_async else ''}def"
    names = [part.python for part in op.arguments]
    passed = ", ".join([*names, "body", *(f"{name}={name}" for name in keywords)])
    start = "start" if op.name == "trigger" else f"start_{op.name}"
    wait = _ASYNC_WAIT if is_async else _WAIT + ","
    return [
        (
            f"{head} {start}({', '.join(parts)}, **options: Unpack[RequestOptions])"
            f" -> {prefix}RunHandle[{run}]:"
        ),
        f'    """Start a {kind.name} like `{op.name}`, and return its handle.',
        "",
        "    Raises `RunNotStartedError` where none is started: for a debounced trigger, one that",
        "    is buffered for a batch, and a dry run.",
        '    """',
        f"    triggered = {wait_for}self.{op.name}({passed}, **options)",
        f"    return self._caller.started(_{op.starts.upper()}, triggered)",
        (
            f"{head} {op.name}_and_wait({', '.join(parts)}, {wait}"
            f"    **options: Unpack[WaitOptions]) -> {run}:"
        ),
        f'    """Start a {kind.name} like `{op.name}`, wait until it has ended, and return it.',
        "",
        "    `timeout` is in seconds; None waits for as long as it takes, and `StraitTimeoutError`",
        "    tells that it was not enough. The run may have failed: its status says so.",
        '    """',
        "    each = of_each_request(options)",
        f"    run = {wait_for}self.{start}({passed}, **each)",
        f"    return {wait_for}run.wait(timeout=timeout, **options)",
    ]
