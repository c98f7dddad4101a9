"""What `strait dev` has loaded, for a page that shows it; the embedded platform only."""

from __future__ import annotations

from dataclasses import asdict

from strait.clock import to_timestamp
from strait.server.development import Development, HandlerHost
from strait.server.http import Call, Reply, reply
from strait.server.platform import Platform
from strait.server.registry import Registry

registry = Registry()


@registry.other("get-dev-status")
async def status(call: Call, platform: Platform) -> Reply:
    """Show which code is served, by which processes, and what is wrong with the newest."""
    development = platform.development
    if development is None or development.project_id != call.project_id:
        return reply(_OFF)
    return reply(_shown(development))


_OFF: dict[str, object] = {
    "state": "off",
    "target": "",
    "code_version": 0,
    "changed_files": [],
    "processes": [],
    "held_jobs": [],
}


def _shown(development: Development) -> dict[str, object]:
    host = development.host
    hosts = [*development.old, *([host] if host else [])]
    shown: dict[str, object] = {
        "state": development.state,
        "target": development.target,
        "code_version": 0 if host is None else host.version,
        "changed_files": list(development.changed),
        "processes": [_process(one, current=one is host) for one in hosts],
        "held_jobs": sorted(development.held),
        "definitions": [asdict(one) for one in development.definitions],
    }
    if development.loaded_at:
        shown["loaded_at"] = to_timestamp(development.loaded_at)
    if development.error is not None:
        error = development.error
        shown["error"] = {
            "type": error.type,
            "message": error.message,
            "at": error.at,
            "trace": list(error.trace),
        }
    return shown


def _process(host: HandlerHost, *, current: bool) -> dict[str, object]:
    return {
        "code_version": host.version,
        "pid": host.pid,
        "running": host.running,
        "current": current,
        "debugger": host.debugging,
    }
