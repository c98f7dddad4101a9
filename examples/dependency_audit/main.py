"""The jobs and the workflow: `strait dev examples/dependency_audit` serves them.

collect → audit → approve → report. The audit spawns one run for every distribution and waits for
all of them. The catalogue job is made to fail its first two attempts, to show a retry.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from examples.dependency_audit import inspection, report
from strait.authoring import (
    JobOptions,
    RunContext,
    SyncRunContext,
    WorkflowOptions,
    approval_step,
    define_job,
    define_workflow,
    job_step,
)

_FAILING_ATTEMPTS = 2


def collect(payload: dict[str, Any], ctx: SyncRunContext) -> dict[str, Any]:
    """List what is installed; the first attempts fail, as a service that is starting would."""
    if ctx.attempt <= _FAILING_ATTEMPTS:
        raise ConnectionError(f"the catalogue is not ready (attempt {ctx.attempt}, on purpose)")
    names = inspection.distributions()
    ctx.report_progress(100, f"found {len(names)} distributions")
    return {"distributions": names}


async def audit(payload: dict[str, Any], ctx: RunContext) -> dict[str, Any]:
    """Have each distribution inspected by a run of its own, and gather what they found."""
    names = payload["parent_outputs"]["collect"]["distributions"]
    outcomes = await ctx.spawn_many("audit-distribution", [{"name": name} for name in names])
    audited = [outcome["result"] for outcome in outcomes if outcome["status"] == "completed"]
    failed = [
        {"name": name, "error": outcome.get("error", outcome["status"])}
        for name, outcome in zip(names, outcomes, strict=True)
        if outcome["status"] != "completed"
    ]
    return {"audited": audited, "failed": failed}


def inspect(payload: dict[str, Any], ctx: SyncRunContext) -> dict[str, Any]:
    """Inspect one distribution."""
    return inspection.inspect(payload["name"])


def write_report(payload: dict[str, Any], ctx: SyncRunContext) -> dict[str, Any]:
    """Write the report where the trigger asked for it."""
    found = payload["parent_outputs"]["audit"]
    path = report.write(Path(payload["directory"]), found["audited"], found["failed"])
    return {"report": str(path), "distributions": len(found["audited"])}


collect_job = define_job(
    JobOptions(name="Collect", slug="audit-collect", run=collect, max_attempts=5)
)
audit_job = define_job(JobOptions(name="Audit", slug="audit-all", run=audit))
inspect_job = define_job(
    JobOptions(name="Inspect", slug="audit-distribution", run=inspect, max_concurrency=8)
)
report_job = define_job(JobOptions(name="Report", slug="audit-report", run=write_report))

workflow = define_workflow(
    WorkflowOptions(
        name="Dependency audit",
        slug="dependency-audit",
        steps=[
            job_step("collect", "audit-collect"),
            job_step("audit", "audit-all", depends_on=["collect"]),
            approval_step("approve", depends_on=["audit"]),
            job_step("report", "audit-report", depends_on=["audit", "approve"]),
        ],
    )
)
