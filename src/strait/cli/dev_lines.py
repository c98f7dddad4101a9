"""The lines of `strait dev`: what was found, how runs move on, and what is wrong with the code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from strait.cli.dev_child import Loaded
from strait.cli.dev_console import Console
from strait.clock import SECOND, from_timestamp
from strait.engine.model import Run, WorkflowRun
from strait.fsm import is_terminal_run_status, is_terminal_workflow_run_status
from strait.serve.manifest import Manifest
from strait.server.development import LoadError, tell_held
from strait.server.platform import Platform
from strait.store import workflows

_COLOURS = {
    "completed": "green",
    "waiting": "yellow",
    "retry": "yellow",
    "held": "yellow",
    "canceled": "dim",
}
_PAUSES = frozenset({"approval", "wait_for_event", "sleep"})
_MOST_ERROR_CHARS = 160
# Enough to find the one that is talked of; the link has the whole id.
_SHORT_ID_CHARS = 8


def short(path: str, here: Path) -> str:
    """Return a path as one would type it here."""
    found = Path(path)
    return str(found.relative_to(here)) if found.is_relative_to(here) else path


def counted(n: int, what: str) -> str:
    """Return a number of things: `1 job`, `2 jobs`."""
    return f"{n} {what}{'' if n == 1 else 's'}"


def found(loaded: Loaded, here: Path) -> Iterable[str]:
    """Return one line a definition: kind, slug, place, and a workflow's steps."""
    steps = {w.slug: steps_line(w.settings["steps"]) for w in loaded.manifest.workflows}
    rows = [
        (place.kind, place.slug, f"{short(place.file, here)}:{place.line}")
        for place in sorted(loaded.places, key=lambda place: (place.file, place.line))
    ]
    slug = max((len(row[1]) for row in rows), default=0)
    where = max((len(row[2]) for row in rows), default=0)
    for kind, name, place in rows:
        more = steps[name] if kind == "workflow" else ""
        yield f"    {kind:<9} {name:<{slug}}  {place:<{where}}  {more}".rstrip()


def summary(loaded: Loaded) -> str:
    """Return how many jobs, workflows and agents there are."""
    kinds = Counter(place.kind for place in loaded.places)
    said = [counted(kinds[kind], kind) for kind in ("job", "workflow", "agent") if kinds[kind]]
    return ", ".join(said)


def steps_line(steps: list[dict[str, Any]]) -> str:
    """Return the steps of a workflow in their order: `quote → approve⏸ → order | mail`.

    Steps between two arrows wait for the same ones; `⏸` is where a workflow waits.
    """
    level: dict[str, int] = {}
    waiting = list(steps)
    while waiting:
        ready = [s for s in waiting if all(d in level for d in s.get("depends_on") or ())]
        if not ready:
            break  # registration says what is wrong with it
        for step in ready:
            before = (level[name] for name in step.get("depends_on") or ())
            level[step["step_ref"]] = max(before, default=-1) + 1
        waiting = [step for step in waiting if step["step_ref"] not in level]
    kinds = {step["step_ref"]: step.get("step_type", "job") for step in steps}
    rows: dict[int, list[str]] = {}
    for ref, depth in level.items():
        rows.setdefault(depth, []).append(ref + ("⏸" if kinds[ref] in _PAUSES else ""))
    return " → ".join(" | ".join(rows[depth]) for depth in sorted(rows))


def difference(before: Manifest, after: Manifest, changed_files: set[str], loaded: Loaded) -> str:
    """Return what a reload has changed: `1 job updated, 1 workflow added`."""
    touched = {(p.kind, p.slug) for p in loaded.places if p.file in changed_files}
    said = []
    for kind, old, new in (
        ("job", {j.slug: j for j in before.jobs}, {j.slug: j for j in after.jobs}),
        ("workflow", {w.slug: w for w in before.workflows}, {w.slug: w for w in after.workflows}),
    ):
        names = {kind, "agent"} if kind == "job" else {kind}
        updated = sum(
            old[slug] != new[slug] or any((name, slug) in touched for name in names)
            for slug in old.keys() & new.keys()
        )
        parts = (
            (updated, "updated"),
            (len(new.keys() - old.keys()), "added"),
            (len(old.keys() - new.keys()), "removed"),
        )
        said += [f"{counted(n, kind)} {verb}" for n, verb in parts if n]
    return ", ".join(said) or "no definition changed"


