"""`python -m examples.dependency_audit`: start a platform, run the audit, show how it goes.

Stop it at any moment (Ctrl-C, kill -9, a power cut) and start it again: the run goes on where it
stopped, because everything that was finished is on disk.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from strait import Client
from strait.errors import ConflictError, StraitError
from strait.fsm import is_terminal_workflow_run_status

_HERE = Path(__file__).parent
_DIRECTORY = Path("dependency-audit")
_STATUS_MARKS = {"completed": "✓", "running": "…", "failed": "✗", "skipped": "-", "canceled": "✗"}
_POLL_SECS = 0.1


def main() -> int:
    """Run the audit; return 0 when it ended in a report."""
    options = _options()
    started = time.monotonic()
    with _platform(options.db) as client:
        run_id, resumed = _run(client, options.directory)
        print(f"{'going on with' if resumed else 'started'} workflow run {run_id}", flush=True)
        status = _follow(client, run_id)
        if status != "completed":
            print(f"the workflow run is {status}: {client.workflow_runs.get(run_id).error}")
            return 1
        _tell(client, run_id, options.directory, time.monotonic() - started)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.dependency_audit")
    parser.add_argument("--db", type=Path, default=Path(".strait") / "demo.db")
    parser.add_argument("--directory", type=Path, default=_DIRECTORY)
    return parser.parse_args()


@contextmanager
def _platform(database: Path) -> Iterator[Client]:
    """Run `strait dev` for this example, and give a client of it."""
    command = [sys.executable, "-m", "strait.cli", "dev", str(_HERE), "--port", "0", "--json"]
    with subprocess.Popen(
        [*command, "--db", str(database)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise SystemExit(process.stderr.read() if process.stderr else "strait dev ended")
        ready = json.loads(line)
        try:
            with Client(
                base_url=ready["base_url"],
                api_key=ready["api_key"],
                project_id=ready["project_id"],
            ) as client:
                yield client
        finally:
            process.terminate()
            process.communicate(timeout=30)


def _run(client: Client, directory: Path) -> tuple[str, bool]:
    """Return the run that was interrupted, or a new one."""
    workflow_id = next(w.id for w in client.workflows.list() if w.slug == "dependency-audit")
    for run in client.workflows.list_runs(workflow_id):
        if not is_terminal_workflow_run_status(run.status):
            return run.id, True
    run = client.workflows.trigger(workflow_id, payload={"directory": str(directory.resolve())})
    return run.id, False


def _follow(client: Client, run_id: str) -> str:
    """Show each change of a step once, approve when asked, and return how the run ended."""
    shown: dict[str, str] = {}
    while True:
        run = client.workflow_runs.get(run_id)
        for step in client.workflow_runs.list_steps(run_id):
            if shown.get(step.step_ref) != step.status and step.started_at:
                shown[step.step_ref] = step.status
                print(
                    f"  {_STATUS_MARKS.get(step.status, '·')} {step.step_ref:<8} {step.status}",
                    flush=True,
                )
            if step.step_ref == "approve" and step.status == "waiting" and step.started_at:
                _approve(client, run_id)
            if step.step_ref == "audit" and step.status == "running" and step.job_run_id:
                _progress(client, step.job_run_id, shown)
        if is_terminal_workflow_run_status(run.status):
            return run.status
        time.sleep(_POLL_SECS)


def _approve(client: Client, run_id: str) -> None:
    try:
        client.workflow_runs.approve_step(run_id, "approve")
    except ConflictError:
        return
    print("  ✓ approved through the API", flush=True)


def _progress(client: Client, audit_run_id: str, shown: dict[str, str]) -> None:
    """Show how many of the spawned runs are over: one line that changes, on a terminal."""
    children = list(client.runs.get_children(audit_run_id, limit=100))
    done = sum(1 for child in children if child.finished_at)
    line = f"    {done}/{len(children)} distributions audited"
    if children and shown.get("children") != line:
        shown["children"] = line
        if sys.stdout.isatty():
            print(f"\r{line}", end="\n" if done == len(children) else "", flush=True)
        else:
            print(line, flush=True)


def _tell(client: Client, run_id: str, directory: Path, seconds: float) -> None:
    totals = json.loads((directory / "report.json").read_text(encoding="utf-8"))["totals"]
    retries = [
        step
        for step in client.workflow_runs.list_steps(run_id)
        if step.job_run_id and client.runs.get(step.job_run_id).attempt > 1
    ]
    print(
        f"\n{totals['distributions']} distributions, {totals['files']} files, "
        f"{totals['bytes'] / 1e6:.1f} MB; findings in {len(totals['with_findings'])}, "
        f"without a licence {len(totals['without_licence'])}, not audited "
        f"{len(totals['not_audited'])}"
    )
    for step in retries:
        attempts = client.runs.get(step.job_run_id or "").attempt
        print(f"step `{step.step_ref}` needed {attempts} attempts")
    print(f"report in {directory / 'report.md'} and {directory / 'report.json'}, {seconds:.1f} s")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StraitError as error:
        sys.exit(f"dependency_audit: {error}")
