"""What is shown of a workflow run: graph, timeline, debug, compare (`contract/workflows.md` §4.4).

All of them are computed from the state of the run. Where the platform's answer is odd (work that
remains in a finished run, a waiting approval that "can run") ours says what is meant.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping

from msgspec import UNSET, Struct, UnsetType, field, json

from strait import dag
from strait.clock import Timestamp, from_timestamp
from strait.engine.model import Json, StepDefinition, StepRun
from strait.engine.workflows.state import State
from strait.fsm import is_terminal_step_run_status

_MS = 1_000


class View(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Something that is only shown; what has a default is left out when it is empty."""


def duration_ms(started_at: Timestamp, finished_at: Timestamp, now: int | None = None) -> int:
    """Return how long something took, or has taken until `now`; 0 if it has not begun."""
    if not started_at or (not finished_at and now is None):
        return 0
    end = from_timestamp(finished_at) if finished_at else now or 0
    return max(0, end - from_timestamp(started_at)) // _MS


# ------------------------------------------------------------------------------------------ graph


class Edge(View, frozen=True):
    """One step depends on another."""

    source: str = field(name="from")
    target: str = field(name="to")


class GraphNode(View, frozen=True):
    """A step in the graph of a run."""

    step_ref: str
    type: str
    status: str
    attempt: int
    depends_on: tuple[str, ...] = ()
    started_at: Timestamp = ""
    finished_at: Timestamp = ""
    duration_ms: int = 0


class Graph(View, frozen=True):
    """The steps of a run with the slowest chain of them (`GET /v1/workflow-runs/{id}/graph`).

    Attributes:
        runnable: refs of the steps that have not begun and wait for no other step.
        critical_path: refs of the slowest chain. A step counts for as long as it took, or may
            take at most (`timeout_secs_override`).
        critical_path_remaining_ms: what of the chain has not ended.
    """

    workflow_run_id: str
    workflow_id: str
    version: int
    nodes: list[GraphNode]
    edges: list[Edge]
    roots: list[str]
    runnable: list[str]
    critical_path: list[str]
    critical_path_estimate_ms: int
    critical_path_remaining_ms: int


def graph(state: State) -> Graph:
    """Return the graph of a run."""
    path = _critical_path(state)
    weights = {step.step_ref: _weight_ms(step, state.step_runs[step.step_ref]) for step in path}
    left = [step.step_ref for step in path if not _is_over(state.step_runs[step.step_ref])]
    return Graph(
        workflow_run_id=state.run.id,
        workflow_id=state.run.workflow_id,
        version=state.run.workflow_version,
        nodes=[_node(step, state.step_runs[step.step_ref]) for step in state.steps],
        edges=[
            Edge(source=dep, target=step.step_ref)
            for step in state.steps
            for dep in dict.fromkeys(step.depends_on)
        ],
        roots=[step.step_ref for step in state.steps if not step.depends_on],
        runnable=[ref for ref, run in state.step_runs.items() if _is_runnable(run)],
        critical_path=[step.step_ref for step in path],
        critical_path_estimate_ms=sum(weights.values()),
        critical_path_remaining_ms=sum(weights[ref] for ref in left),
    )


def _node(step: StepDefinition, run: StepRun) -> GraphNode:
    return GraphNode(
        step_ref=step.step_ref,
        type=step.step_type,
        status=run.status,
        attempt=run.attempt,
        depends_on=step.depends_on,
        started_at=run.started_at,
        finished_at=run.finished_at,
        duration_ms=duration_ms(run.started_at, run.finished_at),
    )


def _is_over(run: StepRun) -> bool:
    return is_terminal_step_run_status(run.status)


def _is_runnable(run: StepRun) -> bool:
    unstarted = run.status in {"pending", "waiting"} and not run.started_at
    return unstarted and run.deps_completed >= run.deps_required


def _weight_ms(step: StepDefinition, run: StepRun) -> int:
    if _is_over(run):
        return duration_ms(run.started_at, run.finished_at)
    return step.timeout_secs_override * 1_000


def _critical_path(state: State) -> list[StepDefinition]:
    """Return the chain with the largest weight, from its root on."""
    by_ref = {step.step_ref: step for step in state.steps}
    ends: dict[str, int] = {}
    before: dict[str, str] = {}
    for ref in dag.topological_order({ref: step.depends_on for ref, step in by_ref.items()}):
        deps = by_ref[ref].depends_on
        if deps:
            before[ref] = max(deps, key=ends.__getitem__)
        weight = _weight_ms(by_ref[ref], state.step_runs[ref])
        ends[ref] = weight + (ends[before[ref]] if deps else 0)
    if not ends:
        return []
    path = [max(ends, key=ends.__getitem__)]
    while path[-1] in before:
        path.append(before[path[-1]])
    return [by_ref[ref] for ref in reversed(path)]


