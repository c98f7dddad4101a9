"""A workflow run that tests drive by hand: no shell, no clock but the one they turn."""

from __future__ import annotations

from itertools import count

from strait.clock import SECOND
from strait.engine.model import StepDefinition, Workflow
from strait.engine.workflows import effects, events
from strait.engine.workflows.decide import decide
from strait.engine.workflows.start import StartRequest, admitted_steps, retry, start
from strait.engine.workflows.state import State, Transition
from strait.fsm import (
    is_terminal_step_run_status,
    is_terminal_workflow_run_status,
    step_run_can_move,
    workflow_run_can_move,
)

EPOCH = 1_767_225_600 * SECOND
STAMP = "2026-01-01T00:00:00.000000Z"


def step(ref, type="job", *deps, **fields):
    """Return a step; what its type needs is filled in."""
    needs = {
        "job": {"job_id": f"job-{ref}"},
        "approval": {"approval_approvers": ("alice",)},
        "wait_for_event": {"event_key": f"event-{ref}"},
        "sleep": {"sleep_duration_secs": 60},
        "sub_workflow": {"sub_workflow_id": f"wf-{ref}"},
    }
    defaults = {
        "id": f"def-{ref}",
        "workflow_id": "wf",
        "created_at": STAMP,
        "depends_on": deps,
        "on_failure": "fail_workflow",
        "retry_backoff": "exponential",
        "resource_class": "small",
    }
    return StepDefinition(step_ref=ref, step_type=type, **{**defaults, **needs[type], **fields})


def workflow(**fields):
    """Return a workflow."""
    defaults = {
        "id": "wf",
        "project_id": "p1",
        "name": "W",
        "slug": "w",
        "enabled": True,
        "version": 3,
        "created_at": STAMP,
        "updated_at": STAMP,
    }
    return Workflow(**{**defaults, **fields})


class Driver:
    """Sends events to a run and keeps what came of them."""

    def __init__(self, transition: Transition, new_id, now=EPOCH) -> None:
        self.now = now
        self.new_id = new_id
        self.state = transition.state
        self.last: Transition | None = transition
        self.effects = list(transition.effects)
        self.entries = list(transition.entries)
        check_consistent(transition)

    @property
    def status(self) -> str:
        return self.state.run.status

    @property
    def run(self):
        return self.state.run

    def steps(self) -> dict[str, str]:
        """Return the status of every step."""
        return {ref: run.status for ref, run in self.state.step_runs.items()}

    def __getitem__(self, ref):
        return self.state.step_runs[ref]

    def send(self, event) -> Transition | None:
        """Decide over an event one second later."""
        self.now += SECOND
        self.last = decide(self.state, event, self.now, self.new_id)
        if self.last is not None:
            check_moves(self.state, self.last.state)
            check_written(self.state, self.last)
            check_consistent(self.last)
            self.state = self.last.state
            self.effects += self.last.effects
            self.entries += self.last.entries
        return self.last

    # shorthands

    def job_ended(self, ref, status="completed", **fields):
        event = events.JobEnded(ref, self[ref].job_run_id, status, **fields)
        return self.send(event)

    def of(self, kind) -> list:
        """Return all effects of one kind so far."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def payload(self, ref):
        """Return what the job or the workflow of a step was started with."""
        starts = [*self.of(effects.StartJob), *self.of(effects.StartChild)]
        return next(start.payload for start in reversed(starts) if start.ref == ref)

    def trigger(self, ref):
        """Return what a step waits for."""
        opened = [e.trigger for e in self.of(effects.OpenTrigger) if e.ref == ref]
        return opened[-1]


def ids(prefix="id"):
    numbers = count(1)
    return lambda: f"{prefix}-{next(numbers):04d}"


def begin(*steps, now=EPOCH, overrides=None, flow=None, new_id=None, **request) -> Driver:
    """Trigger a workflow of these steps."""
    new_id = new_id or ids()
    flow = flow or workflow()
    admitted = admitted_steps(flow, steps, overrides=overrides)
    transition = start(StartRequest(workflow=flow, steps=admitted, **request), now, new_id)
    return Driver(transition, new_id, now)


def begin_retry(driver: Driver, **request) -> Driver:
    transition = retry(driver.state, driver.now + SECOND, driver.new_id, **request)
    return Driver(transition, driver.new_id, driver.now + SECOND)


# ------------------------------------------------------------------------------------ invariants


def check_moves(before: State, after: State) -> None:
    """Every change of a status is one of the state machines' (or several in a row)."""
    if before.run.status != after.run.status:
        assert reaches(workflow_run_can_move, before.run.status, after.run.status)
    for ref, old in before.step_runs.items():
        new = after.step_runs[ref]
        if old.status != new.status:
            assert reaches(step_run_can_move, old.status, new.status), (ref, old.status, new.status)


def reaches(can_move, start_status, end_status) -> bool:
    statuses = [
        "pending", "waiting", "running", "paused", "completed", "failed", "skipped", "timed_out",
        "canceled", "compensating", "compensated", "compensation_failed",
    ]  # fmt: skip
    seen, frontier = {start_status}, [start_status]
    while frontier:
        here = frontier.pop()
        for there in statuses:
            if there not in seen and can_move(here, there):
                seen.add(there)
                frontier.append(there)
    return end_status in seen


def check_written(before: State, transition: Transition) -> None:
    """What is written is what changed."""
    written = {run.step_ref: run for run in transition.steps}
    for ref, run in transition.state.step_runs.items():
        assert run is before.step_runs[ref] or written[ref] is run
    for ref, approval in transition.state.approvals.items():
        kept = before.approvals.get(ref)
        assert approval is kept or (ref, approval) in transition.approvals


def check_consistent(transition: Transition) -> None:
    state = transition.state
    over = is_terminal_workflow_run_status(state.run.status)
    for ref, run in state.step_runs.items():
        ended = is_terminal_step_run_status(run.status)
        assert bool(run.finished_at) == ended, ref
        assert ended or not over, f"{ref} is {run.status} in a run that is over"
        assert 0 <= run.deps_completed <= run.deps_required
        if run.status == "running":
            assert run.started_at
    if state.run.status == "running":
        assert any(not is_terminal_step_run_status(r.status) for r in state.step_runs.values())
    assert bool(state.run.finished_at) == (over or state.run.status == "compensating")
