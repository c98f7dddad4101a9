"""Prints `docs/llms.txt`, the map of the documentation for programs that read it.

It has what `docs/index.md` says of each page, in the order of `mkdocs.yml` and in the format of
llmstxt.org: a title, a summary, and sections of links.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGE = DOCS / "llms.txt"
_SUMMARY = """\
# strait

> Durable jobs, workflows and agents in Python: a typed client for the Strait platform \
(`pip install strait-python`, `import strait`), an authoring kit, a host for handlers, and an \
embedded platform on SQLite (`strait dev`, `Client.local()`).

`llms-full.txt` beside this file has all pages but the reference.
"""
_SECTION = re.compile(r"^  - ([^:]+):$")
_ENTRY = re.compile(r"^\s+- (?:[^:]+: )?(\S+\.md)$")
_ROW = re.compile(r"^\| \[[^]]+\]\((\S+\.md)\) \| (.+) \|$", re.MULTILINE)


def nav() -> Iterator[tuple[str, str]]:
    """Return the section and the file of each page that `mkdocs.yml` names, in its order."""
    section = ""
    for line in (ROOT / "mkdocs.yml").read_text("utf-8").splitlines():
        if found := _SECTION.match(line):
            section = found[1]
        elif found := _ENTRY.match(line):
            yield section, found[1]


def text_of(file: str) -> str:
    """Return a page, with the file that it consists of where that is another one."""
    text = (DOCS / file).read_text("utf-8")
    included = re.match(r'--8<-- "([^"]+)"\s*$', text)
    return (ROOT / included[1]).read_text("utf-8") if included else text


def llms() -> str:
    """Return the text of `llms.txt`."""
    rows = dict(_ROW.findall((DOCS / "index.md").read_text("utf-8")))
    text, last = _SUMMARY, ""
    for section, file in nav():
        if file == "index.md":
            continue
        if section != last:
            text, last = f"{text}\n## {section}\n\n", section
        title = re.search(r"^# (.+)$", text_of(file), re.MULTILINE)
        assert title is not None, f"{file} has no title"
        text += f"- [{title[1]}]({file.removesuffix('.md')}.html): {rows[file]}\n"
    return text


def full() -> str:
    """Return all pages that people wrote, one after the other."""
    files = [file for _, file in nav() if not file.startswith("reference/")]
    return "\n\n".join(text_of(file).strip() for file in files) + "\n"
