"""Whatever happens to a workflow run, in whatever order: it stays lawful and never gets stuck."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from strait.clock import SECOND
from strait.engine.refusal import Refused
from strait.engine.workflows import effects, events
from strait.engine.workflows.advance import CLASS_CAPACITY
from strait.fsm import is_terminal_workflow_run_status

from .workflow_support import EPOCH, begin, begin_retry, ids, step, workflow

TYPES = ["job", "job", "job", "sub_workflow", "approval", "wait_for_event", "sleep"]
POLICIES = ["fail_workflow", "skip_dependents", "continue", "continue"]
ENDS = ["completed", "completed", "completed", "failed", "dead_letter", "canceled"]


@st.composite
def definitions(draw):
    """Draw steps that form a graph, in any order of definition."""
    count = draw(st.integers(1, 7))
    refs = [f"s{i}" for i in range(count)]
    steps = []
    for place, ref in enumerate(refs):
        deps = draw(st.lists(st.sampled_from(refs[:place]), max_size=3)) if place else []
        fields = {
            "on_failure": draw(st.sampled_from(POLICIES)),
            "concurrency_key": draw(st.sampled_from(["", "", "k"])),
            "resource_class": draw(st.sampled_from(["small", "large"])),
        }
        condition = draw(conditions(refs))
        if condition is not None:
            fields["condition"] = condition
        steps.append(step(ref, draw(st.sampled_from(TYPES)), *deps, **fields))
    return draw(st.permutations(steps))


@st.composite
def conditions(draw, refs):
    status = st.sampled_from(["completed", "failed", "skipped"])
    ref = st.sampled_from([*refs, "unknown"])
    return draw(
        st.none()
        | st.none()
        | st.none()
        | st.builds(lambda r, s: {"type": "step_status", "step_ref": r, "status": s}, ref, status)
        | st.just({"type": "any_of"})
    )


class AnyWorkflow(RuleBasedStateMachine):
    """One run of any workflow, and anything that can happen to it."""

    @initialize(steps=definitions(), parallel=st.integers(0, 3), timeout=st.sampled_from([0, 60]))
    def trigger(self, steps, parallel, timeout):
        self.open_waits: set[str] = set()
        self.jobs: set[str] = set()
        self.children: set[str] = set()
        self.starts: Counter[tuple[str, int]] = Counter()
        flow = workflow(max_parallel_steps=parallel, timeout_secs=timeout)
        self.run = begin(*steps, flow=flow, new_id=ids(), now=EPOCH)
        self.definitions = {s.step_ref: s for s in steps}
        self.follow(self.run.last)

    # ------------------------------------------------------------------------------- what happens

    def refs(self, *statuses, types=(), waiting=False):
        found = []
        for ref, row in self.run.state.step_runs.items():
            fits = row.status in statuses and (not waiting or row.started_at)
            if fits and (not types or self.definitions[ref].step_type in types):
                found.append(ref)
        return found

    def send(self, event):
        transition = self.run.send(event)
        if transition is not None:
            self.follow(transition)
        return transition

    @rule(data=st.data(), status=st.sampled_from(ENDS))
    def a_job_ends(self, data, status):
        refs = self.refs("running", types=["job"])
        if refs:
            ref = data.draw(st.sampled_from(refs))
            job_run_id = self.run[ref].job_run_id
            self.jobs.discard(job_run_id)
            assert self.send(events.JobEnded(ref, job_run_id, status, {"of": ref}))

    @rule(data=st.data(), status=st.sampled_from(["completed", "failed", "timed_out"]))
    def a_child_ends(self, data, status):
        refs = self.refs("running", types=["sub_workflow"])
        if refs:
            ref = data.draw(st.sampled_from(refs))
            self.children.discard(self.run[ref].id)
            assert self.send(events.ChildEnded(ref, "wf", status, {}))

    @rule(data=st.data())
    def a_step_cannot_start(self, data):
        refs = self.refs("running") + self.refs("waiting", waiting=True)
        if refs:
            ref = data.draw(st.sampled_from(refs))
            self.jobs.discard(self.run[ref].job_run_id)
            self.children.discard(self.run[ref].id)
            assert self.send(events.StartFailed(ref, "no"))

    @rule(
        data=st.data(),
        make=st.sampled_from(
            [
                events.EventReceived,
                events.SleepElapsed,
                events.EventTimedOut,
                events.EventCanceled,
                events.ApprovalTimedOut,
                lambda ref: events.Approved(ref, "alice"),
            ]
        ),
    )
    def a_wait_ends(self, data, make):
        refs = self.refs("waiting", waiting=True)
        if refs:
            ref = data.draw(st.sampled_from(refs))
            try:
                self.send(make(ref))
            except Refused:
                assert self.definitions[ref].step_type != "approval"

    @rule(data=st.data(), make=st.sampled_from([events.SkipStep, events.ForceComplete]))
    def somebody_settles_a_step(self, data, make):
        refs = self.refs("pending", "waiting")
        if refs:
            assert self.send(make(data.draw(st.sampled_from(refs))))

    @rule(data=st.data(), make=st.sampled_from([events.RetryStep, events.ReplaySubtree]))
    def somebody_does_a_step_again(self, data, make):
        refs = self.refs("completed", "failed", "skipped", "canceled")
        if refs:
            ref = data.draw(st.sampled_from(refs))
            hurdles = self.jobs or self.children or self.open_waits
            for dep in self.definitions[ref].depends_on:
                hurdles = hurdles or self.run[dep].status in {"failed", "canceled", "skipped"}
            try:
                assert self.send(make(ref))
            except Refused:
                assert hurdles, "it was refused although nothing stands against it"

    @rule()
    def it_is_paused(self):
        if self.run.status == "running":
            assert self.send(events.Pause())

    @rule()
    @precondition(lambda self: self.run.status == "paused")
    def it_is_resumed(self):
        assert self.send(events.Resume())

    @rule()
    def it_is_looked_at_again(self):
        before = self.run.state
        if self.send(events.Recheck()) is not None:
            assert self.run.state.step_runs == before.step_runs
            assert self.run.last.effects == ()

    @rule(seconds=st.sampled_from([1, 40]))
    def its_time_may_be_up(self, seconds):
        self.run.now += seconds * SECOND
        self.send(events.TimedOut())

    @rule()
    @precondition(lambda self: not is_terminal_workflow_run_status(self.run.status))
    def it_is_canceled(self):
        assert self.send(events.Cancel())

    @rule()
    @precondition(lambda self: is_terminal_workflow_run_status(self.run.status))
    def it_is_retried_as_a_whole(self):
        done = set(self.refs("completed"))
        self.run = begin_retry(self.run)
        self.starts.clear()
        self.follow(self.run.last)
        assert done <= set(self.refs("completed"))

    # ------------------------------------------------------------------------------ what must hold

    def follow(self, transition):
        """Do what the effects say, as the shell would, and see that it can be done."""
        for effect in transition.effects:
            match effect:
                case effects.StartJob(ref=ref, job_run_id=job_run_id):
                    self.began(transition, ref)
                    assert job_run_id not in self.jobs
                    self.jobs.add(job_run_id)
                case effects.StartChild(ref=ref, step_run_id=step_run_id):
                    self.began(transition, ref)
                    assert step_run_id not in self.children
                    self.children.add(step_run_id)
                case effects.OpenTrigger(ref=ref, trigger=trigger):
                    self.began(transition, ref)
                    assert trigger.workflow_step_run_id not in self.open_waits
                    self.open_waits.add(trigger.workflow_step_run_id)
                case effects.SettleTriggers(step_run_id=step_run_id):
                    self.open_waits.remove(step_run_id)
                case effects.CancelJob(job_run_id=job_run_id):
                    self.jobs.remove(job_run_id)
                case effects.CancelChild(step_run_id=step_run_id):
                    self.children.remove(step_run_id)

    def began(self, transition, ref):
        attempt = transition.state.step_runs[ref].attempt
        self.starts[ref, attempt] += 1
        assert self.starts[ref, attempt] == 1, "a step started twice in one attempt"
        for dep in self.definitions[ref].depends_on:
            status = transition.state.step_runs[dep].status
            goes_on = self.definitions[dep].on_failure == "continue"
            assert status in {"completed", "skipped"} or (
                goes_on and status in {"failed", "canceled"}
            )

    @invariant()
    def limits_hold(self):
        running = [self.definitions[ref] for ref in self.refs("running")]
        limit = self.run.run.max_parallel_steps
        assert not limit or len(running) <= limit
        keys = [s.concurrency_key for s in running if s.concurrency_key]
        assert len(keys) == len(set(keys))
        for name, capacity in CLASS_CAPACITY.items():
            assert sum(s.resource_class == name for s in running) <= capacity

    @invariant()
    def what_is_under_way_is_what_the_steps_say(self):
        rows = self.run.state.step_runs.values()
        assert self.jobs == {r.job_run_id for r in rows if r.status == "running" and r.job_run_id}
        assert self.children == {r.id for r in rows if r.status == "running" and not r.job_run_id}
        assert self.open_waits == {r.id for r in rows if r.status == "waiting" and r.started_at}

    @invariant()
    def it_is_over_or_waits_for_something(self):
        under_way = self.jobs or self.children or self.open_waits
        if self.run.status == "running":
            assert under_way, self.run.steps()
        if is_terminal_workflow_run_status(self.run.status):
            assert not under_way

    @invariant()
    def approvals_are_pending_while_they_are_waited_for(self):
        for ref, approval in self.run.state.approvals.items():
            row = self.run[ref]
            waited_for = row.status == "waiting" and bool(row.started_at)
            assert (approval.status == "pending") == waited_for

    def teardown(self):
        """Let everything end well: then the run ends too."""
        if not hasattr(self, "run"):
            return
        if self.run.status == "paused":
            self.send(events.Resume())
        for _ in range(20):
            if is_terminal_workflow_run_status(self.run.status):
                break
            for ref in self.refs("running"):
                row = self.run[ref]
                self.jobs.discard(row.job_run_id)
                self.children.discard(row.id)
                if row.job_run_id:
                    self.send(events.JobEnded(ref, row.job_run_id, "completed"))
                else:
                    self.send(events.ChildEnded(ref, "wf", "completed", {}))
            for ref in self.refs("waiting", waiting=True):
                self.send(events.EventReceived(ref))
        assert is_terminal_workflow_run_status(self.run.status), self.run.steps()


TestAnyWorkflow = AnyWorkflow.TestCase
TestAnyWorkflow.settings = settings(
    max_examples=150,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
