"""Whether somebody looks at this process in a debugger."""

from __future__ import annotations

import sys
import threading

# They trace too, and nobody waits for them.
_NO_DEBUGGERS = ("coverage", "_pytest", "trace", "hunter", "viztracer")


def debugger() -> str:
    """Return the name of the debugger that is attached to this process; "" if there is none."""
    debugpy = sys.modules.get("debugpy")
    if debugpy is not None and _says(debugpy, "is_client_connected"):
        return "debugpy"
    pydevd = sys.modules.get("pydevd")
    if pydevd is not None and getattr(pydevd, "connected", False):
        return "pydevd"
    monitoring = getattr(sys, "monitoring", None)  # Python 3.12
    if monitoring is not None and (tool := monitoring.get_tool(monitoring.DEBUGGER_ID)):
        return str(tool)
    for trace in (sys.gettrace(), threading.gettrace()):
        if trace is not None and (name := _origin(trace)):
            return name
    return ""


def _says(module: object, name: str) -> bool:
    try:
        return bool(getattr(module, name)())
    except Exception:  # noqa: BLE001 - a debugger that is just being set up may raise anything
        return False


def _origin(trace: object) -> str:
    owner = getattr(trace, "__self__", trace)
    module = getattr(trace, "__module__", None) or type(owner).__module__
    name = str(module).partition(".")[0]
    return "" if name in _NO_DEBUGGERS else name
