"""Hooks of `mkdocs`: the pages in one file, and nothing that is loaded from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

from codegen import llms

_LOADED = re.compile(
    r"""<(?:script|img|iframe|link(?![^>]*rel="canonical"))\b[^>]*?(?:src|href)="((?:https?:)?//[^"]+)"""
)


def on_post_page(output: str, page: object, **_: object) -> str:
    """Refuse a page that would load something from elsewhere.

    Raises:
        RuntimeError: it would.
    """
    foreign = _LOADED.findall(output)
    if foreign:
        raise RuntimeError(f"{page} would load {', '.join(foreign)}; the site asks nobody")
    return output


def on_post_build(config: dict[str, str], **_: object) -> None:
    """Write `llms-full.txt` into the site."""
    (Path(config["site_dir"]) / "llms-full.txt").write_text(llms.full(), "utf-8")