# --------------------------------------------------------------------------------------- timeline


class TimelineStep(View, frozen=True):
    """When a step ran, and what ran beside it.

    Attributes:
        parallel_with: refs of the steps that ran at some time while it did.
        on_critical_path: none of those ended later.
        wait_ms: what passed between the latest end before its start and its start.
    """

    step_run_id: str
    step_ref: str
    status: str
    duration_ms: int
    on_critical_path: bool
    wait_ms: int
    started_at: Timestamp = ""
    finished_at: Timestamp = ""
    parallel_with: tuple[str, ...] = ()


class Timeline(View, frozen=True):
    """When the steps of a run ran (`GET /v1/workflow-runs/{id}/timeline`)."""

    workflow_run_id: str
    status: str
    total_ms: int
    steps: list[TimelineStep]
    started_at: Timestamp = ""
    finished_at: Timestamp = ""


def timeline(state: State, now: int) -> Timeline:
    """Return the steps of a run in the order of their starts; what runs is measured to `now`."""
    run, beside = state.run, _Beside(state.step_runs.values())
    ordered = sorted(state.step_runs.values(), key=_by_start)
    return Timeline(
        workflow_run_id=run.id,
        status=run.status,
        total_ms=duration_ms(run.started_at, run.finished_at, now),
        steps=[_timeline_step(step, beside, now) for step in ordered],
        started_at=run.started_at,
        finished_at=run.finished_at,
    )


def _by_start(step: StepRun) -> tuple[bool, str, str]:
    return not step.started_at, step.started_at, step.step_ref


_OPEN = "~"  # behind every timestamp


class _Beside:
    """The spans of all steps that have started, as each step is compared with all others."""

    def __init__(self, steps: Iterable[StepRun]) -> None:
        started = [step for step in steps if step.started_at]
        self._spans = sorted((s.step_ref, s.started_at, s.finished_at or _OPEN) for s in started)
        self._ends = sorted(step.finished_at for step in started if step.finished_at)

    def of(self, step: StepRun) -> tuple[list[str], Timestamp]:
        """Return the refs of the steps that ran while one did, and when the last of them ended."""
        start, end = step.started_at, step.finished_at or _OPEN
        found = [span for span in self._spans if span[1] < end and start < span[2]]
        refs = [ref for ref, _, _ in found if ref != step.step_ref]
        return refs, max((span[2] for span in found), default=end)

    def ended_before(self, step: StepRun) -> Timestamp:
        """Return the latest end of another step up to the start of one, or ""."""
        place = bisect_right(self._ends, step.started_at)
        if step.finished_at == step.started_at:
            place -= 1  # that is its own
        return self._ends[place - 1] if place else ""


def _timeline_step(step: StepRun, beside: _Beside, now: int) -> TimelineStep:
    if not step.started_at:
        return TimelineStep(
            step_run_id=step.id,
            step_ref=step.step_ref,
            status=step.status,
            duration_ms=0,
            on_critical_path=False,
            wait_ms=0,
            finished_at=step.finished_at,
        )
    refs, last_end = beside.of(step)
    earlier = beside.ended_before(step)
    return TimelineStep(
        step_run_id=step.id,
        step_ref=step.step_ref,
        status=step.status,
        duration_ms=duration_ms(step.started_at, step.finished_at, now),
        on_critical_path=last_end <= (step.finished_at or _OPEN),
        wait_ms=duration_ms(earlier, step.started_at) if earlier else 0,
        started_at=step.started_at,
        finished_at=step.finished_at,
        parallel_with=tuple(refs),
    )


# ------------------------------------------------------------------------------------------ debug


class DebugStep(View, frozen=True):
    """A step with what went in and came out."""

    step_ref: str
    step_run_id: str
    step_type: str
    status: str
    duration_ms: int
    attempt: int
    job_run_id: str = ""
    input: Json | UnsetType = UNSET
    output: Json | UnsetType = UNSET
    error: str = ""
    started_at: Timestamp = ""
    finished_at: Timestamp = ""
    cost_microusd: int = 0
    depends_on: tuple[str, ...] = ()


class DataFlow(View, frozen=True):
    """What one step handed to another; the size is that of its JSON."""

    from_step_ref: str
    to_step_ref: str
    data_size_bytes: int = 0


class Debug(View, frozen=True):
    """All that is known of a run (`GET /v1/workflow-runs/{id}/debug`)."""

    workflow_run_id: str
    workflow_id: str
    status: str
    total_duration_ms: int
    total_cost_microusd: int
    steps: list[DebugStep]
    data_flow: list[DataFlow]
    started_at: Timestamp = ""
    finished_at: Timestamp = ""
    error: str = ""
    payload: Json | UnsetType = UNSET


