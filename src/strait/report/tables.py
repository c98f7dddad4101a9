"""The tables of the page: steps, children, history, usage, outputs, checkpoints, state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from strait.report.gather import Document
from strait.report.markup import Markup, Values, tag
from strait.report.spans import duration, lasted, step_label

_BAD = frozenset({"failed", "crashed", "timed_out", "system_failed", "dead_letter"})
_MOST_ROWS = 2_000
# What of a log event is shown beside its message.
_SHOWN_ALREADY = frozenset({"from", "to", "attempt"})
_LEDGER = frozenset({"owner", "spent", "calls", "children"})


def badge(status: str, *, big: bool = False) -> Markup:
    """Return how something stands, in its colour and in words."""
    name = status.replace("_", "-")
    return tag("span", status.replace("_", " "), class_=f"badge{' big' if big else ''} s-{name}")


def stamp(value: object) -> str:
    """Return a time of the API as people read it."""
    if not isinstance(value, str) or "T" not in value:
        return ""
    date, _, time = value.rstrip("Z").partition("T")
    clock, _, fraction = time.partition(".")
    return f"{date} {clock}.{fraction[:3].ljust(3, '0')}" if fraction else f"{date} {clock}"


def money(microusd: int) -> str:
    """Return an amount in dollars, with as many digits as small prices need."""
    return f"${microusd / 1_000_000:,.6f}".rstrip("0").rstrip(".") if microusd else "$0"


def spent(document: Document) -> int:
    """Return what the run's reported usage has cost, in millionths of a dollar."""
    return sum(int(row.get("cost_microusd") or 0) for row in document["usage"])


def failure(run: Mapping[str, Any]) -> Markup | None:
    """Return what the run failed with."""
    error = run.get("error")
    if not error:
        return None
    kind = run.get("error_class")
    said = f"{error}" if not kind else f"{error}\n({kind})"
    return tag("p", said)


def steps(document: Document, values: Values) -> Markup | None:
    """Return the steps, of a job's run or of a workflow's."""
    if document["kind"] == "workflow_run":
        return _step_runs(document, values)
    rows = []
    for step in document["steps"]:
        status = str(step.get("status") or "")
        rows.append(
            [
                tag("strong", step_label(step)),
                tag("span", badge(status), " ", badge("undone") if step.get("undone") else None),
                _took(step),
                _number(step.get("attempts")),
                _step_value(step, values),
                _about_step(step),
            ]
        )
    return _table(("Step", "Status", "Took", "Attempts", "Output", "Where"), rows)


def _step_value(step: Mapping[str, Any], values: Values) -> Markup:
    error = step.get("error")
    if error:
        kind = error.get("type", "") if isinstance(error, dict) else ""
        message = error.get("message", "") if isinstance(error, dict) else error
        return tag("span", f"{kind}: {message}" if kind else str(message), class_="msg")
    return values.show(step.get("output"))


def _about_step(step: Mapping[str, Any]) -> Markup:
    said = [str(step.get("at") or "")]
    if step.get("undo"):
        said.append("can be undone" if not step.get("undone") else "was undone")
    return tag("span", " · ".join(one for one in said if one), class_="time")


def _step_runs(document: Document, values: Values) -> Markup | None:
    rows = []
    for step in document["steps"]:
        shown = _step_value(step, values)
        rows.append(
            [
                tag("strong", step["step_ref"]),
                badge(str(step["status"])),
                tag("span", stamp(step.get("started_at")), class_="time"),
                _took(step),
                _number(step.get("attempt")),
                shown,
            ]
        )
    return _table(("Step", "Status", "Started", "Took", "Attempt", "Output"), rows)


def children(document: Document, values: Values) -> Markup | None:
    """Return the child runs."""
    rows = [
        [
            tag("strong", child.get("job_slug") or child.get("job_id") or ""),
            badge(str(child["status"])),
            tag("code", child["id"]),
            _took(child),
            values.show(child.get("payload")),
            _step_value({"error": child.get("error"), "output": child.get("result")}, values),
        ]
        for child in document["children"]
    ]
    return _table(("Job", "Status", "Run", "Took", "Payload", "Result"), rows)


def history(document: Document, values: Values) -> Markup | None:
    """Return logs and changes of state in their order."""
    has_steps = document["kind"] == "workflow_run"
    rows = []
    for event in document["events"][:_MOST_ROWS]:
        level = str(event.get("level") or "info")
        first = tag("strong", event.get("step_ref", "")) if has_steps else None
        word = badge(level) if level in ("warn", "error") else tag("span", level, class_="time")
        row = [
            tag("span", stamp(event.get("created_at")), class_="time"),
            word,
            tag("span", str(event.get("type") or "").replace("_", " "), class_="time"),
            tag(
                "div",
                tag("span", str(event.get("message") or ""), class_="msg"),
                _data(event, values),
            ),
        ]
        rows.append([row[0], first, *row[1:]] if first is not None else row)
    heads = ("Time", "Step", "Level", "Kind", "Message") if has_steps else (
        "Time", "Level", "Kind", "Message",
    )  # fmt: skip
    return _table(heads, rows)


