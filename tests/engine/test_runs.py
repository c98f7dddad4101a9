"""One decision per event: what a run becomes (`contract/runs.md` §2, §6)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from strait.clock import SECOND, to_timestamp
from strait.engine import runs
from strait.engine.outcomes import Erred, Succeeded
from strait.engine.refusal import Refused

from .runs_support import T0, answered, erred, executing, job, queued, take


def stamp(secs: float) -> str:
    return to_timestamp(T0 + round(secs * SECOND))


# ---------------------------------------------------------------------------- dispatch and answer


def test_a_dispatch_gives_the_run_its_assignment_and_deadline() -> None:
    state = take(queued(), runs.Dispatched("7.1", 30), 2).state
    assert (state.run.status, state.assignment, state.deadline_at) == (
        "executing",
        "7.1",
        stamp(32),
    )
    assert state.run.started_at == stamp(2)


def test_a_run_that_is_not_queued_is_not_dispatched() -> None:
    assert runs.decide(executing(), runs.Dispatched("7.2", 30), T0) is None


def test_an_answer_completes_the_run_with_its_result() -> None:
    state = executing()
    done = take(state, answered(state, Succeeded('{"ok":true}')), 3)
    assert done.run.status == "completed"
    assert done.result == '{"ok":true}'
    assert done.run.finished_at == stamp(3)
    assert done.ended


def test_the_answer_to_an_older_dispatch_changes_nothing() -> None:
    state = executing()
    stale = runs.Answered("0.9", Succeeded("1"), job(), 0.5)
    assert runs.decide(state, stale, T0) is None
    assert runs.decide(state, runs.TimedOut("0.9", job(), 0.5), T0) is None


def test_an_answer_after_the_run_began_to_wait_changes_nothing() -> None:
    state = executing()
    waiting = take(state, runs.Suspended("waits")).state
    assert runs.decide(waiting, answered(state, Succeeded(None)), T0) is None


# -------------------------------------------------------------------------------------- retries


@pytest.mark.parametrize(
    "error_class", ["server", "rate_limited", "transient", "connection", "unknown"]
)
def test_errors_that_may_pass_are_retried(error_class: str) -> None:
    state = executing()
    after = take(state, erred(state, error_class), 10).run
    assert (after.status, after.attempt) == ("queued", 2)
    assert (after.error, after.error_class) == ("endpoint returned 500", error_class)
    assert after.started_at == ""
    assert after.next_retry_at == stamp(11)


@pytest.mark.parametrize("error_class", ["client", "auth", "budget", "oom"])
def test_errors_that_stay_are_dead_letters_at_once(error_class: str) -> None:
    state = executing()
    after = take(state, erred(state, error_class), 1)
    assert (after.run.status, after.run.attempt) == ("dead_letter", 1)
    assert after.run.error_class == error_class
    assert after.run.finished_at == stamp(1)


def test_the_last_attempt_ends_in_the_dead_letters_and_never_in_failed() -> None:
    state = executing(attempt=3)
    after = take(state, erred(state)).run
    assert (after.status, after.attempt) == ("dead_letter", 3)


def test_an_outcome_that_is_final_is_not_retried_whatever_its_class() -> None:
    state = executing()
    assert take(state, erred(state, "server", final=True)).run.status == "dead_letter"


def test_a_workflow_step_may_allow_other_attempts_than_the_job() -> None:
    state = executing(attempt=3, max_attempts_override=5)
    assert take(state, erred(state)).run.attempt == 4
    state = executing(max_attempts_override=1)
    assert take(state, erred(state)).run.status == "dead_letter"


@pytest.mark.parametrize(
    ("attempt", "delay"), [(1, 1), (2, 2), (3, 4), (8, 128), (12, 2048), (13, 3600), (90, 3600)]
)
def test_the_delay_doubles_up_to_an_hour(attempt: int, delay: float) -> None:
    run = replace(queued().run, attempt=attempt)
    assert runs.retry_delay_secs(run, job(), 0.5) == pytest.approx(delay)


@pytest.mark.parametrize(
    ("strategy", "delays"),
    [
        ({"retry_strategy": "fixed"}, [1, 1, 1, 1]),
        ({"retry_strategy": "linear"}, [1, 2, 3, 4]),
        ({"retry_strategy": "custom", "retry_delays_secs": [5, 0, 60]}, [5, 1, 60, 60]),
        ({"retry_strategy": "custom", "retry_delays_secs": [7200]}, [3600] * 4),
        ({"retry_strategy": "custom"}, [1, 2, 4, 8]),
        ({"retry_strategy": "exponential"}, [1, 2, 4, 8]),
    ],
)
def test_the_strategy_of_a_job_is_applied(strategy: dict[str, Any], delays: list[int]) -> None:
    run = queued().run
    assert [
        runs.retry_delay_secs(replace(run, attempt=attempt), job(**strategy), 0.5)
        for attempt in (1, 2, 3, 4)
    ] == pytest.approx(delays)


def test_the_delay_is_spread_by_a_fifth() -> None:
    run = queued().run
    assert runs.retry_delay_secs(run, job(), 0.0) == pytest.approx(0.8)
    assert runs.retry_delay_secs(run, job(), 1.0) == pytest.approx(1.2)


def test_a_step_may_have_a_fixed_delay_and_a_cap_of_its_own() -> None:
    fixed = queued(retry_backoff="fixed", retry_initial_delay_secs=7).run
    assert runs.retry_delay_secs(
        replace(fixed, attempt=5), job(retry_strategy="linear"), 0.5
    ) == pytest.approx(7)
    capped = queued(retry_initial_delay_secs=4, retry_max_delay_secs=10).run
    assert runs.retry_delay_secs(replace(capped, attempt=5), job(), 0.5) == pytest.approx(10)


def test_a_handler_that_asks_for_a_pause_gets_that_one() -> None:
    state = executing()
    after = take(state, erred(state, "rate_limited", retry_after_secs=42.0), 1).run
    assert after.next_retry_at == stamp(43)


def test_a_retry_raises_the_priority_up_to_ten() -> None:
    boosted = job(retry_priority_boost=4)
    state = executing(boosted, priority=5)
    assert take(state, erred(state, of=boosted)).run.priority == 9
    state = executing(boosted, priority=8)
    assert take(state, erred(state, of=boosted)).run.priority == 10


def test_a_retry_renews_the_time_that_the_run_may_wait() -> None:
    state = executing()
    after = take(state, erred(state), 100).run
    assert after.expires_at == stamp(101 + 30 + 60)


def test_an_explicit_time_to_live_is_never_renewed() -> None:
    state = executing(ttl_secs=50)
    assert take(state, erred(state), 40).run.expires_at == stamp(50)


# --------------------------------------------------------------------------------------- poison


def test_the_same_error_so_often_is_poison() -> None:
    poison = job(max_attempts=9, poison_pill_threshold=2)
    state = executing(poison)
    again = take(state, erred(state, of=poison)).state
    assert again.run.status == "queued"
    again = take(again, runs.Dispatched("1.2", 30)).state
    dead = take(again, erred(again, of=poison)).run
    assert dead.status == "dead_letter"
    assert dead.error == "poison pill detected (same error 2 times): endpoint returned 500"


def test_another_error_in_between_is_no_poison() -> None:
    poison = job(max_attempts=9, poison_pill_threshold=2)
    state = executing(poison)
    for n, text in enumerate(["one", "two", "one"], 2):
        state = take(state, answered(state, Erred(text, "server"), poison)).state
        assert state.run.status == "queued"
        state = take(state, runs.Dispatched(f"1.{n}", 30)).state


def test_metadata_that_a_handler_overwrote_breaks_no_count() -> None:
    poison = job(poison_pill_threshold=2)
    state = executing(poison, metadata={"_error_hash_count": "many", "snooze_count": "²"})
    assert take(state, erred(state, of=poison)).run.status == "queued"
    snoozed = take(state, runs.Snoozed(T0 + SECOND, "open")).run
    assert snoozed.metadata["snooze_count"] == "1"


# ------------------------------------------------------------------------------------- timeouts


def test_a_timeout_is_retried_and_ends_the_call() -> None:
    state = executing()
    after = take(state, runs.TimedOut(state.assignment, job(), 0.5), 30)
    assert (after.run.status, after.run.attempt) == ("queued", 2)
    assert (after.run.error, after.run.error_class) == ("execution timed out", "transient")
    assert after.abort


def test_the_last_timeout_is_timed_out_and_no_dead_letter() -> None:
    state = executing(attempt=3)
    after = take(state, runs.TimedOut(state.assignment, job(), 0.5), 30)
    assert after.run.status == "timed_out"
    assert after.run.error == "execution timed out"
    assert after.abort


# -------------------------------------------------------------------------- the handler's own word


def test_what_the_handler_says_stands() -> None:
    done = take(executing(), runs.Completed('"by hand"'))
    assert (done.run.status, done.result) == ("completed", '"by hand"')
    failed = take(executing(), runs.Failed("no such order")).run
    assert (failed.status, failed.error, failed.error_class) == ("failed", "no such order", "")


def test_a_run_that_waits_may_be_completed_or_failed() -> None:
    waiting = take(executing(), runs.Suspended("waits")).state
    assert take(waiting, runs.Completed(None)).run.status == "completed"
    assert take(waiting, runs.Failed("x")).run.status == "failed"


def test_a_terminal_run_takes_no_word_any_more() -> None:
    done = take(executing(), runs.Completed(None)).state
    for event in (runs.Completed(None), runs.Failed("x")):
        with pytest.raises(Refused, match="conflict") as refused:
            runs.decide(done, event, T0)
        assert refused.value.status == 409


# -------------------------------------------------------------------------------------- waiting


def test_a_woken_run_is_queued_as_the_same_attempt_with_its_waiting_time_renewed() -> None:
    waiting = take(executing(attempt=2), runs.Suspended("waits")).state
    assert waiting.deadline_at == ""
    after = take(waiting, runs.Woken("there"), 86_400).run
    assert (after.status, after.attempt) == ("queued", 2)
    assert after.expires_at == stamp(86_400 + 90)


def test_a_wait_in_vain_times_the_run_out() -> None:
    waiting = take(executing(), runs.Suspended("waits")).state
    after = take(waiting, runs.WaitTimedOut(), 5).run
    assert (after.status, after.error) == ("timed_out", "event trigger timed out")


def test_only_an_executing_run_can_begin_to_wait() -> None:
    with pytest.raises(Refused, match="must be executing"):
        runs.decide(queued(), runs.Suspended("waits"), T0)


def test_what_wakes_a_run_that_does_not_wait_changes_nothing() -> None:
    assert runs.decide(executing(), runs.Woken("there"), T0) is None
    assert runs.decide(queued(), runs.WaitTimedOut(), T0) is None


# ----------------------------------------------------------------------------- delay and expiry


def test_a_delayed_run_is_queued_when_its_time_has_come() -> None:
    state = queued(scheduled_at=T0 + 60 * SECOND)
    assert state.run.status == "delayed"
    assert runs.due_at(state) == stamp(60)
    due = runs.due_event(state, job(), T0 + 60 * SECOND, 0.5)
    assert due is not None
    assert take(state, due, 60).run.status == "queued"


def test_a_run_that_waited_too_long_expires() -> None:
    state = queued()
    assert runs.due_at(state) == state.run.expires_at == stamp(90)
    assert runs.decide(state, runs.Expired(), T0 + 89 * SECOND) is None
    after = take(state, runs.Expired(), 90).run
    assert (after.status, after.error) == ("expired", "run expired")


def test_an_executing_run_never_expires() -> None:
    state = executing(ttl_secs=1)
    assert runs.decide(state, runs.Expired(), T0 + 100 * SECOND) is None


def test_an_explicit_time_to_live_is_over_once_the_run_has_begun() -> None:
    state = executing(ttl_secs=20)
    waits = take(state, erred(state, retry_after_secs=60.0), 1).state
    assert runs.due_at(waits) == stamp(61)
    asleep = take(state, runs.Suspended("sleeps"), 1).state
    for again in (
        take(asleep, runs.Woken("its sleep is over"), 100).state,
        take(state, runs.Recovered("the server is gone"), 100).state,
    ):
        assert runs.due_at(again) == ""
        assert runs.decide(again, runs.Expired(), T0 + 200 * SECOND) is None


def test_an_explicit_time_to_live_counts_from_where_the_run_is_put_off_to() -> None:
    state = take(queued(ttl_secs=20), runs.Rescheduled(T0 + 100 * SECOND), 5).state
    assert state.run.expires_at == stamp(120)
    again = take(state, runs.Rescheduled(T0 + 200 * SECOND), 6).state
    assert again.run.expires_at == stamp(220)
    waits = queued(ttl_secs=20)
    for at_secs in (5, 15):
        waits = take(waits, runs.Rescheduled(T0), at_secs).state
        assert waits.run.expires_at == stamp(20)


def test_the_time_without_a_server_does_not_count_as_waiting() -> None:
    state = runs.renewed(queued(), T0 + 3600 * SECOND)
    assert state.run.expires_at == stamp(3600 + 90)


def test_an_explicit_time_to_live_counts_downtime_too() -> None:
    state = queued(ttl_secs=10)
    assert runs.renewed(state, T0 + 3600 * SECOND) is state


# -------------------------------------------------------------------------------------- snoozing


def test_a_snooze_takes_nothing_from_the_attempts() -> None:
    until = T0 + 60 * SECOND
    after = take(queued(), runs.Snoozed(until, "endpoint circuit breaker open")).run
    assert (after.status, after.attempt, after.error_class) == ("queued", 1, "transient")
    assert after.next_retry_at == stamp(60)
    assert after.expires_at == stamp(60 + 90)


def test_more_than_fifty_snoozes_are_a_failure_of_the_system() -> None:
    state = queued(metadata={"snooze_count": "50"})
    after = take(state, runs.Snoozed(T0 + SECOND, "endpoint circuit breaker open")).run
    assert after.status == "system_failed"
    assert after.error == "max snooze count (50) exceeded: endpoint circuit breaker open"


def test_a_snooze_that_is_none_of_the_runs_doing_is_not_counted() -> None:
    state = queued(metadata={"snooze_count": "50"})
    after = take(state, runs.Snoozed(T0 + SECOND, "open", counts=False)).run
    assert (after.status, after.metadata["snooze_count"]) == ("queued", "50")


# ------------------------------------------------------------------------------------ by request


@pytest.mark.parametrize("state", [queued(), executing(), queued(scheduled_at=T0 + SECOND)])
def test_whatever_is_not_over_can_be_canceled(state: runs.State) -> None:
    after = take(state, runs.Canceled("canceled by user"), 1)
    assert (after.run.status, after.run.error) == ("canceled", "canceled by user")
    assert after.abort


def test_a_paused_run_drops_its_call_and_goes_on_as_the_same_attempt() -> None:
    paused = take(executing(attempt=2), runs.Paused())
    assert paused.abort
    assert runs.due_at(paused.state) == ""
    after = take(paused.state, runs.Resumed(), 500).run
    assert (after.status, after.attempt, after.expires_at) == ("queued", 2, stamp(590))


def test_a_restart_dispatches_the_same_attempt_again() -> None:
    for state in (executing(attempt=2), take(executing(attempt=2), runs.Paused()).state):
        after = take(state, runs.Restarted())
        assert (after.run.status, after.run.attempt, after.abort) == ("queued", 2, True)


@pytest.mark.parametrize(
    ("event", "status", "text"),
    [
        (runs.Canceled("x"), 400, "run already in terminal state"),
        (runs.Paused(), 400, "run must be in executing state to pause"),
        (runs.Resumed(), 400, "run is not paused"),
        (runs.Restarted(), 400, "run must be in executing or paused"),
        (runs.Replayed("9999"), 409, "run is not in dead_letter status"),
        (runs.Rescheduled(T0), 404, "reschedulable"),
    ],
)
def test_requests_that_come_too_late_are_refused(event: runs.Event, status: int, text: str) -> None:
    done = take(executing(), runs.Completed(None)).state
    with pytest.raises(Refused, match=text) as refused:
        runs.decide(done, event, T0)
    assert refused.value.status == status


def test_a_dead_letter_runs_again_from_the_first_attempt() -> None:
    state = executing(attempt=3)
    dead = take(state, erred(state)).state
    after = take(dead, runs.Replayed(stamp(700)), 600).run
    assert (after.status, after.attempt, after.error, after.error_class) == ("queued", 1, "", "")
    assert (after.finished_at, after.expires_at) == ("", stamp(700))


def test_a_replay_forgets_counts_of_errors() -> None:
    state = executing(metadata={"_error_hash": "a", "_error_hash_count": "1", "mine": "kept"})
    dead = take(state, erred(state, "client")).state
    assert take(dead, runs.Replayed("9999")).run.metadata == {"mine": "kept"}


def test_a_run_can_be_moved_until_it_is_dispatched() -> None:
    later = take(queued(), runs.Rescheduled(T0 + 500 * SECOND)).run
    assert (later.status, later.scheduled_at) == ("delayed", stamp(500))
    assert later.expires_at == stamp(590)
    sooner = take(queued(scheduled_at=T0 + SECOND), runs.Rescheduled(T0)).run
    assert sooner.status == "queued"


def test_a_recovered_run_is_the_same_attempt_and_its_old_dispatch_is_stale() -> None:
    state = executing(attempt=2)
    recovered = take(state, runs.Recovered("the server is gone")).state
    assert (recovered.run.status, recovered.run.attempt) == ("queued", 2)
    again = take(recovered, runs.Dispatched("2.1", 30)).state
    assert runs.decide(again, answered(state, Succeeded("1")), T0) is None


def test_every_change_of_status_is_in_the_ledger() -> None:
    state = executing()
    (entry,) = take(state, erred(state)).entries
    assert entry.type == "state_change"
    assert entry.data is not None
    assert entry.data["from"] == "executing"
    assert entry.data["to"] == "queued"
    assert entry.data["error"] == "endpoint returned 500"
