"""Cron schedules: when a job or a workflow starts by itself (`contract/runs.md` §6.12).

Each schedule remembers the last tick that it has answered. A tick that comes more than a minute
late, because no server ran or the machine slept, was missed: `cron_catchup` says what becomes of
it. `skip`, the default and what the hosted platform does, starts nothing; `last` starts one for all
that were missed; `all` starts one for each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.cron import last_fire, next_fire
from strait.engine import runs as engine
from strait.engine.admission import Request
from strait.engine.model import Job, Workflow
from strait.engine.undo import UNDO
from strait.server.errors import QuotaExceeded
from strait.server.unit import Unit
from strait.server.work import budgets, runs, workflows
from strait.store import jobs
from strait.store import runs as run_rows
from strait.store import schedules as rows
from strait.store import workflows as workflow_rows

_MINUTE = 60 * SECOND
# A transaction answers this many ticks; what is left is answered by the next one.
_AT_ONCE = 200


class Schedule(NamedTuple):
    """What fires when.

    Attributes:
        kind: `job` or `workflow`.
        owner_id: which one.
        cron: the expression; "" while it does not fire.
        timezone: the zone of the expression; "" is UTC.
        catchup: `skip`, `last`, `all`, or "" for the default.
    """

    kind: str
    owner_id: str
    cron: str
    timezone: str
    catchup: str

    @property
    def timer(self) -> tuple[str, str]:
        """The key of its timer."""
        return (f"{self.kind}_cron", self.owner_id)


def of_job(job: Job) -> Schedule:
    """Return the schedule of a job."""
    cron = job.cron if job.enabled and not job.paused else ""
    return Schedule("job", job.id, cron, job.timezone, job.cron_catchup)


def of_workflow(workflow: Workflow) -> Schedule:
    """Return the schedule of a workflow."""
    cron = workflow.cron if workflow.enabled else ""
    return Schedule("workflow", workflow.id, cron, workflow.cron_timezone, workflow.cron_catchup)


def begin(unit: Unit, schedule: Schedule) -> None:
    """Have something fire from now on; what was before is not missed."""
    if schedule.cron:
        rows.mark(unit.db, schedule.kind, schedule.owner_id, unit.stamp)
    _watch(unit, schedule)


def changed(unit: Unit, before: Schedule, schedule: Schedule) -> None:
    """Go on with something that was changed: what it had missed when it was is still owed.

    Only another schedule, or one that is switched on again, begins anew.
    """
    same = (schedule.cron, schedule.timezone) == (before.cron, before.timezone)
    if schedule.cron and same:
        return
    begin(unit, schedule)


def take_over(unit: Unit, schedule: Schedule) -> None:
    """Have something fire that an earlier server had in its care."""
    if not schedule.cron:
        return
    if rows.last(unit.db, schedule.kind, schedule.owner_id) is None:
        rows.mark(unit.db, schedule.kind, schedule.owner_id, unit.stamp)
    timers, now = unit.platform.timers, unit.now
    # What was missed is answered by the timer, once the server runs.
    unit.after(lambda: timers.set(schedule.timer, now))


def job_due(unit: Unit, job_id: str) -> None:
    """Answer the ticks of a job."""
    job = jobs.get(unit.db, job_id)
    if job is not None:
        _answer(unit, of_job(job), lambda tick: _fire_job(unit, job, tick))


def workflow_due(unit: Unit, workflow_id: str) -> None:
    """Answer the ticks of a workflow."""
    workflow = workflow_rows.get(unit.db, workflow_id)
    if workflow is not None:
        _answer(unit, of_workflow(workflow), lambda tick: _fire_workflow(unit, workflow, tick))


def _answer(unit: Unit, schedule: Schedule, fire: Callable[[int], None]) -> None:
    if not schedule.cron:
        return
    last = rows.last(unit.db, schedule.kind, schedule.owner_id)
    since = unit.now - _MINUTE if last is None else from_timestamp(last)
    ticks = _ticks(schedule, since, unit.now)
    for tick in ticks:
        fire(tick)
    if len(ticks) == _AT_ONCE:
        answered, timers, now = to_timestamp(ticks[-1]), unit.platform.timers, unit.now
        rows.mark(unit.db, schedule.kind, schedule.owner_id, answered)
        unit.after(lambda: timers.set(schedule.timer, now))
        return
    if since < unit.now:  # a clock that was set back must not have a tick answered again
        rows.mark(unit.db, schedule.kind, schedule.owner_id, unit.stamp)
    _watch(unit, schedule)


def _ticks(schedule: Schedule, since: int, now: int) -> list[int]:
    """Return the ticks to answer, the oldest first."""
    cron, timezone = schedule.cron, schedule.timezone or "UTC"
    if schedule.catchup == "all":
        ticks: list[int] = []
        while len(ticks) < _AT_ONCE and (tick := next_fire(cron, timezone, since)) is not None:
            if tick > now:
                break
            ticks.append(tick)
            since = tick
        return ticks
    newest = last_fire(cron, timezone, since, now)
    is_late = newest is not None and now - newest >= _MINUTE
    if newest is None or (is_late and schedule.catchup != "last"):
        return []
    return [newest]


def _watch(unit: Unit, schedule: Schedule) -> None:
    timers, key = unit.platform.timers, schedule.timer
    instant = None
    if schedule.cron:
        instant = next_fire(schedule.cron, schedule.timezone or "UTC", unit.now)
    if instant is None:
        unit.after(lambda: timers.cancel(key))
    else:
        unit.after(lambda: timers.set(key, instant))


def _fire_job(unit: Unit, job: Job, tick: int) -> None:
    """Start a job for a tick, unless its runs overlap and its policy is against that."""
    others = run_rows.ids(
        unit.db,
        f"{run_rows.UNFINISHED} AND job_id = ? "
        "AND status IN ('queued', 'delayed', 'dequeued', 'executing', 'waiting')",
        (job.id,),
    )
    if others and job.cron_overlap_policy == "skip":
        return
    if not _affordable(unit, job.project_id, f"the schedule of job {job.id}"):
        return
    request = Request(
        triggered_by="cron",
        created_by="system:cron",
        idempotency_key=f"cron:job:{job.id}:{tick // SECOND}",
    )
    runs.create(unit, job, request, None)
    if job.cron_overlap_policy == "cancel_running":
        superseded = engine.Canceled("superseded by the next scheduled run")
        for run_id in others:
            stored = run_rows.load(unit.db, run_id)
            # What undoes an earlier run is needed, whatever comes after that.
            if stored is not None and stored.run.triggered_by != UNDO:
                runs.apply(unit, stored, superseded)


def _fire_workflow(unit: Unit, workflow: Workflow, tick: int) -> None:
    """Start a workflow for a tick, unless a run of it is under way and it asks to skip then."""
    if _affordable(unit, workflow.project_id, f"the schedule of workflow {workflow.id}"):
        workflows.fire(unit, workflow, to_timestamp(tick))


def _affordable(unit: Unit, project_id: str, what: str) -> bool:
    try:
        budgets.check(unit, project_id)
    except QuotaExceeded as refusal:
        unit.platform.warn(f"{what} started nothing", refusal)
        return False
    return True