def error_lines(error: LoadError, here: Path) -> list[str]:
    """Return what is wrong with the code, and the user's own frames."""
    # Errors of ours speak for themselves.
    plain = error.type in error.message or error.type == "DiscoveryError"
    head = error.message if plain else f"{error.type}: {error.message}"
    path, _, line = error.at.rpartition(":")
    where = f"{short(path, here)}:{line}" if path else ""
    text = [f"{where}: {head}" if where else head]
    return text + [line for frame in error.trace for line in frame.splitlines()]


class RunLines:
    """Is told of each change of a run, and writes a line when it ends, waits or is tried again.

    Args:
        platform: the platform, in this process.
        base_url: what the links begin with.
        console: where the lines go.
    """

    def __init__(self, platform: Platform, base_url: str, console: Console) -> None:
        self._platform = platform
        self._base_url = base_url
        self._console = console
        self._workflows: dict[str, str] = {}

    def __call__(self, run: Run | WorkflowRun) -> None:
        """Write what a person wants to know of it."""
        if isinstance(run, Run):
            # The history of a run says that it is held, whether or not a line does.
            held = tell_held(self._platform, run)
            if self._console.quiet:
                return
            status = "held" if held else _status(run)
            if status:
                self._line(run, status, self._job(run), f"/runs/{run.id}")
        elif not self._console.quiet and is_terminal_workflow_run_status(run.status):
            self._line(run, run.status, self._workflow(run), f"/workflow-runs/{run.id}")

    def _line(self, run: Run | WorkflowRun, status: str, name: str, path: str) -> None:
        kind = "run" if isinstance(run, Run) else "workflow_run"
        began = run.started_at or run.created_at
        took = None
        if run.finished_at:
            took = max(0, from_timestamp(run.finished_at) - from_timestamp(began)) * 1000 // SECOND
        url = self._base_url + path
        paint = self._console.paint
        colour = _COLOURS.get(status, "red")
        error = "" if status == "completed" else " ".join(run.error.split())[:_MOST_ERROR_CHARS]
        text = "  ".join(
            part
            for part in (
                f"{'run' if kind == 'run' else 'wf'}_{run.id[-_SHORT_ID_CHARS:]}",
                f"{name:<18}",
                paint(f"{status:<9}", colour),
                f"{_duration(took):>7}",
                paint(url, "dim"),
                error,
            )
            if part
        )
        data = {
            "event": kind, "id": run.id, "name": name, "status": status, "duration_ms": took,
            "url": url, "error": error,
        }  # fmt: skip
        self._console.run(text, data)

    def _job(self, run: Run) -> str:
        entry = self._platform.jobs.get(self._platform.reader, run.job_id)
        return run.job_id if entry is None else entry.job.slug

    def _workflow(self, run: WorkflowRun) -> str:
        if run.workflow_id not in self._workflows:
            workflow = workflows.get(self._platform.reader, run.workflow_id)
            self._workflows[run.workflow_id] = (
                run.workflow_id if workflow is None else workflow.slug
            )
        return self._workflows[run.workflow_id]


def _status(run: Run) -> str:
    """Return what is told of a run; "" for nothing."""
    if is_terminal_run_status(run.status) or run.status in {"waiting", "paused"}:
        return run.status
    # It failed, and will be tried again.
    return "retry" if run.status == "queued" and run.next_retry_at and run.error else ""


def _duration(took_ms: int | None) -> str:
    if took_ms is None:
        return "-"
    if took_ms < 1_000:
        return f"{took_ms} ms"
    secs = took_ms / 1_000
    return f"{secs:.1f} s" if secs < 60 else f"{int(secs) // 60} min {int(secs) % 60} s"
