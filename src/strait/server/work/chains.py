"""Starting what the job of a finished run names next: a workflow first, then a job."""

from __future__ import annotations

from msgspec import UNSET, json

from strait.engine import chains
from strait.engine.admission import MAX_LINEAGE_DEPTH, Request
from strait.engine.entries import Entry
from strait.engine.model import Job, Json, Run
from strait.engine.refusal import Refused
from strait.engine.undo import UNDO
from strait.server.unit import Unit
from strait.server.work import runs, workflow_starts
from strait.store import jobs, workflows
from strait.store import runs as run_rows


def follow(unit: Unit, run: Run, result: str | None) -> None:
    """Start what comes after a run that has completed or failed; an undo is followed by nothing."""
    if run.triggered_by == UNDO:
        return
    entry = unit.platform.jobs.for_run(unit.db, run)
    if entry is None:
        return
    job = entry.job
    if run.status == "completed":
        if job.on_complete_trigger_workflow or job.on_complete_trigger_job:
            output = UNSET if result is None else json.decode(result)
            payload = chains.on_complete_payload(output, job.on_complete_payload_mapping)
            _start_workflow(unit, run, job.on_complete_trigger_workflow, "job_completion", payload)
            _start_job(unit, run, job.on_complete_trigger_job, "job_chain", payload)
    elif run.status in chains.FAILED and (
        job.on_failure_trigger_workflow or job.on_failure_trigger_job
    ):
        payload = chains.on_failure_payload(run, _input(unit, run), job.on_failure_payload_mapping)
        _start_workflow(unit, run, job.on_failure_trigger_workflow, "job_failure", payload)
        _start_job(unit, run, job.on_failure_trigger_job, "job_failure", payload)


def _input(unit: Unit, run: Run) -> Json:
    text = run_rows.payload(unit.db, run.id)
    return None if text is None else json.decode(text)


def _start_job(unit: Unit, run: Run, slug: str, triggered_by: str, payload: Json) -> None:
    if not slug:
        return
    job = jobs.by_slug(unit.db, run.project_id, slug)
    problem = _job_problem(run, job, slug)
    if job is None or problem:
        _note(unit, run, problem)
        return
    request = Request(
        triggered_by=triggered_by,
        created_by=f"run:{run.id}",
        parent_run_id=run.id,
        lineage_depth=run.lineage_depth + 1,
        tags=_tags(run),
    )
    runs.create(unit, job, request, json.encode(payload, order="sorted").decode())


def _job_problem(run: Run, job: Job | None, slug: str) -> str:
    if run.lineage_depth >= MAX_LINEAGE_DEPTH:
        return f"job `{slug}` was not started: the chain is {MAX_LINEAGE_DEPTH} runs long"
    if job is None:
        return f"job `{slug}` was not started: there is no such job"
    if not job.enabled or job.paused:
        return f"job `{slug}` was not started: it is {'paused' if job.paused else 'disabled'}"
    return ""


def _start_workflow(unit: Unit, run: Run, slug: str, triggered_by: str, payload: Json) -> None:
    if not slug:
        return
    workflow = workflows.by_slug(unit.db, run.project_id, slug)
    if workflow is None:
        _note(unit, run, f"workflow `{slug}` was not started: there is no such workflow")
        return
    try:
        workflow_starts.start(
            unit,
            workflow,
            triggered_by=triggered_by,
            created_by=f"run:{run.id}",
            payload=payload,
            tags=_tags(run),
        )
    except Refused as refusal:
        _note(unit, run, f"workflow `{slug}` was not started: {refusal.message}")


def _tags(run: Run) -> dict[str, str]:
    return {"source_job_id": run.job_id, "source_run_id": run.id}


def _note(unit: Unit, run: Run, message: str) -> None:
    unit.record(run.id, run.project_id, (Entry("chain", message, "warn"),))
