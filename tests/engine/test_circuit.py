"""An endpoint that keeps failing is left alone for a minute, then tried by one call."""

from __future__ import annotations

from strait.clock import SECOND
from strait.engine.circuit import FAILURES_TO_OPEN, OPEN_SECS, Circuit

T0 = 1_000 * SECOND


def opened() -> Circuit:
    circuit = Circuit()
    for _ in range(FAILURES_TO_OPEN):
        circuit.failed(T0)
    return circuit


def test_four_failures_keep_it_closed_and_the_fifth_opens_it() -> None:
    circuit = Circuit()
    for _ in range(FAILURES_TO_OPEN - 1):
        circuit.failed(T0)
    assert circuit.admit(T0)
    circuit.failed(T0)
    assert not circuit.admit(T0)
    assert circuit.open_until == T0 + OPEN_SECS * SECOND


def test_a_success_in_between_starts_the_count_anew() -> None:
    circuit = Circuit()
    for _ in range(FAILURES_TO_OPEN - 1):
        circuit.failed(T0)
    circuit.succeeded()
    circuit.failed(T0)
    assert circuit.admit(T0)


def test_after_a_minute_one_call_is_let_through_and_no_second() -> None:
    circuit = opened()
    later = T0 + OPEN_SECS * SECOND
    assert not circuit.admit(later - 1)
    assert circuit.admit(later)
    assert not circuit.admit(later)


def test_the_trial_decides() -> None:
    later = T0 + OPEN_SECS * SECOND
    good, bad = opened(), opened()
    assert good.admit(later)
    assert bad.admit(later)
    good.succeeded()
    bad.failed(later)
    assert good.admit(later)
    assert not bad.admit(later)
    assert bad.open_until == later + OPEN_SECS * SECOND


def test_a_trial_that_was_cancelled_lets_another_one_through() -> None:
    circuit = opened()
    later = T0 + OPEN_SECS * SECOND
    assert circuit.admit(later)
    circuit.cancelled()
    assert circuit.admit(later)
