"""Completing slugs in a shell: those of the platform that runs in this directory, and of no other.

A shell waits for the answer at every press of a key, so this is one plain request to a platform on
this machine, without the client, and nothing at all when there is none or it is slow.
"""

from __future__ import annotations

from collections.abc import Callable

import click

_TIMEOUT_SECS = 1.0
_KINDS = {"job": ("jobs",), "workflow": ("workflows",), "either": ("jobs", "workflows")}


def slugs(kind: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return what completes the slugs of `job`, `workflow` or `either`."""

    def complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        return [
            slug
            for resource in _KINDS[kind]
            for slug in _listed(resource)
            if slug.startswith(incomplete)
        ]

    return complete


def _listed(resource: str) -> list[str]:
    import json
    from urllib.request import ProxyHandler, Request, build_opener

    from strait.cli.places import local_platform

    local = local_platform()
    if local is None:
        return []
    request = Request(  # noqa: S310 - an address that a platform of this directory wrote down
        f"{local.base_url}/v1/{resource}?limit=100",
        headers={"authorization": f"Bearer {local.api_key}"},
    )
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=_TIMEOUT_SECS) as answer:
            return [str(one["slug"]) for one in json.load(answer)["data"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
