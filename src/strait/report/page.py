"""The document of a run as one HTML page: no script, nothing from elsewhere, everything escaped."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from strait.report import figures, tables
from strait.report.gather import Document
from strait.report.markup import Markup, Values, tag
from strait.report.spans import duration, lasted
from strait.report.style import STYLE

_STYLE_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"
)
"""What the page may do: show itself with its own style."""


def render(document: Document) -> str:
    """Return the page.

    It hides nothing by itself: give it what `redacted_document` returned.
    """
    values = Values()
    sections = [
        (name, title, body) for name, title, body in _sections(document, values) if body is not None
    ]
    links = [tag("a", title, href=f"#{name}") for name, title, _ in sections]
    title = f"{_name(document)} · {document['run']['status']}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=CONTENT_SECURITY_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="robots", content="noindex"),
        tag("title", title),
        # It is the one text that is neither the user's nor escaped.
        Markup(f"<style>{STYLE}</style>"),
    )
    body = tag(
        "body",
        tag("header", *_header(document), tag("nav", *links, aria_label="Parts of the report")),
        tag("main", *(_section(*one) for one in sections)),
        tag("footer", *_footer(document)),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _name(document: Document) -> str:
    of = document.get("job") or document.get("workflow") or {}
    return str(of.get("name") or of.get("slug") or "run")


def _header(document: Document) -> Iterable[Markup]:
    run = document["run"]
    what = "workflow run" if document["kind"] == "workflow_run" else "run"
    yield tag("p", f"Report of a {what} · {run['id']}", class_="over")
    yield tag("div", tag("h1", _name(document)), tables.badge(str(run["status"]), big=True))
    facts = [tag("div", tag("dt", name), tag("dd", value)) for name, value in _facts(document)]
    yield tag("dl", *facts, class_="facts")


def _facts(document: Document) -> Iterable[tuple[str, str]]:
    run = document["run"]
    of = document.get("job") or document.get("workflow") or {}
    most = run.get("max_attempts_override") or of.get("max_attempts")
    version = run.get("job_version") or run.get("workflow_version")
    code = run.get("job_version_id") or run.get("workflow_version_id")
    given = (
        ("Slug", of.get("slug")),
        ("Version", f"{version} ({code})" if code else version),
        ("Created", tables.stamp(run.get("created_at"))),
        ("Started", tables.stamp(run.get("started_at"))),
        ("Finished", tables.stamp(run.get("finished_at"))),
        ("From creation to end", _whole(run)),
        (
            "Attempts",
            f"{run['attempt']} of {most}" if most and run.get("attempt") else run.get("attempt"),
        ),
        ("Triggered by", run.get("triggered_by")),
        ("Project", run.get("project_id")),
        ("Parent run", run.get("parent_run_id")),
        ("Continues", run.get("continuation_of")),
        ("Replay of", run.get("replayed_run_id") or run.get("retry_of_run_id")),
        ("Cost", tables.money(tables.spent(document)) if document["usage"] else None),
    )
    return [(name, str(value)) for name, value in given if value not in (None, "", 0)]


def _whole(run: dict[str, Any]) -> str | None:
    secs = lasted(run.get("created_at"), run.get("finished_at"))
    return None if secs is None else duration(secs)


def _sections(document: Document, values: Values) -> Iterable[tuple[str, str, Markup | None]]:
    run = document["run"]
    yield "error", "Error", tables.failure(run)
    yield "graph", "Graph", figures.graph_figure(document)
    yield "timeline", "Timeline", figures.timeline_figure(document)
    yield "payload", "Payload", values.show(run.get("payload"), "payload", is_open=True)
    yield "result", "Result", _shown(run.get("result"), "result", values)
    yield "steps", "Steps", tables.steps(document, values)
    yield "children", "Child runs", tables.children(document, values)
    yield "cost", "Usage and cost", tables.usage(document)
    yield "tools", "Tool calls", tables.tool_calls(document, values)
    yield "outputs", "Outputs", tables.outputs(document, values)
    yield "checkpoints", "Checkpoints", tables.checkpoints(document, values)
    yield "state", "State", tables.state(document, values)
    yield "history", "Logs and history", tables.history(document, values)
    yield "metadata", "Metadata", _shown(run.get("metadata"), "metadata", values)


def _shown(value: Any, name: str, values: Values) -> Markup | None:
    return None if value is None else values.show(value, name, is_open=True)


def _section(name: str, title: str, body: Markup | None) -> Markup:
    heading = tag("h2", title, id=f"{name}-title")
    return tag(
        "section",
        heading,
        body,
        id=name,
        aria_labelledby=f"{name}-title",
        class_="error" if name == "error" else None,
    )


def _footer(document: Document) -> Iterable[Markup]:
    yield tag("p", f"Taken at {tables.stamp(document['exported_at'])}. Times are UTC.")
    cut = [
        f"the first {count} {part.replace('_', ' ')}"
        for part, count in document["truncated"].items()
    ]
    if cut:
        yield tag("p", f"Only {', '.join(cut)} are in here.")
    if document["missing"]:
        parts = ", ".join(part.replace("_", " ") for part in document["missing"])
        yield tag("p", f"This platform does not tell: {parts}.")
