"""Docstrings of generated code: paragraphs, wrapped to the project's line length."""

from __future__ import annotations

import textwrap

# A method's docstring stands eight columns in.
_WIDTH = 100 - 8


def docstring(paragraphs: list[str]) -> list[str]:
    """Return the lines of a docstring."""
    first, *rest = paragraphs
    lines = [f'"""{first}']
    for paragraph in rest:
        lines += ["", *textwrap.wrap(paragraph, _WIDTH, break_on_hyphens=False)]
    if len(lines) == 1:
        return [lines[0] + '"""']
    return [*lines, '"""']
