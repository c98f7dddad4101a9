"""The page of a run: whole, safe to open, and about the run."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest

from strait.redaction import redacted_document
from strait.report import render

from .documents import at, document, step

HOSTILE = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><style>*{display:none}</style>",
    "]]><svg onload=alert(1)>",
    "\u202egnp.exe\x00\ud800",
)
_VOID = {"meta", "br"}


class Page(HTMLParser):
    """Reads a page as a browser does: elements, texts, and whether all is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.elements}

    def sections(self) -> list[str]:
        return [str(attrs["id"]) for name, attrs in self.elements if name == "section"]

    @property
    def text(self) -> str:
        return "\n".join(self.texts)


def full(**more: Any) -> dict[str, Any]:
    """Return a document that has every part."""
    ledger = {"version": 1, "owner": "o", "spent": 25, "calls": {"a": 5}, "children": {"c": [9, 4]}}
    return document(
        **{
            "run": {
                "status": "failed",
                "error": "ValueError: no",
                "error_class": "server",
                "metadata": {"m": "1"},
                "payload": {"strait.cost_budget_microusd": 100},
            },
            "steps": [
                step("charge", 1, 2, output={"id": "ch_1"}, undo=True, undone=True),
                step(
                    "charge", 2, 3, occurrence=1, status="failed",
                    error={"type": "E", "message": "m"},
                ),
                step("seal", 3, 4, output={"$sealed": "QUJD" * 10}),
            ],
            "children": [
                {
                    "id": "c1", "job_id": "j", "job_slug": "kid", "status": "completed",
                    "started_at": at(5), "finished_at": at(6),
                    "payload": {"n": 1}, "result": {"n": 2},
                },
            ],
            "checkpoints": [
                {"sequence": 1, "source": "sdk", "state": {"n": 1}, "created_at": at(1)}
            ],
            "outputs": [{"output_key": "total", "value": 7}],
            "usage": [_usage(1_000, 30), _usage(1, 12)],
            "tool_calls": [
                {"tool_name": "search", "input": {"q": 1}, "output": [], "duration_ms": 12}
            ],
            "state": [{"key": "mine", "value": 3}, {"key": "cost_budget", "value": ledger}],
            **more,
        }
    )  # fmt: skip


def _usage(tokens: int, cost_microusd: int) -> dict[str, Any]:
    return {
        "provider": "p",
        "model": "m",
        "prompt_tokens": tokens,
        "completion_tokens": 2,
        "cost_microusd": cost_microusd,
    }


def test_each_part_of_a_run_has_its_section() -> None:
    page = Page(render(full()))
    assert page.open == []
    assert page.sections() == [
        "error", "graph", "timeline", "payload", "result", "steps", "children", "cost", "tools",
        "outputs", "checkpoints", "state", "history", "metadata",
    ]  # fmt: skip
    assert "svg" in page.names


def test_a_run_with_nothing_has_no_empty_sections() -> None:
    bare = document(events=[], run={"result": None})
    assert Page(render(bare)).sections() == ["payload"]


def test_the_header_says_how_the_run_went() -> None:
    text = Page(render(full())).text
    for said in ("Report of a run · run_1", "Order", "failed", "2 of 3", "30 s", "ValueError: no"):
        assert said in text


def test_the_cost_is_summed_and_set_against_the_budget() -> None:
    text = Page(render(full())).text
    assert "$0.000042" in text
    assert "1,001" in text
    assert "Budget `cost_budget`: $0.000025 of $0.0001 spent (25%), $0.00001 set aside." in text


def test_steps_tell_what_came_of_them() -> None:
    text = Page(render(full())).text
    for said in (
        "charge #2",
        "E: m",
        "undone",
        "was undone",
        "sealed by a codec (30 B)",
        "orders.py:7",
    ):
        assert said in text


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_that_a_run_says_becomes_markup(hostile: str) -> None:
    evil = _filled(full(), hostile)
    page = Page(render(redacted_document(evil)))
    assert page.open == []
    assert page.names.isdisjoint(
        {"script", "img", "iframe", "object", "link", "a0", "base", "form"}
    )
    assert [name for name, _ in page.elements].count("style") == 1
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert str(attributes.get("href", "#")).startswith("#")
        assert "src" not in attributes
    assert "\x00" not in page.text
    assert "\u202e" not in page.text


def _filled(value: Any, hostile: str, key: str = "") -> Any:
    """Put a hostile text wherever the platform lets a user write one."""
    kept = ("format", "kind", "created_at", "started_at", "finished_at", "exported_at", "type")
    if isinstance(value, dict):
        added = {hostile: hostile} if key in ("payload", "output", "value", "data") else {}
        return {name: _filled(one, hostile, name) for name, one in value.items()} | added
    if isinstance(value, list):
        return [_filled(one, hostile, key) for one in value]
    return hostile if isinstance(value, str) and key not in kept else value


def test_the_page_may_show_itself_and_do_nothing_else() -> None:
    page = render(full())
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert "default-src &#x27;none&#x27;" in policy
    assert f"style-src &#x27;sha256-{digest}&#x27;" in policy
    assert not re.findall(r"https?://|url\((?!#)|@import", page)


def test_large_values_are_cut_with_their_size_and_the_page_stays_small() -> None:
    large = [{"output_key": f"k{number}", "value": "x" * 400_000} for number in range(300)]
    page = render(full(outputs=large))
    assert "cut here; the whole value has 400.0 kB" in page
    assert len(page) < 5_000_000


def test_ten_thousand_steps_make_a_page_that_opens() -> None:
    many = [step(f"step {number}", 1, 2, output={"n": number}) for number in range(10_000)]
    page = render(document(steps=many, truncated={"steps": 10_000}))
    assert "9921 more are not drawn" in page
    assert "Only the first 10000 steps are in here." in page
    assert len(page) < 6_000_000


def test_what_a_platform_does_not_tell_is_named() -> None:
    assert (
        "This platform does not tell: tool calls, usage."
        in Page(render(document(missing=["tool_calls", "usage"]))).text
    )


def test_a_person_who_listens_finds_the_way() -> None:
    page = Page(render(full()))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    labelled = [attrs for name, attrs in page.elements if name == "section"]
    assert all(attrs["aria-labelledby"] in ids for attrs in labelled)
    links = [str(attrs["href"])[1:] for name, attrs in page.elements if name == "a"]
    assert links == page.sections()
    pictures = [attrs for name, attrs in page.elements if name == "svg"]
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in pictures)
    assert all(attrs.get("scope") == "col" for name, attrs in page.elements if name == "th")
    html = next(attrs for name, attrs in page.elements if name == "html")
    assert html["lang"] == "en"