def _data(event: Mapping[str, Any], values: Values) -> Markup | None:
    data = event.get("data")
    if not isinstance(data, dict) or not set(data) - _SHOWN_ALREADY:
        return None if data in (None, {}) or isinstance(data, dict) else values.show(data)
    trace = data.get("traceback")
    if isinstance(trace, str):
        return values.block(trace, "traceback")
    return values.show({key: one for key, one in data.items() if key not in _SHOWN_ALREADY})


def usage(document: Document) -> Markup | None:
    """Return the reported usage by model, its sum, and the budget that the run has kept."""
    sums: dict[tuple[str, str], list[int]] = {}
    for row in document["usage"]:
        key = (str(row.get("provider") or ""), str(row.get("model") or ""))
        of = sums.setdefault(key, [0, 0, 0, 0])
        for index, name in enumerate(("prompt_tokens", "completion_tokens", "cost_microusd")):
            of[index + 1] += int(row.get(name) or 0)
        of[0] += 1
    rows = [
        [tag("span", provider), tag("span", model), *map(_number, counts[:3]), _amount(counts[3])]
        for (provider, model), counts in sums.items()
    ]
    if rows:
        whole = [sum(counts[index] for counts in sums.values()) for index in range(4)]
        last = [tag("span", "All"), tag("span"), *map(_number, whole[:3]), _amount(whole[3])]
    heads = ("Provider", "Model", "Calls", "Tokens in", "Tokens out", "Cost")
    table = _table(heads, rows, last if rows else None, numbers_from=2)
    budgets = [tag("p", said, class_="note") for said in _budgets(document)]
    if table is None and not budgets:
        return None
    return tag("div", table, *budgets)


def _budgets(document: Document) -> Iterable[str]:
    """Say what the cost budgets that the run keeps in its state have counted."""
    payload = document["run"].get("payload")
    allotted = payload.get("strait.cost_budget_microusd") if isinstance(payload, dict) else None
    for entry in document["state"]:
        ledger = entry["value"]
        if not isinstance(ledger, dict) or not set(ledger) >= _LEDGER:
            continue
        counted = int(ledger["spent"] or 0)
        limit = ledger.get("limit") or allotted
        of = f" of {money(int(limit))}" if limit else ""
        share = f" ({counted / int(limit):.0%})" if limit else ""
        held = sum(int(one) for one in ledger["calls"].values())
        held += sum(max(0, pair[0] - (pair[1] or 0)) for pair in ledger["children"].values())
        aside = f", {money(held)} set aside" if held else ""
        yield f"Budget `{entry['key']}`: {money(counted)}{of} spent{share}{aside}."


def tool_calls(document: Document, values: Values) -> Markup | None:
    """Return the reported calls of tools."""
    rows = [
        [
            tag("strong", str(call.get("tool_name") or "")),
            badge(str(call.get("status") or "completed")),
            tag("span", duration((call.get("duration_ms") or 0) / 1000), class_="time"),
            values.show(call.get("input")),
            values.show(call.get("output")),
        ]
        for call in document["tool_calls"]
    ]
    return _table(("Tool", "Status", "Took", "Input", "Output"), rows)


def outputs(document: Document, values: Values) -> Markup | None:
    """Return the named outputs."""
    rows = [
        [tag("strong", str(row["output_key"])), values.show(row.get("value"))]
        for row in document["outputs"]
    ]
    return _table(("Output", "Value"), rows)


def checkpoints(document: Document, values: Values) -> Markup | None:
    """Return the checkpoints."""
    rows = [
        [
            _number(row.get("sequence")),
            tag("span", stamp(row.get("created_at")), class_="time"),
            tag("span", str(row.get("source") or "").replace("_", " ")),
            values.show(row.get("state")),
        ]
        for row in document["checkpoints"]
    ]
    return _table(("No.", "Time", "By", "State"), rows)


def state(document: Document, values: Values) -> Markup | None:
    """Return what the run keeps under keys of its own."""
    rows = [[tag("code", row["key"]), values.show(row["value"])] for row in document["state"]]
    return _table(("Key", "Value"), rows)


def _took(row: Mapping[str, Any]) -> Markup:
    secs = lasted(row.get("started_at"), row.get("finished_at"))
    return tag("span", duration(secs), class_="time")


def _number(value: object) -> Markup:
    return tag(
        "span",
        "\N{EN DASH}" if value is None else f"{value:,}" if isinstance(value, int) else str(value),
    )


def _amount(microusd: int) -> Markup:
    return tag("span", money(microusd))


def _table(
    heads: Sequence[str],
    rows: Sequence[Sequence[Markup]],
    last: Sequence[Markup] | None = None,
    *,
    numbers_from: int = 99,
) -> Markup | None:
    """Return a table that scrolls by itself; None where it has no row."""
    if not rows:
        return None

    def line(cells: Sequence[Markup]) -> Markup:
        return tag(
            "tr",
            *(
                tag("td", cell, class_="num" if index >= numbers_from else None)
                for index, cell in enumerate(cells)
            ),
        )

    head = [
        tag("th", name, scope="col", class_="num" if index >= numbers_from else None)
        for index, name in enumerate(heads)
    ]
    foot = tag("tfoot", line(last)) if last else None
    body = tag("tbody", *map(line, rows))
    return tag("div", tag("table", tag("thead", tag("tr", *head)), body, foot), class_="wide")