def debug(
    state: State,
    now: int,
    inputs: Mapping[str, Json] | None = None,
    costs_microusd: Mapping[str, int] | None = None,
) -> Debug:
    """Return all that is known of a run.

    Args:
        state: the run.
        now: until when that is measured which has not ended.
        inputs: the payloads of the job runs, by the refs of their steps.
        costs_microusd: their costs, where known.
    """
    run, costs = state.run, costs_microusd or {}
    return Debug(
        workflow_run_id=run.id,
        workflow_id=run.workflow_id,
        status=run.status,
        total_duration_ms=duration_ms(run.started_at, run.finished_at, now),
        total_cost_microusd=sum(costs.values()),
        steps=[
            _debug_step(step, state.step_runs[step.step_ref], now, inputs or {}, costs)
            for step in state.steps
        ],
        data_flow=_data_flow(state),
        started_at=run.started_at,
        finished_at=run.finished_at,
        error=run.error,
        payload=run.payload,
    )


def _debug_step(
    step: StepDefinition,
    run: StepRun,
    now: int,
    inputs: Mapping[str, Json],
    costs: Mapping[str, int],
) -> DebugStep:
    ref = step.step_ref
    return DebugStep(
        step_ref=ref,
        step_run_id=run.id,
        step_type=step.step_type,
        status=run.status,
        duration_ms=duration_ms(run.started_at, run.finished_at, now),
        attempt=run.attempt,
        job_run_id=run.job_run_id,
        input=inputs.get(ref, UNSET),
        output=run.output,
        error=run.error,
        started_at=run.started_at,
        finished_at=run.finished_at,
        cost_microusd=costs.get(ref, 0),
        depends_on=step.depends_on,
    )


def _data_flow(state: State) -> list[DataFlow]:
    sizes = {
        ref: 0 if run.output is UNSET else len(json.encode(run.output))
        for ref, run in state.step_runs.items()
    }
    return [
        DataFlow(from_step_ref=dep, to_step_ref=step.step_ref, data_size_bytes=sizes[dep])
        for step in state.steps
        for dep in dict.fromkeys(step.depends_on)
    ]


# ---------------------------------------------------------------------------------------- compare


class StatusDiff(View, frozen=True):
    """Two statuses that are not the same."""

    a: str
    b: str


class StepDiff(View, frozen=True):
    """A step that went differently in two runs."""

    step_ref: str
    duration_ms_a: int
    duration_ms_b: int
    status_diff: StatusDiff | None = None
    only_in_a: bool = False
    only_in_b: bool = False


class Comparison(View, frozen=True):
    """What differs between two runs (`GET /v1/workflow-runs/{id}/compare/{other}`)."""

    run_a: str
    run_b: str
    step_diffs: list[StepDiff]
    status_diff: StatusDiff | None = None


def compare(a: State, b: State) -> Comparison:
    """Return what differs between two runs; steps that went the same are left out."""
    refs = dict.fromkeys([*a.step_runs, *b.step_runs])
    diffs = [_step_diff(ref, a.step_runs.get(ref), b.step_runs.get(ref)) for ref in refs]
    return Comparison(
        run_a=a.run.id,
        run_b=b.run.id,
        step_diffs=[diff for diff in diffs if diff is not None],
        status_diff=_status_diff(a.run.status, b.run.status),
    )


def _status_diff(a: str, b: str) -> StatusDiff | None:
    return None if a == b else StatusDiff(a=a, b=b)


def _step_diff(ref: str, a: StepRun | None, b: StepRun | None) -> StepDiff | None:
    took_a = 0 if a is None else duration_ms(a.started_at, a.finished_at)
    took_b = 0 if b is None else duration_ms(b.started_at, b.finished_at)
    in_both = a is not None and b is not None
    status_diff = _status_diff(a.status, b.status) if a is not None and b is not None else None
    if in_both and status_diff is None and took_a == took_b:
        return None
    return StepDiff(
        step_ref=ref,
        duration_ms_a=took_a,
        duration_ms_b=took_b,
        status_diff=status_diff,
        only_in_a=b is None,
        only_in_b=a is None,
    )


# ---------------------------------------------------------------------------------------- explain


class Decision(View, frozen=True):
    """Why a step waits or was skipped (`GET /v1/workflow-runs/{id}/explain`).

    The engine writes the fields from `step_run_id` to `details` into the ledger, as the data of
    its entries of type `decision`.
    """

    id: str
    workflow_run_id: str
    step_run_id: str
    step_ref: str
    decision_type: str
    decision: str
    explanation: str
    created_at: Timestamp
    details: Json = None
