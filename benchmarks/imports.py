"""What `import strait` costs over an interpreter that imports nothing."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys

_TIMES = 21


def measure() -> list[tuple[str, str, str]]:
    bare = _cpu_ms("pass")
    facade = _cpu_ms("import strait")
    client = _cpu_ms("import strait; strait.Client")
    loaded = "import strait, sys; print([m for m in ('httpx', 'pydantic') if m in sys.modules])"
    modules = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    ).stdout.strip()
    return [
        ("`import strait`, CPU over bare Python", f"{facade - bare:.1f} ms", f"{bare:.1f} ms"),
        ("`strait.Client` first used, CPU over bare Python", f"{client - bare:.0f} ms", ""),
        ("of httpx and pydantic, `import strait` loads", modules, ""),
    ]


def _cpu_ms(code: str) -> float:
    times = []
    for _ in range(_TIMES):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(times) * 1000
