"""Whatever happens to a run, in whatever order: it stays lawful."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from strait.clock import SECOND, to_timestamp
from strait.engine import runs
from strait.engine.outcomes import Erred, Succeeded
from strait.engine.refusal import Refused
from strait.fsm import is_terminal_run_status, run_can_move

from .runs_support import T0, job, queued

OUTCOMES = st.one_of(
    st.builds(Succeeded, st.sampled_from([None, "1"])),
    st.builds(
        Erred,
        st.sampled_from(["endpoint returned 500", "endpoint returned 503"]),
        st.sampled_from(["server", "client", "rate_limited", "connection"]),
        st.none() | st.floats(0, 100),
    ),
)
RAND = st.floats(0, 1, exclude_max=True)


class AnyRun(RuleBasedStateMachine):
    """One run, and events in any order, some of them from dispatches that are over."""

    @initialize(
        attempts=st.integers(1, 4),
        poison=st.integers(0, 3),
        ttl=st.sampled_from([0, 40]),
        delay=st.sampled_from([0, 30]),
    )
    def begin(self, attempts: int, poison: int, ttl: int, delay: int) -> None:
        self.job = job(max_attempts=attempts, poison_pill_threshold=poison)
        scheduled_at = T0 + delay * SECOND if delay else 0
        self.state = queued(self.job, ttl_secs=ttl, scheduled_at=scheduled_at)
        self.now = T0
        self.dispatches: list[str] = ["0.0"]

    def take(self, event: runs.Event) -> runs.Transition | None:
        before = self.state.run.status
        self.now += 1
        try:
            transition = runs.decide(self.state, event, self.now)
        except Refused:
            return None
        if transition is None:
            return None
        after = transition.run.status
        moved = (before, after)
        # A queued run may be moved into the future, which the published table has no edge for.
        asked = isinstance(event, runs.Rescheduled) and moved == ("queued", "delayed")
        snoozed_out = isinstance(event, runs.Snoozed) and moved == ("queued", "system_failed")
        assert before == after or run_can_move(*moved) or asked or snoozed_out, moved
        assert not is_terminal_run_status(before) or isinstance(event, runs.Replayed)
        assert transition.entries, "a change that the ledger does not know of"
        self.state = transition.state
        return transition

    @rule()
    def dispatch(self) -> None:
        assignment = f"1.{len(self.dispatches)}"
        if self.take(runs.Dispatched(assignment, 30)) is not None:
            self.dispatches.append(assignment)

    @rule(outcome=OUTCOMES, rand=RAND)
    def answer(self, outcome: Succeeded | Erred, rand: float) -> None:
        self.take(runs.Answered(self.state.assignment, outcome, self.job, rand))

    @rule(data=st.data(), outcome=OUTCOMES, rand=RAND)
    def answer_of_an_old_dispatch(
        self, data: st.DataObject, outcome: Succeeded | Erred, rand: float
    ) -> None:
        old = data.draw(st.sampled_from(self.dispatches))
        if old != self.state.assignment:
            event: runs.Event = runs.Answered(old, outcome, self.job, rand)
            assert runs.decide(self.state, event, self.now) is None
            assert runs.decide(self.state, runs.TimedOut(old, self.job, rand), self.now) is None

    @rule(secs=st.integers(0, 200), rand=RAND)
    def time_passes(self, secs: int, rand: float) -> None:
        self.now += secs * SECOND
        due = runs.due_at(self.state)
        if due and due <= to_timestamp(self.now):
            event = runs.due_event(self.state, self.job, self.now, rand)
            if event is not None:
                self.take(event)

    @rule(
        event=st.sampled_from(
            [
                runs.Completed('"said"'),
                runs.Failed("said"),
                runs.Suspended("waits"),
                runs.Woken("there"),
                runs.WaitTimedOut(),
                runs.Due(),
                runs.Expired(),
                runs.Paused(),
                runs.Resumed(),
                runs.Restarted(),
                runs.Recovered("gone"),
            ]
        )
    )
    def anything(self, event: runs.Event) -> None:
        self.take(event)

    @rule()
    def cancel(self) -> None:
        self.take(runs.Canceled("canceled by user"))

    @rule()
    def replay(self) -> None:
        self.take(runs.Replayed(to_timestamp(self.now + 60 * SECOND)))

    @rule(ahead=st.integers(-10, 100), counts=st.booleans())
    def move_or_snooze(self, ahead: int, counts: bool) -> None:
        self.take(runs.Rescheduled(self.now + ahead * SECOND))
        self.take(runs.Snoozed(self.now + abs(ahead) * SECOND, "open", counts))

    @invariant()
    def is_lawful(self) -> None:
        run, state = self.state.run, self.state
        assert 1 <= run.attempt <= runs.attempts_allowed(run, self.job)
        assert 0 <= run.priority <= runs.MAX_PRIORITY
        assert bool(run.finished_at) == is_terminal_run_status(run.status)
        assert bool(state.deadline_at) == (run.status == "executing")
        assert state.assignment in {*self.dispatches, ""}
        if run.status == "queued" and state.assignment and not state.ttl_secs:
            # What its trigger set bounds its beginning only: it waits for a slot without an end.
            assert runs.due_at(state) == run.next_retry_at
        elif run.status in {"delayed", "queued", "executing"}:
            assert runs.due_at(state), "nothing would ever happen to it"
        else:
            assert runs.due_at(state) == ""


AnyRun.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestAnyRun = AnyRun.TestCase
