"""Starting what the job of a finished run names next: a workflow first, then a job."""

from __future__ import annotations

from msgspec import UNSET, json

from strait.engine import chains
from strait.engine.admission import MAX_LINEAGE_DEPTH, Request
from strait.engine.entries import Entry
from strait.engine.model import Job, Json, Run
from strait.engine.refusal import Refused
from strait.engine.undo import UNDO
from strait.server.signing_headers import trace_of
from strait.server.unit import Unit
from strait.server.work import runs, workflow_starts
from strait.store import jobs, workflow_runs, workflows
from strait.store import runs as run_rows

_SOURCE_RUN = "source_run_id"
# A retry keeps its tags, so that a chain which goes on from it counts from there.
_CHAINED = frozenset({"job_completion", "job_failure", "retry"})


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
        metadata=trace_of(run.metadata),
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
    if _workflows_before(unit, run) >= MAX_LINEAGE_DEPTH:
        _note(
            unit,
            run,
            f"workflow `{slug}` was not started: the chain is {MAX_LINEAGE_DEPTH} workflows long",
        )
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


def _workflows_before(unit: Unit, run: Run) -> int:
    """Count the workflows of a chain that a run is in, up to as many as it may have."""
    count, seen = 0, {run.id}
    before: str = run.id
    while count < MAX_LINEAGE_DEPTH:
        stored = run_rows.load(unit.db, before)
        if stored is None:
            break
        before = stored.run.parent_run_id
        if stored.run.workflow_step_run_id:
            before = _started_workflow(unit, stored.run.workflow_step_run_id)
            count += bool(before)
        if not before or before in seen:
            break
        seen.add(before)
    return count


def _started_workflow(unit: Unit, step_run_id: str) -> str:
    """Return the run whose end has started the workflow of a step, or one above it; or ""."""
    while step_run_id:
        place = workflow_runs.place_of_step(unit.db, step_run_id)
        stored = workflow_runs.load(unit.db, place[0]) if place is not None else None
        if stored is None:
            break
        if stored.run.triggered_by in _CHAINED:
            return stored.run.tags.get(_SOURCE_RUN, "")
        step_run_id = stored.run.parent_step_run_id
    return ""


def _tags(run: Run) -> dict[str, str]:
    return {"source_job_id": run.job_id, _SOURCE_RUN: run.id}


def _note(unit: Unit, run: Run, message: str) -> None:
    unit.record(run.id, run.project_id, (Entry("chain", message, "warn"),))
